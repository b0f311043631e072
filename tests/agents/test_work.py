"""The order in which a batch is written, on real tables and a log that only takes notes."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from agents.metrics import Metrics
from agents.transport import Outgoing, Producer, partition_of
from agents.work import Effects, Work
from tables.campaign_activity import Activity
from tests.tables.conftest import app
from trackstream.core.records import Tick
from trackstream.core.visits import VisitorState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.application import Application

__all__ = ["app"]

STATE = VisitorState(app_id="demo", subject="s")


class Notes:
    """Stands where the producer does; notes what was written, and what was stored by then."""

    def __init__(self, app: Application, *, failing: str | None = None) -> None:
        self.written: list[tuple[str, bool]] = []
        self._app = app
        self._failing = failing

    async def deliver(self, records: Iterable[Outgoing]) -> dict[tuple[str, int], int]:
        held = list(records)
        for one in held:
            if one.topic == self._failing:
                raise KafkaTimeoutError
            stored = self._app.state_tables.visitors.load(0, "s") is not None
            self.written.append((one.topic.removeprefix("trackstream."), stored))
        return {(one.topic, one.partition or 0): 5 for one in held}


def work_on(app: Application) -> Work:
    tables = app.state_tables
    work = Work(tables.counters, topic_prefix="trackstream.")
    effects = Effects(work, partition=0, offset=9)
    effects.save(tables.visitors, "s", STATE)
    effects.send("sessions", "p", Tick(at_ms=1))
    effects.count(tables.campaign_activity, "t|0|demo|c", Activity(clicks=1))
    work.absorb(effects)
    return work


async def commit(work: Work, notes: Notes) -> None:
    await work.commit(cast("Producer", notes), Metrics(), "enrich")


async def test_outputs_then_changelog_then_the_store(app: Application) -> None:
    notes = Notes(app)

    await commit(work_on(app), notes)

    assert notes.written == [
        ("sessions", False),
        ("worker-campaign_activity-changelog", False),
        ("worker-visitors-changelog", False),
    ]
    assert app.state_tables.visitors.load(0, "s") == STATE
    assert app.state_tables.campaign_activity.load(0, "t|0|demo|c") == Activity(clicks=1, applied=9)


@pytest.mark.parametrize("topic", ["sessions", "worker-visitors-changelog"])
async def test_nothing_is_stored_that_was_not_acknowledged(app: Application, topic: str) -> None:
    with pytest.raises(KafkaTimeoutError):
        await commit(work_on(app), Notes(app, failing=f"trackstream.{topic}"))

    assert app.state_tables.visitors.load(0, "s") is None


async def test_the_same_message_again_counts_no_more(app: Application) -> None:
    for _ in range(2):
        await commit(work_on(app), Notes(app))

    row = app.state_tables.campaign_activity.load(0, "t|0|demo|c")
    assert row is not None
    assert row.clicks == 1


def test_a_batch_and_its_states_are_gone_with_it(app: Application) -> None:
    work = work_on(app)
    known = weakref.ref(work)

    gc.disable()
    try:
        del work
        assert known() is None
    finally:
        gc.enable()


def test_a_later_message_sees_what_an_earlier_one_of_its_batch_did(app: Application) -> None:
    work = work_on(app)
    later = Effects(work, partition=0, offset=10)
    elsewhere = Effects(work, partition=1, offset=10)

    assert later.load(app.state_tables.visitors, "s") == STATE
    assert elsewhere.load(app.state_tables.visitors, "s") is None


@given(key=st.binary(max_size=64), partitions=st.integers(1, 64))
def test_keys_go_where_kafkas_own_clients_send_them(key: bytes, partitions: int) -> None:
    every: list[Any] = list(range(partitions))

    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)
