"""One subject's envelopes, applied one after the other."""

from __future__ import annotations

import msgspec

from trackstream.core.live_funnels import NO_FUNNELS, LiveFunnels
from trackstream.core.lookups import Place, UserAgent
from trackstream.core.records import Context, Envelope, RawEvent
from trackstream.core.rules import DEFAULT, Rules
from trackstream.core.visits import VisitorState, VisitOutcome, visit

GAP = DEFAULT.session_gap_ms
START = 1_400_000_000_000
NOW = START + 100 * GAP


def page(n: int, at_ms: int, event: str = "page_view", **more: object) -> RawEvent:
    fields = {"context": Context(page_url=f"/p{n}"), "cookie_id": "c", **more}
    return RawEvent(event_id=f"e{n}", event=event, timestamp_ms=at_ms, **fields)  # type: ignore[arg-type] # test data


def envelope(
    *events: RawEvent, received_at_ms: int = NOW, sent_at_ms: int | None = None
) -> Envelope:
    return Envelope(
        app_id="app",
        subject="app|cookie:c",
        received_at_ms=received_at_ms,
        sent_at_ms=sent_at_ms,
        ip="192.0.2.1",
        events=list(events),
    )


def apply(
    state: VisitorState | None,
    one: Envelope,
    offset: int,
    rules: Rules = DEFAULT,
    funnels: LiveFunnels = NO_FUNNELS,
) -> tuple[VisitorState, VisitOutcome]:
    after, out = visit(
        state,
        one,
        offset=offset,
        place=Place(country="AT"),
        user_agent=UserAgent(),
        rules=rules,
        funnels=funnels,
    )
    return msgspec.msgpack.decode(msgspec.msgpack.encode(after), type=VisitorState), out


def run(batches: list[list[RawEvent]]) -> tuple[VisitorState, list[VisitOutcome]]:
    state, outs = None, []
    for offset, batch in enumerate(batches):
        state, out = apply(state, envelope(*batch), offset)
        outs.append(out)
    assert state is not None
    return state, outs
