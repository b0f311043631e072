"""Marks of sources, times from click to install, and what the rules have noticed, on PostgreSQL."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from tests.storage.records import AT_MS, DAY_MS, a_touch, an_attribution
from tests.storage.warehoused import write
from trackstream.core.flooding import Group, Judged
from trackstream.core.fraud import source_of
from trackstream.core.records import Candidate, Conversion
from trackstream.storage import click_times, fraud_report
from trackstream.storage.fraud_sources import Mark, listed, mark, marked_sources, unmark

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.core.records import Attribution, Touch

GUILTY = Judged(
    source="summer/flood",
    match_type="click_deterministic",
    window_ms=7 * DAY_MS,
    installs=80,
    others=2000,
    median_ms=300_000_000,
    day_share=0.9,
    far_share=0.5,
    spike_share=0.0,
    distance=0.7,
    p_flooding=1e-9,
    p_injection=1.0,
    verdict="flooding",
)
DAY = datetime(2025, 7, 10, tzinfo=UTC)
LATER = DAY + timedelta(days=60)


def judged(source: str, verdict: str = "flooding") -> Judged:
    return msgspec.structs.replace(GUILTY, source=source, verdict=verdict)


def test_fraudulent_sources_are_marked_and_no_others(engine: Engine) -> None:
    found = [judged("b/2"), judged("a/1", "injection"), judged("c/3", "late"), judged("d/4", "")]
    assert mark(engine, "demo", found, at_ms=AT_MS) == ["a/1", "b/2"]
    assert marked_sources(engine, "demo") == ("a/1", "b/2")
    assert marked_sources(engine, "other") == ()
    first = listed(engine, "demo")[0]
    assert first == Mark(
        app_id="demo",
        source="a/1",
        since_ms=AT_MS,
        reason="injection",
        figures=first.figures,
        unmarked_at_ms=None,
    )
    assert (first.figures["installs"], first.figures["p_flooding"]) == (80, 1e-9)
    assert mark(engine, "demo", [judged("x/1", "ordinary")], at_ms=AT_MS) == []


def test_marking_again_keeps_since_when_and_takes_the_new_figures(engine: Engine) -> None:
    mark(engine, "demo", [judged("a/1")], at_ms=AT_MS)
    again = msgspec.structs.replace(judged("a/1"), installs=99)
    assert mark(engine, "demo", [again], at_ms=AT_MS + DAY_MS) == []
    [found] = listed(engine, "demo")
    assert (found.since_ms, found.figures["installs"]) == (AT_MS, 99)


def test_of_two_verdicts_on_a_source_the_first_is_its_reason(engine: Engine) -> None:
    assert mark(engine, "demo", [judged("a/1", "injection"), judged("a/1")], at_ms=AT_MS) == ["a/1"]
    assert [one.reason for one in listed(engine, "demo")] == ["injection"]


def test_unmarked_sources_are_remembered_and_can_be_marked_anew(engine: Engine) -> None:
    mark(engine, "demo", [judged("a/1"), judged("b/2")], at_ms=AT_MS)
    mark(engine, "other", [judged("a/1")], at_ms=AT_MS)
    before_ms = int(time.time() * 1000) - 1
    assert unmark(engine, "demo", ["a/1", "nobody/0"]) == ["a/1"]
    assert unmark(engine, "demo", ["a/1"]) == []
    assert marked_sources(engine, "demo") == ("b/2",)
    assert marked_sources(engine, "other") == ("a/1",)
    [was, still] = listed(engine, "demo")
    assert was.unmarked_at_ms is not None
    assert before_ms < was.unmarked_at_ms < before_ms + 60_000
    assert still.unmarked_at_ms is None
    assert mark(engine, "demo", [judged("a/1")], at_ms=AT_MS + DAY_MS) == ["a/1"]
    assert (listed(engine, "demo")[0].since_ms, listed(engine, "demo")[0].unmarked_at_ms) == (
        AT_MS + DAY_MS,
        None,
    )


def install(name: str, clicked_ms: int, took_ms: int, **other: Any) -> Attribution:
    """An install that came so long after its click; `conversion`: what more is known of it."""
    known: dict[str, Any] = {
        "conversion_id": name,
        "app_id": "demo",
        "kind": "install",
        "event": "install",
    }
    known |= {"event_id": name, "subject": "s", "person": "p"}
    more = {"at_ms": clicked_ms + took_ms, **other.pop("conversion", {})}
    asked = Conversion(**known, identifiers=[], **more)
    about = {"campaign_id": "summer", "sub_publisher": "p1", **other.pop("about", {})}
    click = a_touch(f"t-{name}", at_ms=clicked_ms, **about)
    values = {"touch": click, "at_ms": clicked_ms + took_ms, "event_id": name, **other}
    values["conversion"] = asked
    return an_attribution(name, **values)


def test_times_are_those_of_clicks_whose_window_has_passed(
    engine: Engine, migrated_url: str
) -> None:
    begin_ms, end_ms = AT_MS, AT_MS + 10 * DAY_MS
    nobody = {"about": {"campaign_id": None}}
    view = {"method": "view_deterministic"}
    write(
        migrated_url,
        install("a", begin_ms, 5_001),
        install("b", end_ms - 1, 6 * DAY_MS),
        install("c", begin_ms, 7, about={"sub_publisher": None}),
        install("guess", begin_ms, 8, method="click_probabilistic", window_ms=DAY_MS),
        install("twice", begin_ms, 9, revision=1, about={"sub_publisher": "old"}),
        install("twice", begin_ms, 9, revision=2, about={"sub_publisher": "new"}),
        # before, after, another app's, no install, a view, a reinstall, no campaign
        install("d", begin_ms - 1, 1),
        install("e", end_ms, 1),
        install("f", begin_ms, 1, app_id="other"),
        install("g", begin_ms, 1, kind="event"),
        install("h", begin_ms, 1, **view),
        install("i", begin_ms, 1, method="reinstall", window_ms=None),
        install("j", begin_ms, 1, **nobody),
    )

    def read(now_ms: int) -> dict[Group, dict[str, list[int]]]:
        moments = [datetime.fromtimestamp(ms / 1000, UTC) for ms in (begin_ms, end_ms, now_ms)]
        begin, end, now = moments
        groups = click_times.read(engine, "demo", begin=begin, end=end, now=now)
        return {
            group: {source: list(times) for source, times in sources.items()}
            for group, sources in groups.items()
        }

    guess = Group("click_probabilistic", DAY_MS)
    sure = Group("click_deterministic", 7 * DAY_MS)
    assert read(end_ms + 7 * DAY_MS) == {
        sure: {"summer/p1": [5_001, 6 * DAY_MS], "summer/": [7], "summer/new": [9]},
        guess: {"summer/p1": [8]},
    }
    assert read(begin_ms + 2 * DAY_MS) == {guess: {"summer/p1": [8]}}
    assert source_of(a_touch(campaign_id="summer")) == "summer/"


def test_what_the_stores_times_clear_is_not_fast(engine: Engine, migrated_url: str) -> None:
    write(
        migrated_url,
        install("injected", AT_MS, 5_001, revision=1),
        install("cleared", AT_MS, 5_002, conversion={"install_begin_at_ms": AT_MS + 1}),
        install("began", AT_MS, 5_003, conversion={"install_begin_at_ms": AT_MS - 1_000}),
        # what counts is the newest revision's
        install("twice", AT_MS, 5_004, revision=1, conversion={"install_begin_at_ms": AT_MS}),
        install("twice", AT_MS, 5_004, revision=2),
        install("slow", AT_MS, 10_000, conversion={"install_begin_at_ms": AT_MS + 1}),
    )
    now = LATER + timedelta(days=60)
    [sources] = click_times.read(engine, "demo", begin=DAY, end=LATER, now=now).values()
    assert sorted(sources["summer/p1"]) == [5_001, 5_003, 5_004, 10_000, 10_000]


def test_an_unmarked_source_is_judged_by_its_clicks_since_then(
    engine: Engine, migrated_url: str
) -> None:
    mark(engine, "demo", [judged("summer/p1")], at_ms=AT_MS)
    unmark(engine, "demo", ["summer/p1"])
    now = datetime.now(UTC)
    today_ms = int(now.timestamp() * 1000)
    write(
        migrated_url,
        install("old", today_ms - DAY_MS, 1),
        install("new", today_ms + DAY_MS, 2),
        install("other", today_ms - DAY_MS, 3, about={"sub_publisher": "p2"}),
    )
    found = click_times.read(
        engine,
        "demo",
        begin=now - timedelta(days=9),
        end=now + timedelta(days=9),
        now=now + timedelta(days=30),
    )
    [sources] = found.values()
    assert {source: list(times) for source, times in sources.items()} == {
        "summer/p1": [2],
        "summer/p2": [3],
    }


def candidate(touch: Touch, verdict: str, *flags: str) -> Candidate:
    return Candidate(
        touch=touch,
        identifier="device:d1",
        match_type="click_deterministic",
        confidence=1.0,
        verdict=verdict,
        flags=list(flags),
    )


def test_the_report_counts_what_rules_have_noticed_in_the_decisions_that_count(
    engine: Engine, migrated_url: str
) -> None:
    summer, winter = a_touch("s", campaign_id="summer"), a_touch("w", campaign_id="winter")
    nameless = a_touch("n", campaign_id=None)
    bots = [
        candidate(summer, "fraud:bot"),
        candidate(a_touch("s2", campaign_id="summer"), "fraud:bot"),
    ]
    odd = [
        candidate(winter, "chosen", "geo_mismatch", "bot"),
        candidate(nameless, "fraud:emulator"),
    ]
    write(
        migrated_url,
        an_attribution("v1", 1, candidates=[candidate(winter, "fraud:bot")]),
        an_attribution("v1", 2, candidates=bots),
        an_attribution("v2", candidates=odd),
        an_attribution("v3", candidates=[candidate(summer, "fraud:bot", "geo_mismatch")]),
        an_attribution("v4", candidates=[candidate(summer, "older")]),
        an_attribution("v5", candidates=[]),
        an_attribution("before", at_ms=AT_MS - DAY_MS, candidates=bots),
        an_attribution("elsewhere", app_id="other", candidates=bots),
    )
    found = fraud_report.read(engine, "demo", begin=DAY, end=DAY + timedelta(days=1))
    rows = [
        (one.rule, one.campaign_id, one.rejected, one.flagged, one.conversions) for one in found
    ]
    assert rows == [
        ("bot", "summer", 3, 0, 2),
        ("emulator", None, 1, 0, 1),
        ("bot", "winter", 0, 1, 1),
        ("geo_mismatch", "summer", 0, 1, 1),
        ("geo_mismatch", "winter", 0, 1, 1),
    ]
    assert fraud_report.read(engine, "demo", begin=LATER, end=LATER + timedelta(days=1)) == []
