"""The Python client in programs that end, are killed, or are forked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from configparser import ConfigParser
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from tests.http.service import SERVER_KEY, Service
from tests.sdk_clients.clients import (
    PACKAGE,
    Told,
    address,
    arrived_ids,
    client_of,
    closed,
    output,
    program,
)
from tests.sdk_clients.vectors import ROOT
from trackstream_client import QueueInUseError

if TYPE_CHECKING:
    from pathlib import Path

MADE = """
import sys, time
from pathlib import Path
from trackstream_client import Client
url, key_id, secret, *rest = sys.argv[1:]
file = Path(rest[0]) if rest else None
client = Client(url, key_id, secret, queue_file=file, batch_events=50)
"""


def arguments(service: Service, *more: str) -> list[str]:
    return [address(service), SERVER_KEY.key_id, SERVER_KEY.secret or "", *more]


async def test_what_was_queued_when_the_process_was_killed_is_sent_by_the_next(
    live: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed after the collector has taken half of it, and before it knows that."""
    take, taken, released = live.sink.send, asyncio.Event(), asyncio.Event()

    async def take_and_say_nothing(messages: list[tuple[str, bytes, bytes]]) -> None:
        await take(messages)
        taken.set()
        await released.wait()

    monkeypatch.setattr(live.sink, "send", take_and_say_nothing)
    file = tmp_path / "queue.sqlite"
    code = f"{MADE}\nfor n in range(80): print(client.track('view', user_id='u1'), flush=True)"
    process = program(f"{code}\nclient.flush()", *arguments(live, str(file)))
    try:
        await asyncio.wait_for(taken.wait(), 60)
        assert process.stdout is not None
        lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(80)]
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)
    released.set()
    ids = [line.strip() for line in lines]
    first = arrived_ids(live)
    assert 0 < len(first) < len(ids)

    monkeypatch.setattr(live.sink, "send", take)
    told = Told()
    client = client_of(live, queue_file=file, on_verdict=told)
    await closed(client)
    assert told.ids() == ids
    # What had arrived arrives again under the same ids, so that it counts once.
    assert arrived_ids(live) == first + ids
    assert first == ids[: len(first)]


async def test_a_file_keeps_what_could_not_be_sent_and_is_for_one_client(
    live: Service, tmp_path: Path
) -> None:
    file = tmp_path / "queue.sqlite"
    live.sink.down = True
    told = Told()
    client = client_of(live, queue_file=file, on_verdict=told)
    ids = [client.track("view", {"n": number}, user_id="u1") for number in range(30)]
    with pytest.raises(QueueInUseError, match="another client"):
        client_of(live, queue_file=file)
    assert await asyncio.to_thread(client.close, 0.05) == 30
    assert told.verdicts == []

    live.sink.down = False
    client = client_of(live, queue_file=file, on_verdict=told, batch_events=7)
    ids.append(client.track("view", {"n": 30}, user_id="u1"))
    await closed(client)
    assert arrived_ids(live) == told.ids() == ids
    client = client_of(live, queue_file=file)
    await closed(client)
    assert arrived_ids(live) == ids


async def test_a_program_that_does_not_close_sends_at_its_end(live: Service) -> None:
    code = f"{MADE}\nprint(client.track('view', user_id='u1'))"
    ids = await output(program(code, *arguments(live)))
    assert len(ids) == 1
    assert arrived_ids(live) == ids


async def test_a_fork_sends_its_own_events_and_not_its_parent_s(live: Service) -> None:
    code = f"""{MADE}
import os
print(client.track('parent', user_id='u1'), flush=True)
if os.fork() == 0:
    print(client.track('child', user_id='u1'), flush=True)
    assert client.close() == 0
    os._exit(0)
os.wait()
assert client.close() == 0
"""
    ids = await output(program(code, *arguments(live)))
    assert sorted(arrived_ids(live)) == sorted(ids)
    assert len(ids) == 2


async def test_a_fork_does_not_touch_its_parent_s_file(live: Service, tmp_path: Path) -> None:
    code = f"""{MADE}
import os
from trackstream_client import ClientClosedError
print(client.track('parent', user_id='u1'), flush=True)
pid = os.fork()
if pid == 0:
    try:
        client.track('child', user_id='u1')
    except ClientClosedError:
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert client.close() == 0
"""
    ids = await output(program(code, *arguments(live, str(tmp_path / "queue.sqlite"))))
    assert arrived_ids(live) == ids


def test_it_needs_the_standard_library_only() -> None:
    code = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); import trackstream_client as t"
    code += "; print(*(n for n in sys.modules if n.startswith('trackstream')))"
    # -I -S: neither the environment's packages nor the folder from which it is run.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    modules = done.stdout.split()
    assert "trackstream_client" in modules
    assert all(one.startswith("trackstream_client") for one in modules)


def test_the_services_wheel_has_no_client() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.packages.find"]["include"].split()
    assert "trackstream*" in patterns
    for package in ("sdk_clients", "sdk_clients.python", "sdk_clients.python.trackstream_client"):
        assert not any(fnmatchcase(package, pattern) for pattern in patterns)
    assert not (ROOT / "sdk_clients" / "__init__.py").exists()
