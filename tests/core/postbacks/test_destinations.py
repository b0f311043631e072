from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.postbacks.samples import (
    CLICK_MS,
    a_candidate,
    a_destination,
    a_touch,
    an_attribution,
)
from trackstream.core.postbacks.destinations import (
    Request,
    postback_id,
    problems,
    rejected_of,
    request_of,
    triggered,
)
from trackstream.core.postbacks.webhooks import secret_text

ORGANIC = an_attribution(touch=None, method="organic")
SAME_AGAIN = an_attribution(
    revision=2, previous_method="click_deterministic", previous_touch_id="t1"
)
NOW_ITS_OWN = an_attribution(revision=2, previous_method="organic")
REJECTED = [
    a_candidate("chosen"),
    a_candidate("fraud:bot", touch_id="t2", campaign_id="cmp002", at_ms=CLICK_MS - 2),
    a_candidate("older", touch_id="t3", network="other"),
    a_candidate("fraud:blocked_ip", touch_id="t4", network="b", click_id="c4", at_ms=CLICK_MS - 1),
    a_candidate("fraud:click_flooding", touch_id="t5", network="b", at_ms=CLICK_MS - 5),
]
"""Touches of a decision."""
ATTRIBUTED_BESIDE = an_attribution(candidates=REJECTED)
ORGANIC_BESIDE = an_attribution(touch=None, method="organic", candidates=REJECTED[1:])
PURCHASE = an_attribution(kind="event", event="purchase", method="inherited")


@pytest.mark.parametrize(
    ("destination", "attribution", "told"),
    [
        ({}, an_attribution(), True),
        ({"app_id": "other"}, an_attribution(), False),
        ({"campaign_id": "cmp001"}, an_attribution(), True),
        ({"campaign_id": "cmp002"}, an_attribution(), False),
        ({"network": "acme"}, an_attribution(), True),
        ({"network": "other"}, an_attribution(), False),
        ({"network": "acme", "campaign_id": "cmp002"}, an_attribution(), False),
        ({"network": "acme"}, an_attribution(touch=a_touch(network=None)), False),
        ({"events": ("install",)}, an_attribution(), True),
        ({"events": ("install",)}, PURCHASE, False),
        ({"events": ("install",)}, an_attribution(method="reinstall"), False),
        ({"events": ("sign_up", "purchase")}, PURCHASE, True),
        ({}, ORGANIC, False),
        ({}, NOW_ITS_OWN, True),
        ({}, SAME_AGAIN, False),
        ({"organic": True}, ORGANIC, True),
        ({"organic": True, "network": "acme"}, ORGANIC, True),
        ({"organic": True, "network": "acme"}, an_attribution(touch=a_touch(network="b")), False),
        ({"rejected": True}, an_attribution(), False),
        ({"rejected": True}, ORGANIC, False),
        ({"rejected": True}, an_attribution(candidates=[a_candidate("outside_window")]), False),
        ({"rejected": True}, ATTRIBUTED_BESIDE, True),
        ({"rejected": True}, ORGANIC_BESIDE, True),
        ({"rejected": True, "network": "acme"}, ORGANIC_BESIDE, True),
        ({"rejected": True, "network": "other"}, ORGANIC_BESIDE, False),
        ({"rejected": True, "campaign_id": "cmp002"}, ATTRIBUTED_BESIDE, True),
        ({"rejected": True, "campaign_id": "cmp003"}, ATTRIBUTED_BESIDE, False),
        ({"rejected": True, "network": "b", "campaign_id": "cmp002"}, ATTRIBUTED_BESIDE, False),
        ({"rejected": True, "events": ("purchase",)}, ATTRIBUTED_BESIDE, False),
        ({"network": "b"}, ATTRIBUTED_BESIDE, False),
        ({}, ORGANIC_BESIDE, False),
        ({"created_at_ms": an_attribution().decided_at_ms}, an_attribution(), True),
        ({"created_at_ms": an_attribution().decided_at_ms + 1}, an_attribution(), False),
    ],
)
def test_who_is_told_of_what(destination: dict[str, Any], attribution: Any, told: bool) -> None:  # noqa: FBT001 # a case's outcome
    assert triggered(a_destination(**destination), attribution) is told


