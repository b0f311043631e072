from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from trackstream.cli.explanation import duration, tell
from trackstream.core.records import Candidate, Credit, Touch
from trackstream.storage.explain import Explanation, Revision

AT_MS = 1_752_148_800_000
DAY = "2025-07-10"
HOUR_MS = 3_600_000
CLICK = Touch(
    touch_id="t1",
    app_id="shop",
    kind="click",
    at_ms=AT_MS - 2 * HOUR_MS,
    identifiers=["device:d1"],
    click_id="c1",
    campaign_id="spring",
    channel="email",
)
VIEW = msgspec.structs.replace(
    CLICK, touch_id="t2", kind="impression", at_ms=AT_MS - 1_500, campaign_id="summer"
)
LATER = msgspec.structs.replace(CLICK, touch_id="t3", at_ms=AT_MS + 60_000, campaign_id="autumn")


def considered(touch: Touch, match_type: str, verdict: str, confidence: float = 1.0) -> Candidate:
    return Candidate(
        touch=touch,
        identifier="device:d1",
        match_type=match_type,
        confidence=confidence,
        verdict=verdict,
    )


def revision(number: int = 1, **fields: Any) -> Revision:
    values: dict[str, Any] = {
        "decided_at_ms": AT_MS + 500 * number,
        "method": "organic",
        "confidence": 1.0,
        "touch": None,
        "identifier": None,
        "window_ms": None,
        "inherited_from": None,
        "inherited_kind": None,
        "candidates": [],
        "unanswered": [],
        "rules_version": "default-1",
        "previous_method": None,
        "previous_touch_id": None,
    }
    return Revision(revision=number, **(values | fields))


def told(capsys: pytest.CaptureFixture[str], *revisions: Revision, **fields: Any) -> list[str]:
    values: dict[str, Any] = {
        "app_id": "shop",
        "conversion_id": "shop:e1",
        "kind": "install",
        "event": "install",
        "event_id": "e1",
        "person": "user:u1",
        "subject": "shop|device:d1",
        "at_ms": AT_MS,
        "country": None,
        "revenue": None,
        "currency": None,
    }
    tell(Explanation(revisions=list(revisions), **(values | fields)))
    return capsys.readouterr().out.splitlines()


ATTRIBUTED = revision(
    2,
    method="click_deterministic",
    touch=CLICK,
    identifier="device:d1",
    window_ms=7 * 24 * HOUR_MS,
    candidates=[
        considered(LATER, "click_deterministic", "after_conversion"),
        considered(VIEW, "view_deterministic", "lower_class"),
        considered(CLICK, "click_deterministic", "chosen"),
    ],
    previous_method="organic",
)


