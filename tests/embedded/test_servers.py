"""What all embedded servers promise, shown on each."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg2
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.embedded.processes import Parent, command_lines, family, survivors
from tests.waiting import PATIENCE_S
from trackstream.embedded.errors import DirectoryInUseError, EmbeddedError, PortTakenError
from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.embedded.postgres import EmbeddedPostgres
from trackstream.embedded.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trackstream.embedded.server import Server

pytestmark = pytest.mark.xdist_group("embedded_servers")


def postgres_put(url: str, value: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        cursor.execute("INSERT INTO kept VALUES (%s)", (value,))


def postgres_get(url: str) -> list[str]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT value FROM kept")
        return [row[0] for row in cursor.fetchall()]


def valkey_put(url: str, value: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.rpush("kept", value)
        client.waitaof(1, 0, 5000)  # on this server's disk


def valkey_get(url: str) -> list[str]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        values: Any = client.lrange("kept", 0, -1)
        return list(values)


def kafka_put(url: str, value: str) -> None:
    producer = Producer({"bootstrap.servers": url.removeprefix("kafka://"), "acks": "all"})
    producer.produce("kept", value.encode(), partition=0)
    assert producer.flush(PATIENCE_S) == 0


def kafka_get(url: str) -> list[str]:
    bootstrap = url.removeprefix("kafka://")
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "kept"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition("kept", 0), timeout=PATIENCE_S)
        consumer.assign([TopicPartition("kept", 0, 0)])
        messages = consumer.consume(end, timeout=PATIENCE_S)
        return [(message.value() or b"").decode() for message in messages]
    finally:
        consumer.close()


class Kind(NamedTuple):
    server: type[Server]
    put: Callable[[str, str], None]
    get: Callable[[str], list[str]]
    options: Mapping[str, Any] = MappingProxyType({})

    def make(self, folder: Path, **options: Any) -> Server:
        return self.server(folder, **self.options, **options)


KINDS = {
    "postgres": Kind(
        # Not synced: here it is processes that die, not the machine.
        EmbeddedPostgres,
        postgres_put,
        postgres_get,
        {"options": {"fsync": "off"}},
    ),
    "valkey": Kind(EmbeddedValkey, valkey_put, valkey_get),
    "kafka": Kind(EmbeddedKafka, kafka_put, kafka_get),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    name: str = request.param
    return KINDS[name]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder below the temporary directory itself, which every account may pass."""
    with tempfile.TemporaryDirectory(prefix="trackstream-test-") as name:
        yield Path(name)


def test_data_is_kept_through_stop_and_start(kind: Kind, folder: Path) -> None:
    with kind.make(folder) as server:
        kind.put(server.url, "one")
        url = server.url
    assert not server.running
    assert server.start() == url
    kind.put(server.url, "two")
    server.stop()
    with kind.make(folder) as another:
        assert kind.get(another.url) == ["one", "two"]


def test_data_is_kept_through_kill(kind: Kind, folder: Path) -> None:
    server = kind.make(folder)
    server.start()
    kind.put(server.url, "one")
    processes = family(server.pid)
    server.kill()
    # At once, on the same port, while helpers of the killed server may still be ending.
    server.start()
    try:
        assert survivors(processes) == []
        assert kind.get(server.url) == ["one"]
    finally:
        server.stop()


def test_stop_leaves_no_process_and_frees_the_port(kind: Kind, folder: Path) -> None:
    server = kind.make(folder)
    server.start()
    processes = family(server.pid)
    server.stop()
    server.stop()
    assert survivors(processes) == []
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_no_process_outlives_a_killed_parent(kind: Kind, folder: Path) -> None:
    script = f"""
import json, sys, time
from pathlib import Path
from types import MappingProxyType
from {kind.server.__module__} import {kind.server.__name__} as Server
server = Server(Path(sys.argv[1]), **{dict(kind.options)!r})
print(json.dumps({{"url": server.start(), "pid": server.pid}}), flush=True)
time.sleep(600)
"""
    with Parent(script, folder) as parent:
        kind.put(parent.report["url"], "one")
        processes = family(parent.report["pid"])
    # The next start waits for what is ending, and finds the data.
    with kind.make(folder) as server:
        assert survivors(processes) == []
        assert kind.get(server.url) == ["one"]


def test_a_taken_port_is_named(kind: Kind, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port}.*choose another port") as e:
            kind.make(folder, port=port).start()
    assert e.value.port == port


def test_a_given_port_is_used(kind: Kind, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with kind.make(folder, port=port) as server:
        assert server.port == port
        assert f"127.0.0.1:{port}" in server.url


def test_a_folder_has_one_server(kind: Kind, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind.server, "lock_timeout_s", 0.2)
    with kind.make(folder):
        second = kind.make(folder)
        with pytest.raises(DirectoryInUseError, match="already running"):
            second.start()


def test_an_object_is_started_once(kind: Kind, folder: Path) -> None:
    server = kind.make(folder)
    with pytest.raises(EmbeddedError, match="no port"):
        _ = server.url
    with server, pytest.raises(EmbeddedError, match="already"):
        server.start()


async def test_wait_tells_that_the_server_has_ended(kind: Kind, folder: Path) -> None:
    server = kind.make(folder)
    await asyncio.to_thread(server.start)
    waiting = asyncio.create_task(server.wait())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    started = time.monotonic()
    server.kill()
    failure = await waiting
    assert time.monotonic() - started < PATIENCE_S / 2
    assert "SIGKILL" in str(failure)
    assert server.name in str(failure)


def test_files_are_not_for_others(kind: Kind, folder: Path) -> None:
    with kind.make(folder):
        home = next(folder.iterdir())
        for path in home.iterdir():
            assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_password_is_required(name: str, folder: Path) -> None:
    kind = KINDS[name]
    with kind.make(folder) as server:
        password = (folder / name / "password").read_text().strip()
        assert password in server.url
        for wrong in (server.url.replace(password, "guess"), server.url.replace(password, "")):
            with pytest.raises((psycopg2.OperationalError, redis.AuthenticationError)):
                kind.get(wrong)
        found = command_lines(server.pid)
        assert found
        assert not [one for one in found if password in one]
