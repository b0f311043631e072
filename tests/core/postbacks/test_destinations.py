from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.postbacks.samples import a_destination, a_touch, an_attribution
from trackstream.core.postbacks.destinations import (
    Request,
    postback_id,
    problems,
    request_of,
    triggered,
)
from trackstream.core.postbacks.webhooks import secret_text

ORGANIC = an_attribution(touch=None, method="organic")
SAME_AGAIN = an_attribution(
    revision=2, previous_method="click_deterministic", previous_touch_id="t1"
)
NOW_ITS_OWN = an_attribution(revision=2, previous_method="organic")
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
