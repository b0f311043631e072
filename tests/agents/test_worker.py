"""What one worker does with what comes, on a real broker."""

from __future__ import annotations

import stat
from typing import Any

import msgspec
import pytest

from tests.agents.running import Log, Worker, click, envelope, now_ms, settled
from trackstream import codec
from trackstream.core.records import (
    Answer,
    Attribution,
    Conversion,
    Event,
    PersonLink,
    Rejected,
    Session,
    Tick,
)

pytestmark = pytest.mark.xdist_group("worker")


async def test_an_envelope_becomes_events_and_a_session(log: Log, name: str) -> None:
    await log.post(envelope(name, "page_view", "add_to_cart"))

    events = await log.until(
        lambda log: (
            [e for e in log.of(Event) if e.subject == f"demo|device:{name}"][1:]
            and [e for e in log.of(Event) if e.subject == f"demo|device:{name}"]
        )
    )
    sessions = await log.until(lambda log: [s for s in log.of(Session) if name in s.subject])

    assert [e.event for e in events] == ["page_view", "add_to_cart"]
    assert events[0].person == f"device:{name}"
    assert events[0].browser == "Firefox"
    assert {e.session_id for e in events} == {sessions[0].session_id}
    assert sessions[0].status == "open"


async def test_a_click_is_found_by_the_install_that_names_it(log: Log, name: str) -> None:
    await log.touch(click(name))
    await log.post(envelope(name, "install", click_id=name))

    attribution = await log.until(
        lambda log: next((a for a in log.of(Attribution) if name in a.subject), None)
    )

    assert attribution.method == "click_deterministic"
    assert attribution.touch is not None
    assert attribution.touch.campaign_id == "cmp001"
    assert attribution.unanswered == []


@pytest.mark.parametrize(
    ("topic", "stage"), [("raw", "enrich"), ("identity", "match"), ("candidates", "attribute")]
)
async def test_what_cannot_be_decoded_is_rejected_as_it_came(
    log: Log, name: str, topic: str, stage: str
) -> None:
    await log.write(topic, f"demo|device:{name}", f"junk {name}".encode())

    rejected = await log.until(
        lambda log: next(
            (r for r in log.of(Rejected) if r.payload == f"junk {name}".encode()), None
        )
    )

    assert (rejected.stage, rejected.reasons) == (stage, ["undecodable"])
    assert rejected.app_id == "demo"


async def test_a_record_that_belongs_elsewhere_is_rejected_and_nothing_stops(
    log: Log, name: str
) -> None:
    await log.write("identity", f"demo|device:{name}", envelope(name, "page_view"))
    await log.touch(click(name))
    await log.post(envelope(name, "install", click_id=name))

    rejected = await log.until(
        lambda log: next((r for r in log.of(Rejected) if name.encode() in r.payload), None)
    )
    await log.until(lambda log: [a for a in log.of(Attribution) if name in a.subject])

    assert (rejected.stage, rejected.reasons) == ("match", ["internal"])


async def test_time_closes_an_idle_session(log: Log, name: str) -> None:
    await log.post(envelope(name, "page_view"))

    closed = await log.until(
        lambda log: next(
            (s for s in log.of(Session) if name in s.subject and s.status == "closed"), None
        )
    )

    assert closed.event_count == 1


async def test_time_decides_without_the_answers_that_are_missing(log: Log, name: str) -> None:
    conversion = Conversion(
        conversion_id=f"c-{name}",
        app_id="demo",
        kind="install",
        event="install",
        event_id=name,
        at_ms=now_ms(),
        subject=f"demo|device:{name}",
        person=f"device:{name}",
        identifiers=[f"device:{name}", f"idfa:{name}"],
    )
    answer = Answer(conversion=conversion, identifier=f"device:{name}", depth=0)
    await log.write("candidates", conversion.conversion_id, answer)

    attribution = await log.until(
        lambda log: next((a for a in log.of(Attribution) if name in a.subject), None)
    )

    assert attribution.method == "organic"
    assert attribution.unanswered == [f"idfa:{name}"]


async def test_a_replayed_decision_is_published_as_it_is_where_its_conversion_is_forgotten(
    log: Log, name: str
) -> None:
    def decisions(log: Log) -> list[Attribution]:
        return [one for one in log.of(Attribution) if name in one.subject]

    await log.post(envelope(name, "install"))
    [known] = await log.until(decisions)
    unknown = msgspec.structs.replace(known, rules_version="rules-nobody-has", revision=2)
    forgotten = msgspec.structs.replace(known, conversion_id=f"demo:old-{name}", revision=4)

    await log.write("candidates", unknown.conversion_id, unknown)
    await log.write("candidates", forgotten.conversion_id, forgotten)
    both = await log.until(lambda log: decisions(log)[1:] and decisions(log))
    rejected = await log.until(
        lambda log: next((r for r in log.of(Rejected) if "rules-nobody-has" in r.detail), None)
    )

    assert both == [known, forgotten]
    assert codec.decode(rejected.payload) == unknown


async def test_a_tick_that_was_written_long_ago_does_nothing(log: Log, name: str) -> None:
    await log.write("raw", f"demo|device:{name}", Tick(at_ms=1))
    await log.post(envelope(name, "page_view"))

    await log.until(lambda log: [s for s in log.of(Session) if name in s.subject])

    assert not [r for r in log.of(Rejected) if name in str(r.payload)]


