"""Signed requests; `sdk_clients/conformance/signing.json` has examples."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["canonical", "sign", "signed_headers"]


def canonical(*, method: str, path: str, body: bytes, timestamp: str, nonce: str) -> bytes:
    """What is signed: timestamp "." nonce "." METHOD "." path "." body.

    The path as sent, with its query; the body as sent, compressed if it is.
    """
    return f"{timestamp}.{nonce}.{method.upper()}.{path}.".encode() + body


def sign(secret: str, message: bytes) -> str:
    """The hex SHA-256 HMAC under the secret's UTF-8 bytes."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def signed_headers(
    key_id: str, secret: str, *, method: str, path: str, body: bytes, now_s: int, nonce: str
) -> dict[str, str]:
    """The headers that make one request a signed one. They are for one use."""
    timestamp = str(now_s)
    message = canonical(method=method, path=path, body=body, timestamp=timestamp, nonce=nonce)
    return {
        "X-Trackstream-Key": key_id,
        "X-Trackstream-Timestamp": timestamp,
        "X-Trackstream-Nonce": nonce,
        "Authorization": f"HMAC {sign(secret, message)}",
    }
