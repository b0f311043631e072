"""A real web log, posted in random order with repetitions, is counted to the event."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.storage.shared_data import shared_data
from tests.whole.running import Pipeline
from trackstream.cli.access_log import MalformedLineError, parse
from trackstream.cli.importing import event_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("whole")

_SESSIONS = "SELECT count(*), coalesce(sum(event_count), 0) FROM sessions"


def requests_of(log: Path) -> list[dict[str, Any]]:
    """An event for each line that is one."""
    events: list[dict[str, Any]] = []
    for number, line in enumerate(log.read_bytes().splitlines(), 1):
        try:
            request = parse(line.decode())
        except MalformedLineError:
            continue
        events.append(event_of(request, line=line, number=number, site="https://example.com"))
    return events


async def test_a_log_in_random_order_with_repetitions_counts_as_in_order(
    kafka_url: str, database_url: str, tmp_path: Path
) -> None:
    random = Random(20150517)
    events = requests_of(shared_data("elastic_apache_logs.log"))
    random.shuffle(events)
    batches: list[list[dict[str, Any]]] = []
    while events:
        size = min(len(events), random.randint(1, 50))
        batches.append([events.pop() for _ in range(size)])
    batches += batches[::3]
    random.shuffle(batches)

    async with Pipeline(kafka_url, database_url, tmp_path) as pipeline:
        async with pipeline.client() as client:
            waiting = iter(batches)

            async def post() -> None:
                for batch in waiting:
                    answer = await client.post("/v1/batch", {"events": batch})
                    assert answer.status == 201, answer.detail

            await asyncio.gather(*(post() for _ in range(4)))
        await pipeline.until(lambda: pipeline.rows("SELECT count(*) FROM fact_events") == [(9999,)])
        await pipeline.until(lambda: pipeline.rows(_SESSIONS) == [(3223, 9999)])
        await asyncio.sleep(1)

        assert pipeline.rows("SELECT count(*) FROM fact_events") == [(9999,)]
        assert pipeline.rows(_SESSIONS) == [(3223, 9999)]
        closed = "SELECT count(*) FROM sessions WHERE status <> 'closed'"
        await pipeline.until(lambda: pipeline.rows(closed) == [(0,)])
        assert pipeline.rows("SELECT count(*) FROM rejected") == [(0,)]
