"""What of a message cannot be handled is refused; the rest is handled, and nobody else is stopped.

On real tables and the real step of `enrich`; only the log is one that takes notes.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
from aiokafka.errors import MessageSizeTooLargeError

from agents import enrich
from agents.metrics import Metrics
from agents.refusing import Handler
from agents.steps import Context, take
from tests.core.visiting import START, envelope, page
from tests.tables.conftest import app
from trackstream import codec
from trackstream.core.records import Event, RawEvent, Rejected, Session, Tick
from trackstream.core.rules import DEFAULT
from trackstream.core.visits import VisitorState
from trackstream.ports import Deps
from trackstream.storage.funnels_book import NoFunnels
from trackstream.storage.geo import MaxMindGeo, default_city_database
from trackstream.storage.rules_book import DefaultRules
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faust.types import Message

    from agents.transport import Outgoing
    from trackstream.application import Application
    from trackstream.core.records import Record

__all__ = ["app"]

MIB = 2**20


class Log:
    """Stands where the producer does: notes what is written, and takes nothing too large."""

    def __init__(self, takes_bytes: int) -> None:
        self.written: list[Outgoing] = []
        self.takes_bytes = takes_bytes

    async def deliver(self, records: Iterable[Outgoing]) -> dict[tuple[str, int], int]:
        held = list(records)
        if any(len(one.value or b"") > self.takes_bytes for one in held):
            raise MessageSizeTooLargeError
        self.written += held
        return {(one.topic, one.partition or 0): len(self.written) for one in held}

    def records(self, kind: type[Record]) -> list[Any]:
        found = [
            codec.decode(one.value) for one in self.written if not one.topic.endswith("changelog")
        ]
        return [one for one in found if isinstance(one, kind)]


class Stage:
    """`enrich`, taking batches."""

    def __init__(
        self, app: Application, *, largest_bytes: int = 4 * MIB, takes_bytes: int = 4 * MIB
    ) -> None:
        self.log = Log(takes_bytes)
        self.context = Context(
            app=cast("Any", SimpleNamespace(producer=self.log)),
            tables=app.state_tables,
            deps=Deps(geo=MaxMindGeo(default_city_database()), user_agents=UaParser(), version="1"),
            rules=DefaultRules(DEFAULT),
            funnels=NoFunnels(),
            models={},
            topic_prefix="trackstream.",
            metrics=Metrics(),
            largest_bytes=largest_bytes,
        )
        self._handler = Handler(enrich.step(self.context), "enrich", "1")

    async def take(self, *messages: Message) -> None:
        await take(list(messages), self._handler, self.context)

    @property
    def visitor(self) -> VisitorState | None:
        return self.context.tables.visitors.load(0, "app|cookie:c")


def message(offset: int, record: Record | bytes, key: bytes = b"app|cookie:c") -> Message:
    value = record if isinstance(record, bytes) else codec.encode(record)
    one = SimpleNamespace(
        topic="trackstream.raw",
        partition=0,
        offset=offset,
        key=key,
        value=value,
        timestamp=START / 1000,
    )
    return cast("Message", one)


def ids(records: list[Event] | list[RawEvent]) -> list[str]:
    return [one.event_id for one in records]


GOOD = [page(n, START + n) for n in range(7)]
LARGE = page(7, START, properties=f'{{"text": "{"x" * 2 * MIB}"}}')
DEEP = page(8, START, properties=f'{{"x": {"[" * 50_000}{"]" * 50_000}}}')
"""No collector lets it pass; others may write to `raw`, too."""


async def test_of_an_envelope_what_fails_is_refused_and_the_rest_is_done(app: Application) -> None:
    stage = Stage(app, largest_bytes=MIB, takes_bytes=MIB)
    mixed = envelope(*GOOD[:3], LARGE, *GOOD[3:5], DEEP, *GOOD[5:])

    await stage.take(message(1, mixed))

    assert ids(stage.log.records(Event)) == ids(GOOD)
    refused: list[Rejected] = stage.log.records(Rejected)
    assert [(one.rejected_id, one.reasons) for one in refused] == [
        ("trackstream.raw-0-1-3", ["too_large"]),
        ("trackstream.raw-0-1-6", ["internal"]),
    ]
    again = codec.decode(refused[1].payload)
    assert again == msgspec.structs.replace(mixed, events=[DEEP])
    assert (refused[1].origin, refused[1].key) == ("raw", "app|cookie:c")
    state = stage.visitor
    assert state is not None
    assert (len(state.recent), state.sessions[0].cells[0].event_count) == (7, 7)
    rejected = [
        stage.context.metrics.value("trackstream_rejected_total", agent="enrich", reason=r)
        for r in ("too_large", "internal")
    ]
    assert rejected == [1, 1]

    first = list(stage.log.written)
    stage.log.written.clear()
    await stage.take(message(1, mixed))
    assert stage.visitor == state
    kinds = Event, Rejected
    assert [one for one in stage.log.written if one.topic.endswith(("events", "rejected"))] == [
        one for one in first if one.topic.endswith(("events", "rejected"))
    ]
    assert [len(stage.log.records(kind)) for kind in kinds] == [7, 2]
    await stage.take(message(2, mixed))
    assert stage.context.metrics.value("trackstream_duplicates_total", agent="enrich") == 7


async def test_an_envelope_of_which_nothing_can_be_done_is_refused(app: Application) -> None:
    stage = Stage(app, largest_bytes=MIB, takes_bytes=MIB)
    await stage.take(message(1, envelope(LARGE)), message(2, envelope(*GOOD)), message(3, b"junk"))

    refused: list[Rejected] = stage.log.records(Rejected)
    assert [(one.rejected_id, one.reasons) for one in refused] == [
        ("trackstream.raw-0-1", ["too_large"]),
        ("trackstream.raw-0-3", ["undecodable"]),
    ]
    assert refused[1].payload == b"junk"
    assert len(refused[0].payload) < MIB
    assert "the first" in refused[0].detail
    assert ids(stage.log.records(Event)) == ids(GOOD)


async def test_a_state_that_nobody_can_write_is_its_messages_fault_alone(app: Application) -> None:
    """No visit makes such a state by now; what makes one would be found so."""
    stage = Stage(app, largest_bytes=MIB, takes_bytes=MIB)
    step = enrich.step(stage.context)
    visitors = stage.context.tables.visitors
    worse = VisitorState(app_id="app", subject="s", newest_ms=2**70)
    larger = VisitorState(app_id="app", subject="s", linked=[2**63] * 200_000)

    def poisoned(record: Record, at: Any, effects: Any) -> None:
        step(record, at, effects)
        state = {b"worse": worse, b"large": larger}.get(at.key.encode())
        if state is not None:
            effects.save(visitors, at.key, state)

    handler = Handler(poisoned, "enrich", "1")
    batch = [
        message(1, envelope(GOOD[0])),
        message(2, envelope(*GOOD[1:3]), b"worse"),
        message(3, envelope(GOOD[1])),
        message(4, envelope(GOOD[2]), b"large"),
        message(5, envelope(GOOD[3])),
    ]
    await take(batch, handler, stage.context)

    refused: list[Rejected] = stage.log.records(Rejected)
    assert [one.rejected_id[-4:] for one in refused] == ["-2-0", "-2-1", "-0-4"]
    assert [one.reasons for one in refused] == [["internal"], ["internal"], ["too_large"]]
    assert ids(stage.log.records(Event)) == ["e0", "e1", "e3"]
    assert stage.visitor is not None
    assert stage.visitor.applied == 5
    count = stage.context.metrics.value
    assert count("trackstream_messages_in_total", agent="enrich") == 5
    assert count("trackstream_events_in_total", agent="enrich") == 3


async def test_topics_of_kafkas_own_size_stop_nobody(app: Application) -> None:
    stage = Stage(app, largest_bytes=4 * MIB, takes_bytes=MIB)
    await stage.take(message(1, envelope(GOOD[0], LARGE)), message(2, envelope(*GOOD)))

    assert ids(stage.log.records(Event)) == ids(GOOD)
    (refused,) = stage.log.records(Rejected)
    assert (refused.rejected_id, refused.reasons) == ("trackstream.raw-0-1-1", ["too_large"])


async def test_what_was_due_is_due_still_when_a_batch_is_handled_again(app: Application) -> None:
    stage = Stage(app, largest_bytes=4 * MIB, takes_bytes=MIB)
    await stage.take(message(1, envelope(GOOD[0])))
    visitors = stage.context.tables.visitors
    assert visitors.take_due(0, 0, 1) == []
    stage.log.written.clear()
    over = START + DEFAULT.session_gap_ms + 1
    await stage.take(message(2, Tick(at_ms=over)), message(3, envelope(LARGE), b"app|cookie:d"))

    closed: list[Session] = stage.log.records(Session)
    assert [(one.status, one.revision) for one in closed] == [("closed", 2)]
    assert len(stage.log.records(Rejected)) == 1