def test_an_attributed_install_with_all_its_touches(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [re.split(" {2,}", line.strip()) for line in told(capsys, revision(), ATTRIBUTED)]
    click, view = "click_deterministic", "view_deterministic"
    assert lines == [
        ["install", "shop:e1"],
        ["kind", "install"],
        ["app", "shop"],
        ["when", "2025-07-10 12:00:00 UTC"],
        ["person", "user:u1"],
        ["subject", "device:d1"],
        ["method", click],
        ["campaign", "spring"],
        ["decided", "2025-07-10 12:00:01 UTC, revision 2"],
        ["rules", "default-1"],
        [""],
        ["It was brought by a click of campaign spring, channel email, 2 h before."],
        ["Found by device:d1; such touches count for 7 d, and the last of them is chosen."],
        [""],
        ["What was considered, in order of time:"],
        ["time", "touch", "campaign", "match", "found by", "verdict"],
        [f"{DAY} 10:00:00.000", "2 h before", "click", "spring", click, "device:d1", "chosen"],
        [
            *(f"{DAY} 11:59:58.500", "1 s before", "impression", "summer", view, "device:d1"),
            "lower_class: a stronger kind of match counts",
        ],
        [f"{DAY} 12:00:00.000", "install"],
        [
            *(f"{DAY} 12:01:00.000", "1 min after", "click", "autumn", click, "device:d1"),
            "after_conversion: after the conversion",
        ],
        [""],
        ["How the decision changed:"],
        ["1", f"{DAY} 12:00:00.500", "organic"],
        ["2", f"{DAY} 12:00:01.000", click, "spring", "was organic"],
    ]


def test_an_organic_one_says_what_was_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(told(capsys, revision()))
    assert "Organic: it came by itself, as far as is known." in text
    assert "device:d1, user:u1" in text
    assert "What was considered" not in text


def test_an_organic_one_with_touches_says_why_none_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unlike = considered(CLICK, "click_probabilistic", "low_confidence", 0.45)
    text = "\n".join(told(capsys, revision(candidates=[unlike])))
    assert "could have brought it, see below" in text
    assert "click_probabilistic 0.45" in text
    assert "low_confidence: too unlike to be the same device" in text


def test_an_event_has_its_installs(capsys: pytest.CaptureFixture[str]) -> None:
    inherited = revision(
        method="inherited", touch=CLICK, inherited_from="shop:e0", inherited_kind="install"
    )
    text = "\n".join(
        told(
            capsys,
            inherited,
            kind="event",
            event="purchase",
            revenue="59.930000",
            currency="EUR",
            country="DE",
        )
    )
    assert "takes over the attribution of the install shop:e0." in text
    assert "That one was brought by a click of campaign spring" in text
    assert "revenue   59.93 EUR" in text
    assert "country   DE" in text


@pytest.mark.parametrize(
    ("method", "kind", "says"),
    [
        ("inherited", "reengagement", "The event takes over the attribution of the re-engagement"),
        ("inherited", None, "The event takes over the attribution of the conversion"),
        ("reinstall", "install", "it keeps the attribution of the install"),
    ],
)
def test_what_is_taken_over_is_called_what_it_is(
    method: str, kind: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    over = revision(method=method, touch=CLICK, inherited_from="shop:e0", inherited_kind=kind)
    assert f"{says} shop:e0." in "\n".join(told(capsys, over))


def test_an_organic_installs_event_is_nobodys(capsys: pytest.CaptureFixture[str]) -> None:
    inherited = revision(method="inherited", inherited_from="shop:e0")
    assert "That one was organic: nobody's." in told(capsys, inherited)


def test_a_decision_without_all_answers_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(told(capsys, revision(unanswered=["user:u9"])))
    assert "Decided without an answer about user:u9" in text


@pytest.mark.parametrize(
    ("span_ms", "says"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1 s"),
        (61_000, "1 min 1 s"),
        (3_600_000, "1 h"),
        (3_601_000, "1 h"),
        (90_000_000, "1 d 1 h"),
        (7 * 86_400_000, "7 d"),
    ],
)
def test_lengths_of_time_are_for_reading(span_ms: int, says: str) -> None:
    assert duration(span_ms) == says


def test_several_touches_share_the_credit_and_flags_and_fraud_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd = msgspec.structs.replace(
        considered(VIEW, "view_deterministic", "lower_class"), flags=["geo_mismatch"]
    )
    caught = considered(LATER, "click_deterministic", "fraud:bot")
    decision = revision(
        method="click_deterministic",
        touch=CLICK,
        identifier="device:d1",
        candidates=[considered(CLICK, "click_deterministic", "chosen"), odd, caught],
    )
    shares = {("last", "t1"): 1_000_000, ("linear", "t1"): 500_000, ("linear", "t2"): 500_000}
    lines = told(
        capsys,
        decision,
        credits=[
            Credit(model=model, touch_id=touch_id, share_millionths=share)
            for (model, touch_id), share in shares.items()
        ],
    )
    text = "\n".join(lines)
    assert re.search(r"lower_class.*\(flagged:\s+geo_mismatch\)|flagged: geo_mismatch", text)
    assert "fraud:bot" in text
    assert any(re.fullmatch(r"\s*last\s+100\.0 %\s*", line) for line in lines)
    assert any(re.fullmatch(r"\s*linear\s+50\.0 %\s+50\.0 %\s*", line) for line in lines)
