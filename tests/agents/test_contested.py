"""Two subjects send conversions of one event id: the first is decided as if it were alone."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import msgspec
import pytest

from tests.agents.running import Log, Worker, click, envelope
from tests.waiting import PATIENCE_S
from trackstream.core.records import Attribution, Envelope

COUNTED = 'trackstream_contested_answers_total{agent="attribute"}'

pytestmark = pytest.mark.xdist_group("worker")


def install(device: str, event_id: str, click_id: str | None = None) -> Envelope:
    posted = envelope(device, "install", click_id=click_id)
    [event] = posted.events
    return msgspec.structs.replace(
        posted, events=[msgspec.structs.replace(event, event_id=event_id)]
    )


async def test_anothers_conversion_of_the_same_id_changes_nothing(worker: Worker) -> None:
    event_id, first, second = (uuid4().hex[:10] for _ in range(3))

    def decided(log: Log) -> list[Attribution]:
        return [one for one in log.of(Attribution) if one.event_id == event_id]

    async with Log(worker.settings) as log:
        await log.post(install(first, event_id))
        [organic] = await log.until(decided)
        assert (organic.method, organic.subject) == ("organic", f"demo|device:{first}")

        await log.touch(click(second))
        await log.post(install(second, event_id, click_id=second))
        async with asyncio.timeout(PATIENCE_S):
            while COUNTED not in await _metrics(worker):  # noqa: ASYNC110 - a worker tells nobody
                await asyncio.sleep(0.1)

        # What is decided after all of the second's answers comes after what they had changed.
        await log.post(install(first, f"{event_id}-later"))
        await log.until(
            lambda log: [o for o in log.of(Attribution) if o.event_id == f"{event_id}-later"]
        )
        assert decided(log) == [organic]


async def _metrics(worker: Worker) -> str:
    text: str = (await asyncio.to_thread(worker.get, "/metrics"))[1]
    return text
