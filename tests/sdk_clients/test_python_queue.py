"""The Python client's queue and batches, on the real collector."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.http.service import Service, served
from tests.sdk_clients.clients import (
    Told,
    arrived,
    arrived_ids,
    client_of,
    closed,
    flushed,
    until,
)
from trackstream_client import Client as PythonClient
from trackstream_client import (
    ClientClosedError,
    EventTooLargeError,
    QueueFullError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.storage.user_agents import UaParser


async def test_2500_events_at_once_arrive_once_in_their_order(live: Service) -> None:
    told = Told()
    client = client_of(live, on_verdict=told)
    ids = [client.track("view", {"n": number}, user_id="u1") for number in range(2_500)]
    await closed(client)
    assert arrived_ids(live) == told.ids() == ids
    assert live.sink.calls >= 3


async def test_any_thread_may_track(live: Service, tmp_path: Path) -> None:
    told = Told()
    for file in (None, tmp_path / "queue.sqlite"):
        client = client_of(live, on_verdict=told, batch_events=30, queue_file=file)

        def track_some(user_id: str, client: PythonClient = client) -> list[str]:
            return [client.track("view", user_id=user_id) for _ in range(100)]

        users = [f"u{number}" for number in range(4)]
        tracked = await asyncio.gather(*(asyncio.to_thread(track_some, one) for one in users))
        await closed(client)
        for user_id, ids in zip(users, tracked, strict=True):
            own = [one.event_id for one in arrived(live) if one.user_id == user_id]
            assert own[-100:] == ids
    assert len(set(told.ids())) == len(arrived(live)) == 800


async def test_a_full_queue_is_told_to_the_caller_and_takes_events_again(live: Service) -> None:
    live.sink.down = True
    client = client_of(live, queue_events=3)
    ids = [client.track("view", user_id="u1") for _ in range(3)]
    with pytest.raises(QueueFullError, match="3 events"):
        client.track("view", user_id="u1")
    live.sink.down = False
    await flushed(client)
    ids.append(client.track("view", user_id="u1"))
    await closed(client)
    assert arrived_ids(live) == ids


async def test_a_queue_is_full_by_its_bytes_too(live: Service) -> None:
    live.sink.down = True
    client = client_of(live, queue_bytes=2_000)
    client.track("view", {"text": "x" * 1_500}, user_id="u1")
    with pytest.raises(QueueFullError):
        client.track("view", {"text": "x" * 1_500}, user_id="u1")
    live.sink.down = False
    await closed(client)


async def test_a_caller_may_wait_for_room(live: Service) -> None:
    live.sink.down = True
    client = client_of(live, queue_events=1, flush_every_s=0.0, wait_for_room_s=60.0)
    ids = [client.track("view", user_id="u1")]
    waiting = asyncio.create_task(asyncio.to_thread(client.track, "view", user_id="u1"))
    await until(lambda: live.sink.calls >= 1)
    assert not waiting.done()
    live.sink.down = False
    ids.append(await waiting)
    await closed(client)
    assert arrived_ids(live) == ids


async def test_a_collector_with_smaller_bounds_gets_smaller_batches(user_agents: UaParser) -> None:
    async with served(user_agents, max_batch_events=100, max_body_bytes=20_000) as small:
        small.now_ms = time.time_ns() // 1_000_000
        told = Told()
        client = client_of(small, on_verdict=told, compresses=False)
        ids = [client.track("view", {"n": number}, user_id="u1") for number in range(250)]
        large = client.track("view", {"text": "x" * 30_000}, user_id="u1")
        ids.append(client.track("view", user_id="u1"))
        await closed(client)
        assert arrived_ids(small) == told.ids() == ids
        (verdict,) = [one for one in told.verdicts if one.status == "rejected"]
        assert (verdict.event_id, verdict.reasons) == (large, ("too_large",))


async def test_what_cannot_be_queued_is_told_at_once(live: Service) -> None:
    client = client_of(live, batch_bytes=2_000)
    with pytest.raises(EventTooLargeError):
        client.track("view", {"text": "x" * 2_000}, user_id="u1")
    with pytest.raises(TypeError):
        client.track("view", {"what": object()}, user_id="u1")
    with pytest.raises(ValueError, match="JSON"):
        client.track("view", {"price": float("nan")}, user_id="u1")
    await closed(client)
    with pytest.raises(ClientClosedError):
        client.track("view", user_id="u1")
    assert live.sink.calls == 0


async def test_what_nobody_takes_is_told_as_unsent(live: Service) -> None:
    told = Told()
    live.sink.down = True
    client = client_of(live, on_verdict=told)
    ids = [client.track("view", user_id="u1") for _ in range(3)]
    assert not await asyncio.to_thread(client.flush, 0.1)
    assert await asyncio.to_thread(client.close, 0.1) == 3
    assert await asyncio.to_thread(client.close, 0.1) == 3
    assert told.ids("unsent") == ids


async def test_a_collector_that_hangs_does_not_keep_close_waiting(
    live: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = asyncio.Event(), asyncio.Event()

    async def hang(_: object) -> None:
        asked.set()
        await released.wait()

    monkeypatch.setattr(live.sink, "send", hang)
    client = client_of(live, flush_every_s=0.0)
    client.track("view", user_id="u1")
    await asked.wait()
    began_s = time.monotonic()
    assert await asyncio.to_thread(client.close, 0.05) == 1
    assert time.monotonic() - began_s < 20.0
    released.set()
