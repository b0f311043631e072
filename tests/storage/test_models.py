from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tests.storage.records import AT_MS, DAY_MS, a_touch, an_attribution, an_event
from tests.storage.warehoused import write
from trackstream.core.models import ConvertedPath, PathCount, PathTouch
from trackstream.core.records import Campaign, Candidate
from trackstream.storage.model_paths import Period, read
from trackstream.storage.model_results import ModelResult, ModelResultRow, keep, kept

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.core.records import Event, Touch

DAY = Period(
    app_id="demo",
    begin=datetime(2025, 7, 10, tzinfo=UTC),
    end=datetime(2025, 7, 11, tzinfo=UTC),
)
MINUTE_MS = 60_000


def candidate(touch: Touch, verdict: str) -> Candidate:
    return Candidate(
        touch=touch,
        identifier="device:d1",
        match_type="click_deterministic",
        confidence=1.0,
        verdict=verdict,
    )


def visit(event_id: str, person: str, session_id: str, **other: Any) -> Event:
    other = {"campaign": Campaign(channel="search"), **other}
    return an_event(event_id, person=person, session_id=session_id, **other)


def test_a_converted_path_is_the_newest_decisions_eligible_candidates(
    engine: Engine, migrated_url: str
) -> None:
    old = a_touch("old", channel="display", at_ms=AT_MS - 2 * DAY_MS)
    new = a_touch("new", channel=None, campaign=Campaign(utm_medium="email"))
    late = a_touch("late", at_ms=AT_MS + 5)
    both = [candidate(old, "older"), candidate(new, "chosen"), candidate(late, "after_conversion")]
    write(
        migrated_url,
        an_attribution(
            "v1", 1, touch=old, candidates=both[:1], revenue_micros=49_990_000, currency="EUR"
        ),
        an_attribution(
            "v1", 2, touch=new, candidates=both, revenue_micros=49_990_000, currency="EUR"
        ),
        an_attribution("v2", method="organic", touch=None, candidates=[both[2]]),
        an_attribution("before", at_ms=AT_MS - DAY_MS),
        an_attribution("elsewhere", app_id="other"),
    )
    found = read(engine, DAY)
    assert found.unconverted == []
    assert sorted(found.converted) == [
        ConvertedPath((), AT_MS, 0, None),
        ConvertedPath(
            (
                PathTouch("old", AT_MS - 2 * DAY_MS, "display"),
                PathTouch("new", AT_MS - 60_000, "email"),
            ),
            AT_MS,
            49_990_000,
            "EUR",
        ),
    ]


def test_only_conversions_of_one_event(engine: Engine, migrated_url: str) -> None:
    write(
        migrated_url,
        an_attribution("v1", candidates=[candidate(a_touch(), "chosen")]),
        an_attribution("v2", event="purchase", touch=None, method="organic", candidates=[]),
        visit("e1", "device:d1", "s1"),
    )
    purchases = Period(app_id="demo", begin=DAY.begin, end=DAY.end, event="purchase")
    assert [one.path for one in read(engine, purchases).converted] == [()]
    # Whoever installed has not signed up: of that event, a journey without a conversion.
    signed_up = Period(app_id="demo", begin=DAY.begin, end=DAY.end, event="sign_up")
    found = read(engine, signed_up)
    assert (found.converted, found.unconverted) == ([], [PathCount(("search",), 0, 0, 1)])


def test_a_path_without_conversion_is_a_persons_marked_sessions(
    engine: Engine, migrated_url: str
) -> None:
    write(
        migrated_url,
        # A session's pages are one touch; another channel in it is another one.
        visit("a1", "user:a", "s1", timestamp_ms=AT_MS),
        visit("a2", "user:a", "s1", timestamp_ms=AT_MS + MINUTE_MS),
        visit(
            "a3",
            "user:a",
            "s1",
            timestamp_ms=AT_MS + 2 * MINUTE_MS,
            campaign=Campaign(utm_medium="email"),
        ),
        visit("a4", "user:a", "s2", timestamp_ms=AT_MS + 90 * MINUTE_MS),
        visit("b1", "user:b", "s3", campaign=Campaign(click_ids={"gclid": "x"})),
        visit("b2", "user:b2", "s4", campaign=Campaign(campaign_id="c")),
        # None of these is a touch: no campaign, a bot, another day, another app.
        visit("c1", "user:c", "s5", campaign=None),
        visit("c2", "user:c", "s6", campaign=Campaign()),
        visit("c3", "user:c", "s7", bot=True),
        visit("c4", "user:c", "s8", timestamp_ms=AT_MS + DAY_MS),
        visit("c5", "user:c", "s9", app_id="other"),
        # Who converts in the period is no path without conversion.
        visit("d1", "device:d1", "s10"),
        an_attribution("v1"),
    )
    found = read(engine, DAY)
    assert sorted(found.unconverted) == [
        PathCount(("(none)",), 0, 0, 2),
        PathCount(("search", "email", "search"), 0, 0, 1),
    ]


def test_results_are_kept_and_listed(engine: Engine) -> None:
    result = ModelResult(
        app_id="demo",
        model="markov",
        parameters={"order": 2},
        source="stored",
        first_day=date(2025, 7, 1),
        last_day=date(2025, 7, 31),
        event=None,
        currency="EUR",
        total_nulls=7,
        rows=[
            ModelResultRow(
                channel=channel,
                share=0.5,
                conversions_millionths=1_500_000,
                value_micros=10_010_000,
                effect=0.25,
                standard_error=None,
            )
            for channel in ("a", "b")
        ],
    )
    first, second = keep(engine, result), keep(engine, result)
    rows = kept(engine, "demo")
    assert [row["result_id"] for row in rows] == [second, first]
    assert rows[0]["parameters"] == {"order": 2}
    assert (rows[0]["channels"], float(rows[0]["conversions"]), str(rows[0]["value"])) == (
        2,
        3.0,
        "20.020000",
    )
    assert kept(engine, "other") == []