@pytest.mark.parametrize(
    ("previous", "told"),
    [(("click_deterministic", "t1"), False), (("click_deterministic", "t0"), True)],
)
def test_a_revision_that_only_shares_credit_anew_is_not_told(
    previous: tuple[str, str],
    told: bool,  # noqa: FBT001 # a case's outcome
) -> None:
    method, touch_id = previous
    again = an_attribution(revision=2, previous_method=method, previous_touch_id=touch_id)
    assert triggered(a_destination(), again) is told


@pytest.mark.parametrize(
    ("destination", "touch_id"),
    [({}, "t4"), ({"network": "acme"}, "t2"), ({"network": "b"}, "t4"), ({"network": "c"}, None)],
)
@pytest.mark.parametrize("decided", [ATTRIBUTED_BESIDE, ORGANIC_BESIDE])
def test_of_the_rejected_touches_that_are_its_own_the_newest_is_told(
    destination: dict[str, Any], touch_id: str | None, decided: Any
) -> None:
    found = rejected_of(a_destination(rejected=True, **destination), decided)
    assert (found and found.touch.touch_id) == touch_id
    assert rejected_of(a_destination(**destination), decided) is None


def test_a_rejection_that_comes_to_light_is_told_though_the_credit_stays() -> None:
    again = msgspec.structs.replace(SAME_AGAIN, candidates=REJECTED)
    assert triggered(a_destination(rejected=True), again)
    assert not triggered(a_destination(), again)


def test_a_request_of_a_rejection_speaks_of_the_touch_that_was_rejected() -> None:
    destination = a_destination(
        rejected=True,
        network="b",
        url="https://a.example/?{click_id}&{network}&{campaign_id}&{rejection_reason}&{method}",
    )
    for decided in (ATTRIBUTED_BESIDE, ORGANIC_BESIDE):
        told = request_of(destination, decided)
        assert told.url == "https://a.example/?c4&b&cmp001&blocked_ip&rejected"


def test_nobody_is_told_of_rejections_and_of_what_is_organic_in_one() -> None:
    assert problems(a_destination(rejected=True)) == []
    assert problems(a_destination(rejected=True, organic=True)) == [
        "rejected: tells of touches that were rejected alone, so not of what is organic"
    ]


def test_a_request_is_the_expanded_templates() -> None:
    destination = a_destination(
        method="POST", url="https://a.example/{event}", body='{"c": "{campaign}"}'
    )
    assert request_of(destination, an_attribution(), campaign_name='"S"') == Request(
        method="POST", url="https://a.example/install", body='{"c": "\\"S\\""}'
    )


def test_a_destination_as_in_the_samples_can_be_saved() -> None:
    assert problems(a_destination()) == []
    posted = a_destination(method="POST", body="{}")
    assert problems(posted, secret=secret_text(b"x" * 24)) == []


def test_all_problems_are_told_at_once() -> None:
    broken = a_destination(
        url="https://a.example/{one}",
        body="{",
        name="",
        method="PUT",
        revisions="some",
        on_uncertain="guess",
        events=("",),
        max_concurrency=0,
    )
    told = problems(broken, secret="short")
    assert [one.partition(":")[0] for one in told] == [
        "url",
        "body",
        "method",
        "revisions",
        "on_uncertain",
        "name",
        "events",
        "max_concurrency",
        "secret",
    ]


def test_a_signature_needs_a_body_and_a_body_a_post() -> None:
    assert "nothing" not in problems(a_destination(), secret=secret_text(b"x" * 24))
    assert problems(a_destination(), secret=secret_text(b"x" * 24)) == [
        "secret: a signature covers the body, and there is none"
    ]
    assert problems(a_destination(body="{}")) == ["body: a GET has none; make it a POST"]


@given(
    st.tuples(st.text(max_size=3), st.text(max_size=3), st.integers(1, 9)),
    st.tuples(st.text(max_size=3), st.text(max_size=3), st.integers(1, 9)),
)
def test_an_id_is_that_of_one_postback(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    one, other = _clean(one), _clean(other)
    assert (postback_id(*one) == postback_id(*other)) == (one == other)
    assert postback_id(*one).isascii()


def _clean(key: tuple[str, str, int]) -> tuple[str, str, int]:
    return key[0].replace("\0", ""), key[1].replace("\0", ""), key[2]
