import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.reasons import Reason
from trackstream.core.signing import MAX_SKEW_S, sign, signature_of, signed_headers, verify

NOW_S = 1_752_148_800


def verdict(**changes: str | bytes | int) -> Reason | None:
    request: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/event?a=1",
        "body": b"{}",
        "timestamp": str(NOW_S),
        "nonce": "n",
    }
    authorization = "HMAC " + sign("secret", **request)
    request |= {"authorization": authorization, "now_s": NOW_S, **changes}
    return verify("secret", **request)


def test_the_canonical_string_is_as_published() -> None:
    message = b"1752148800.n.POST./v1/event?a=1.{}"
    expected = hmac.new(b"secret", message, hashlib.sha256).hexdigest()
    assert (
        sign(
            "secret",
            method="post",
            path="/v1/event?a=1",
            body=b"{}",
            timestamp="1752148800",
            nonce="n",
        )
        == expected
    )


def test_a_signed_request_is_accepted_within_five_minutes() -> None:
    assert verdict() is None
    assert verdict(now_s=NOW_S + MAX_SKEW_S) is None
    assert verdict(now_s=NOW_S - MAX_SKEW_S) is None
    assert verdict(now_s=NOW_S + MAX_SKEW_S + 1) is Reason.EXPIRED_SIGNATURE
    assert verdict(now_s=NOW_S - MAX_SKEW_S - 1) is Reason.EXPIRED_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"{} "},
        {"path": "/v1/event"},
        {"method": "PUT"},
        {"timestamp": str(NOW_S + 1)},
        {"timestamp": "\u0661\u0667\u0665"},
        {"timestamp": ""},
        {"nonce": ""},
        {"nonce": "n" * 65},
        {"authorization": "HMAC " + "0" * 64},
        {"authorization": "HMAC é"},
        {"authorization": "HMAC " + "0" * 63},
        {"authorization": ""},
        {"authorization": "Basic abc"},
    ],
)
def test_whatever_differs_is_a_bad_signature(change: dict[str, str | bytes]) -> None:
    assert verdict(**change) is Reason.BAD_SIGNATURE


@given(st.binary(max_size=200), st.text(max_size=40), st.text(max_size=64))
def test_signed_headers_verify(body: bytes, path: str, nonce: str) -> None:
    headers = signed_headers(
        "key", "secret", method="POST", path=path, body=body, now_s=NOW_S, nonce=nonce
    )
    for secret, expected in (("secret", None), ("other", Reason.BAD_SIGNATURE)):
        assert (
            verify(
                secret,
                authorization=headers["Authorization"],
                method="POST",
                path=path,
                body=body,
                timestamp=headers["X-Trackstream-Timestamp"],
                nonce=headers["X-Trackstream-Nonce"],
                now_s=NOW_S,
            )
            is expected
        )


def test_a_signature_in_capitals_is_the_same_signature() -> None:
    assert signature_of("HMAC ABCDEF ") == signature_of("HMAC abcdef")


@given(st.text(max_size=100))
def test_no_header_whatever_raises(text: str) -> None:
    assert verdict(authorization=text) is Reason.BAD_SIGNATURE
    assert verdict(timestamp=text) in {Reason.BAD_SIGNATURE, Reason.EXPIRED_SIGNATURE}
