"""Signed requests: HMAC-SHA256 over everything that matters, for one use within five minutes.

The signature is the hex SHA-256 HMAC, under the secret's UTF-8 bytes, of

    timestamp "." nonce "." METHOD "." path "." body

with the timestamp in epoch seconds, the path as sent (query included) and the body as sent
(compressed, if it is). It travels as `Authorization: HMAC <hex>`.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from trackstream.core.reasons import Reason

__all__ = [
    "KEY_HEADER",
    "MAX_NONCE_CHARS",
    "MAX_SKEW_S",
    "NONCE_HEADER",
    "SIGNATURE_TTL_S",
    "TIMESTAMP_HEADER",
    "sign",
    "signature_of",
    "signed_headers",
    "verify",
]

KEY_HEADER = "X-Trackstream-Key"
TIMESTAMP_HEADER = "X-Trackstream-Timestamp"
NONCE_HEADER = "X-Trackstream-Nonce"
MAX_SKEW_S = 300
"""How far the timestamp may be from the collector's clock, either way."""
SIGNATURE_TTL_S = 2 * MAX_SKEW_S + 60
"""How long a used signature has to be remembered: from 300 s early to the end of second 300 late,
and a minute more, by which one collector's clock may go before another's."""
MAX_NONCE_CHARS = 64

_SCHEME = "HMAC "
_HEX = re.compile(r"[0-9a-f]{64}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def sign(
    secret: str, *, method: str, path: str, body: bytes, timestamp: str, nonce: str = ""
) -> str:
    """The signature of a request, in lower-case hex."""
    head = f"{timestamp}.{nonce}.{method.upper()}.{path}."
    message = head.encode("utf-8", "surrogateescape") + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def signed_headers(
    key_id: str, secret: str, *, method: str, path: str, body: bytes, now_s: int, nonce: str = ""
) -> dict[str, str]:
    """The headers that make a request a signed one."""
    signature = sign(secret, method=method, path=path, body=body, timestamp=str(now_s), nonce=nonce)
    return {
        KEY_HEADER: key_id,
        TIMESTAMP_HEADER: str(now_s),
        NONCE_HEADER: nonce,
        "Authorization": _SCHEME + signature,
    }


def signature_of(authorization: str) -> str:
    """The signature in an Authorization header in the one form under which its use is noted."""
    return authorization.removeprefix(_SCHEME).strip().lower()


def verify(
    secret: str,
    *,
    authorization: str,
    method: str,
    path: str,
    body: bytes,
    timestamp: str,
    nonce: str,
    now_s: int,
) -> Reason | None:
    """Why the request is not signed by the secret's owner just now; None when it is.

    Takes constant time in the signature. That it is used once is the caller's to see to.
    """
    signature = signature_of(authorization)
    if not authorization.startswith(_SCHEME) or not _HEX.fullmatch(signature):
        return Reason.BAD_SIGNATURE
    if len(nonce) > MAX_NONCE_CHARS or not _SECONDS.fullmatch(timestamp):
        return Reason.BAD_SIGNATURE
    expected = sign(secret, method=method, path=path, body=body, timestamp=timestamp, nonce=nonce)
    if not hmac.compare_digest(expected, signature):
        return Reason.BAD_SIGNATURE
    if abs(now_s - int(timestamp)) > MAX_SKEW_S:
        return Reason.EXPIRED_SIGNATURE
    return None
