"""Who sends a request: a server that signs, or a browser or app with a write key."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec
from aiohttp import hdrs
from multidict import istr

from trackstream.core.reasons import Reason
from trackstream.core.signing import (
    KEY_HEADER,
    NONCE_HEADER,
    SIGNATURE_TTL_S,
    TIMESTAMP_HEADER,
    signature_of,
    verify,
)
from trackstream.http.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from trackstream.ports import Directory, TouchCache

__all__ = ["WRITE_KEY_HEADER", "Caller", "authenticate", "origin_allowed", "write_key_of"]

WRITE_KEY_HEADER = "X-Trackstream-Write-Key"
_WRITE_KEY, _KEY = istr(WRITE_KEY_HEADER), istr(KEY_HEADER)
_WRITE_KEY_PARAMETER = "write_key"


class Caller(msgspec.Struct, frozen=True):
    """Who was recognised.

    Attributes:
        app_id: the app whose key it is: the only one whose events it can send.
        key_id: the key.
        signs: whether it is a server that speaks for others; it may state their addresses.
        scopes: what the key is for.
    """

    app_id: str
    key_id: str
    signs: bool
    scopes: tuple[str, ...] = ()


async def authenticate(
    request: web.Request,
    body: bytes,
    *,
    directory: Directory,
    cache: TouchCache,
    now_s: int,
    in_body: Callable[[], str | Refusal | None] = lambda: None,
    scope: str = "ingest",
) -> Caller | Refusal:
    """The caller, by its signature (`Authorization: HMAC …`) or else by its write key.

    A write key comes in the header `X-Trackstream-Write-Key`, in the query as `write_key` (for
    `navigator.sendBeacon`, which sets no headers), or as the user name of Basic authentication.
    `in_body` is asked for one only if it is in none of these, and may refuse to look. The key has
    to be for `scope`.
    """
    headers = request.headers
    authorization = headers.get(hdrs.AUTHORIZATION, "")
    if authorization.startswith("HMAC") or _KEY in headers:
        caller = _by_signature(request, body, authorization, directory=directory, now_s=now_s)
        if isinstance(caller, Caller):
            used = f"{caller.key_id}:{signature_of(authorization)}"
            is_first = await cache.first_use(used, SIGNATURE_TTL_S)
            if is_first is None:
                return Refusal(
                    Reason.UNAVAILABLE, "whether the signature was used before cannot be known now"
                )
            if not is_first:
                return Refusal(Reason.REPLAYED, "this signature was used before: sign anew")
    else:
        key_id = write_key_of(request) or in_body()
        if isinstance(key_id, Refusal):
            return key_id
        caller = _by_write_key(request, key_id, directory=directory)
    if isinstance(caller, Caller) and directory.app(caller.app_id) is None:
        return Refusal(Reason.UNKNOWN_APP, "the key's app does not exist")
    if isinstance(caller, Caller) and scope not in caller.scopes:
        return Refusal(Reason.FORBIDDEN, f"the key has no scope `{scope}`")
    return caller


def write_key_of(request: web.Request) -> str | None:
    """The write key that the request carries, in whichever place."""
    key_id = request.headers.get(_WRITE_KEY)
    if key_id:
        return key_id
    if _WRITE_KEY_PARAMETER in request.raw_path:
        query = parse_qsl(request.raw_path.partition("?")[2], errors="replace")
        key_id = dict(query).get(_WRITE_KEY_PARAMETER)
        if key_id:
            return key_id
    scheme, _, encoded = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[0] or None
    except (binascii.Error, ValueError):
        return None


def origin_allowed(origin: str | None, origins: tuple[str, ...]) -> bool:
    """Whether a key with this allow-list may be used from this origin; an empty list allows all."""
    if not origins:
        return True
    return origin is not None and origin.lower() in {one.lower().rstrip("/") for one in origins}


def _by_signature(
    request: web.Request, body: bytes, authorization: str, *, directory: Directory, now_s: int
) -> Caller | Refusal:
    key = directory.key(request.headers.get(KEY_HEADER, ""))
    if key is None or key.kind != "server" or key.secret is None:
        return Refusal(
            Reason.UNAUTHENTICATED, f"{KEY_HEADER} does not name a key that signs requests"
        )
    reason: Reason | None = Reason.BAD_SIGNATURE
    for secret in key.secrets_at(now_s * 1000):
        reason = verify(
            secret,
            authorization=authorization,
            method=request.method,
            path=request.raw_path,
            body=body,
            timestamp=request.headers.get(TIMESTAMP_HEADER, ""),
            nonce=request.headers.get(NONCE_HEADER, ""),
            now_s=now_s,
        )
        if reason is not Reason.BAD_SIGNATURE:
            break
    if reason is Reason.EXPIRED_SIGNATURE:
        return Refusal(reason, f"{TIMESTAMP_HEADER} is more than 300 s from the time here, {now_s}")
    if reason is not None:
        return Refusal(
            reason,
            "the signature is not that of this request: HMAC-SHA256 in hex over "
            'timestamp "." nonce "." METHOD "." path "." body',
        )
    return Caller(key.app_id, key.key_id, signs=True, scopes=key.scopes)


def _by_write_key(
    request: web.Request, key_id: str | None, *, directory: Directory
) -> Caller | Refusal:
    if key_id is None:
        return Refusal(
            Reason.UNAUTHENTICATED, f"neither a signature nor a write key ({WRITE_KEY_HEADER})"
        )
    key = directory.key(key_id)
    if key is None or key.kind != "write":
        return Refusal(Reason.UNAUTHENTICATED, "this is not a write key")
    if not origin_allowed(request.headers.get(hdrs.ORIGIN), key.origins):
        return Refusal(Reason.FORBIDDEN, "the write key is not for use from this origin")
    return Caller(key.app_id, key.key_id, signs=False, scopes=key.scopes)
