"""The collector as its users run it: a program on a port, with the real servers behind it."""

import asyncio
import os
import signal
import socket
import time
from contextlib import closing, suppress

import aiohttp
import psutil
import pytest
from aiokafka import AIOKafkaConsumer

from tests.http.served import (
    client_of,
    event,
    post,
    running,
    until_ready,
)
from tests.http.service import ANDROID
from tests.waiting import PATIENCE_S
from trackstream import codec
from trackstream.core.records import Envelope, Record, Touch
from trackstream.core.signing import signed_headers
from trackstream.http.server import listen
from trackstream.ports import Key
from trackstream.settings import Settings, SettingsError
from trackstream.storage.migrations import migrate
from trackstream.storage.topics import ensure_topics

pytestmark = pytest.mark.xdist_group("collector")


async def read_all(settings: Settings, topic: str, count: int) -> list[tuple[str, Record]]:
    consumer = AIOKafkaConsumer(
        settings.topic_prefix + topic,
        bootstrap_servers=(settings.kafka_url or "").removeprefix("kafka://"),
        auto_offset_reset="earliest",
        group_id=None,
    )
    await consumer.start()
    try:
        found: list[tuple[str, Record]] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                one = await consumer.getone()
                found.append((one.key.decode(), codec.decode(one.value)))
        return found
    finally:
        await consumer.stop()


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_is_posted_and_clicked_is_on_the_topics(
    settings: Settings, key: Key, workers: int
) -> None:
    with running(settings, workers) as process:
        async with client_of(settings) as session:
            await until_ready(session)
            for number in range(6):
                async with client_of(settings) as other:
                    assert await post(other, key, "/v1/event", event(f"u{number}")) == 201
            async with session.get(
                "/c/sale?click_id=c-1&consent=1",
                allow_redirects=False,
                headers={"User-Agent": ANDROID},
            ) as click:
                assert click.status == 302
                assert click.headers["Location"].startswith("https://play.google.com/")
            body = b'{"device_id":"d","timestamp":%d,"referral":{"click_id":"c-1"}}' % time.time()
            headers = signed_headers(
                key.key_id, key.secret or "", method="POST", path="/v1/install", body=body,
                now_s=int(time.time()),
            ) | {"Content-Type": "application/json"}  # fmt: skip
            async with session.post("/v1/install", data=body, headers=headers) as install:
                assert (await install.json())["deep_link"] == "shop://sale"
            async with session.post("/v1/install", data=body, headers=headers) as replay:
                assert replay.status == 409
            await until_counted(session, 'events_accepted_total{route="event"} 6')
        raw = await read_all(settings, "raw", 8)
        envelopes = {key for key, one in raw if isinstance(one, Envelope)}
        assert envelopes == {f"shop|user:u{n}" for n in range(6)} | {"shop|device:d"}
        assert [key[:12] for key, one in raw if isinstance(one, Touch)] == ["shop|cookie:"]
        touches = await read_all(settings, "identity", 3)
        assert {key.partition(":")[0] for key, _ in touches} == {
            "shop|click", "shop|cookie", "shop|fp",
        }  # fmt: skip
        assert all(isinstance(one, Touch) for _, one in touches)
        children = process.children(recursive=True)
        process.terminate()
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
        _, left = await asyncio.to_thread(psutil.wait_procs, children, PATIENCE_S)
        assert left == []


async def until_counted(session: aiohttp.ClientSession, line: str) -> None:
    """Wait until a collector's metrics say so: one of several says what the others said last."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with session.get("/metrics") as metrics:
                if f"trackstream_collector_{line}\n" in await metrics.text():
                    return
            await asyncio.sleep(0.05)


async def test_it_says_what_it_waits_for_and_refuses_nobody_for_it(settings: Settings) -> None:
    with running(settings):
        async with client_of(settings) as session:
            assert await until_ready(session, status=503)
            async with session.get("/health/live") as live:
                assert live.status == 200
            nobody = Key(key_id="k", app_id="shop", kind="server", secret="s")
            assert await post(session, nobody, "/v1/event", event("u")) == 503
            assert "postgres" in await until_ready(session, status=503)
            migrate(settings.postgres_url)
            await until_ready(session)
            assert await post(session, nobody, "/v1/event", event("u")) == 401


async def test_requests_that_have_begun_are_finished(settings: Settings, key: Key) -> None:
    with running(settings) as process:
        async with client_of(settings) as session:
            await until_ready(session)
            body = event("slow")
            first_half_sent = asyncio.Event()

            async def halves() -> object:
                yield body[:10]
                first_half_sent.set()
                await asyncio.sleep(0.4)
                yield body[10:]

            headers = signed_headers(
                key.key_id, key.secret or "", method="POST", path="/v1/event", body=body,
                now_s=int(time.time()),
            ) | {"Content-Type": "application/json"}  # fmt: skip

            async def slow() -> int:
                # Nothing of the body is sent before the collector has read the head.
                async with session.post(
                    "/v1/event", data=halves(), headers=headers, expect100=True
                ) as response:
                    return response.status

            posting = asyncio.ensure_future(slow())
            await first_half_sent.wait()
            await asyncio.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert await posting == 201
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
    assert [key for key, _ in await read_all(settings, "raw", 1)] == ["shop|user:slow"]


async def test_a_process_of_several_that_dies_is_replaced(settings: Settings, key: Key) -> None:
    with running(settings, workers=2) as process:
        async with client_of(settings) as session:
            await until_ready(session)
            before = serving(process)
            os.kill(before[0], signal.SIGKILL)
            deadline = time.monotonic() + PATIENCE_S
            while len(now := serving(process)) < 2 or before[0] in now:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
        async with client_of(settings) as session:
            await until_ready(session)
            assert await post(session, key, "/v1/event", event("u")) == 201


def serving(process: psutil.Process) -> list[int]:
    """The processes that serve, beside the parent and multiprocessing's own tracker."""
    found = []
    for one in process.children():
        with suppress(psutil.NoSuchProcess):  # which a zombie is, too
            found += [one.pid] if "spawn_main" in " ".join(one.cmdline()) else []
    return found


async def test_topics_that_are_otherwise_end_it(settings: Settings, key: Key) -> None:
    await ensure_topics(settings)
    wrong = {**settings.environ(), "TRACKSTREAM_TOPIC_PARTITIONS": "3"}
    for workers in (1, 2):
        with running(Settings.load(wrong), workers) as process:
            assert await asyncio.to_thread(process.wait, PATIENCE_S) == 1


@pytest.mark.parametrize("shared", [True, False])
def test_a_taken_port_names_its_setting(*, shared: bool) -> None:
    with closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(collector_port=taken.getsockname()[1])
        with pytest.raises(SettingsError) as caught:
            listen(settings, shared=shared)
    assert "TRACKSTREAM_COLLECTOR_PORT" in str(caught.value)