async def test_a_retry_is_counted_once(log: Log, worker: Worker, name: str) -> None:
    one = envelope(name, "page_view")
    await log.post(one, one)
    await log.post(envelope(name, "page_view", "add_to_cart"))
    await log.until(lambda log: [e for e in log.of(Event) if e.event_id == f"{name}-add_to_cart"])

    assert len([e for e in log.of(Event) if e.event_id == f"{name}-page_view"]) == 1
    counted = 'trackstream_duplicates_total{agent="enrich"}'
    assert counted in settled(lambda: worker.get("/metrics")[1], lambda text: counted in text)


async def test_a_state_is_shown_by_its_key(log: Log, worker: Worker, name: str) -> None:
    await log.post(envelope(name, "page_view"))
    await log.until(lambda log: [e for e in log.of(Event) if name in e.subject])

    status, shown = settled(
        lambda: worker.get(f"/tables/visitors/demo%7Cdevice:{name}"),
        lambda answer: answer[0] == 200,
    )

    assert (status, shown["key"]) == (200, f"demo|device:{name}")
    assert shown["value"]["subject"] == f"demo|device:{name}"
    assert shown["value"]["sessions"][0]["cells"][0]["event_count"] == 1
    assert worker.get("/tables/visitors/nobody")[1]["reason"] == "not_found"
    assert worker.get("/tables/nothing/nobody")[0] == 404


async def test_campaigns_are_counted_live(log: Log, worker: Worker, name: str) -> None:
    await log.touch(click(name, campaign_id=name), click(f"{name}-2", campaign_id=name))
    await log.touch(click(name, campaign_id=name))
    seen = msgspec.structs.replace(
        click(f"{name}-seen", campaign_id=name),
        kind="impression",
        identifiers=[f"idfa:{name}", f"fp:{name}"],
    )
    await log.touch(seen, seen)
    await log.post(envelope(name, "install", click_id=name))
    await log.until(lambda log: [a for a in log.of(Attribution) if name in a.subject])

    wanted = {"clicks": 2, "impressions": 1, "installs": 1, "conversions": 0}
    shown = settled(
        lambda: worker.get(f"/campaigns/{name}/live?minutes=60")[1],
        lambda shown: shown["total"].items() >= wanted.items(),
    )
    _, every = worker.get("/campaigns/live")

    assert shown["total"].items() >= wanted.items()
    assert shown["silent"] == []
    assert [c["total"]["clicks"] for c in every["campaigns"] if c["campaign_id"] == name] == [2]
    assert worker.get(f"/campaigns/{name}/live?minutes=0")[0] == 422
    assert worker.get("/campaigns/partial")[0] == 403


async def test_a_log_in_says_who_is_whom(log: Log, name: str) -> None:
    one = envelope(name, "identify")
    event = msgspec.structs.replace(one.events[0], user_id=f"u-{name}")
    await log.post(msgspec.structs.replace(one, events=[event]))

    link = await log.until(
        lambda log: next((p for p in log.of(PersonLink) if name in p.identifier), None)
    )

    assert (link.kind, link.identifier, link.other) == (
        "identified",
        f"device:{name}",
        f"user:u-{name}",
    )


async def test_apps_are_counted_live(log: Log, worker: Worker, name: str) -> None:
    at = now_ms()
    for device, events in (("a", ["page_view", "purchase"]), ("b", ["page_view"])):
        one = envelope(f"{name}-{device}", *events, at_ms=at)
        app = msgspec.structs.replace(one, app_id=name, subject=f"{name}|device:{device}")
        await log.post(app, app)
    later = envelope(f"{name}-c", "page_view", at_ms=at - 20 * 60_000)
    await log.post(msgspec.structs.replace(later, app_id=name, subject=f"{name}|device:a"))
    await log.until(lambda log: len([e for e in log.of(Event) if e.app_id == name]) == 4)

    def shown() -> dict[str, Any] | None:
        live = worker.get(f"/apps/{name}/live?windows=6")[1]
        assert live["silent"] == []
        return next((w for w in live["windows"] if w["events"] == 4), None)

    window = settled(shown, bool)
    assert window is not None
    assert (window["active_subjects"], window["converting_subjects"]) == (2, 1)
    assert (window["sessions_started"], window["conversions"]) == (3, 1)
    assert window["conversion_rate"] == 0.5
    assert window["end_ms"] - window["begin_ms"] == 30 * 60_000
    assert worker.get(f"/apps/{name}/live?windows=0")[0] == 422
    assert worker.get("/apps/partial")[0] == 403
    assert {w["events"] for w in worker.get("/apps/nobody/live")[1]["windows"]} == {0}


def test_what_is_kept_of_people_is_for_no_other_user(worker: Worker) -> None:
    state = worker.folder / "state"
    assert any(state.rglob("CURRENT"))
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_health_metrics_and_the_page_are_served(worker: Worker) -> None:
    assert worker.get("/health/live") == (200, {"status": "live"})
    assert worker.get("/health/ready") == (200, {"status": "ready"})
    assert "# TYPE trackstream_step_seconds histogram" in worker.get("/metrics")[1]
    status, page = worker.get("/live")
    assert status == 200
    assert "<caption>" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
