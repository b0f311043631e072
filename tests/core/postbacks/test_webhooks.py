"""Signatures, verified by the library of the specification's own authors."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from trackstream.core.postbacks.webhooks import headers_of, secret_problem, secret_text


@given(key=st.binary(min_size=24, max_size=64), body=st.text(st.characters(codec="utf-8")))
def test_others_verify_what_is_signed(key: bytes, body: str) -> None:
    secret = secret_text(key)
    headers = headers_of("pb_1", body.encode(), now_s=int(time.time()), secret=secret)
    Webhook(secret).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + " ", headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, {**headers, "webhook-id": "pb_2"}, json_parse=False)


def test_without_a_secret_id_and_time_are_told() -> None:
    assert headers_of("pb_1", b"", now_s=5, secret=None) == {
        "webhook-id": "pb_1",
        "webhook-timestamp": "5",
    }


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("", "whsec_"),
        ("whsec_", "24 to 64"),
        (secret_text(b"x" * 23), "23"),
        (secret_text(b"x" * 65), "65"),
        ("whsec_!!!!", "base64"),
        (secret_text(b"x" * 24).removeprefix("whsec_"), "whsec_"),
    ],
)
def test_what_can_be_no_secret_is_told(secret: str, says: str) -> None:
    assert says in str(secret_problem(secret))


@pytest.mark.parametrize("size", [24, 64])
def test_a_secret_of_the_specified_length_is_one(size: int) -> None:
    assert secret_problem(secret_text(b"x" * size)) is None
