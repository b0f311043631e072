"""Signatures as in Standard Webhooks 1.0 (symmetric, `v1`): id, time and body, under a secret.

    base64(HMAC-SHA256(secret, id "." timestamp "." body))

The secret travels between people as `whsec_` and base64 of its 24 to 64 bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

__all__ = ["ID_HEADER", "headers_of", "secret_problem", "secret_text"]

ID_HEADER = "webhook-id"

_PREFIX = "whsec_"
_SHORTEST_BYTES, _LONGEST_BYTES = 24, 64


def secret_text(key: bytes) -> str:
    """The secret as people hand it on."""
    return _PREFIX + base64.b64encode(key).decode()


def secret_problem(secret: str) -> str | None:
    """Why this cannot be a secret; None when it can."""
    try:
        length = len(_key(secret))
    except ValueError:
        return f"takes {_PREFIX} and base64"
    if not _SHORTEST_BYTES <= length <= _LONGEST_BYTES:
        return f"takes {_SHORTEST_BYTES} to {_LONGEST_BYTES} bytes in base64, these are {length}"
    return None


def headers_of(postback_id: str, body: bytes, *, now_s: int, secret: str | None) -> dict[str, str]:
    """The headers that say which postback this is and when, and by whom if there is a secret."""
    headers = {ID_HEADER: postback_id, "webhook-timestamp": str(now_s)}
    if secret is not None:
        signed = f"{postback_id}.{now_s}.".encode() + body
        digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return headers


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        raise ValueError("no prefix")
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
