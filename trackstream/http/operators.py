"""Who may look at metrics and views: where others reach them, only whoever has a key for it."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING

from trackstream.core.addresses import address_of
from trackstream.core.reasons import Reason
from trackstream.http.problems import Refusal, problem_response
from trackstream.http.steps import not_yet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from trackstream.http.steps import Parts
    from trackstream.ports import Directory, Key

__all__ = ["for_operators", "is_loopback", "operators_key"]

_SCOPES = {"read", "admin"}
_FORWARDED = (
    *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"),
    *("X-Forwarded-Server", "X-Real-IP"),
)
"""What proxies add to requests."""
_CHALLENGE = (("WWW-Authenticate", 'Basic realm="trackstream"'),)


def for_operators(
    handler: Callable[[web.Request], Awaitable[web.Response]], parts: Parts
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler for operators.

    They are whoever asks from this machine where the collector listens on loopback only, or where
    the setting `metrics_open` says so. Else they show a server key's id and secret as Basic
    authentication (RFC 7617): what scrapers can do. The key has to have the scope `read` or
    `admin`.
    """
    settings = parts.settings
    if settings.metrics_open:
        return handler
    on_loopback = is_loopback(settings.collector_host)

    async def handle(request: web.Request) -> web.Response:
        if on_loopback and _is_local(request, parts):
            return await handler(request)
        key = operators_key(request, parts.directory, now_ms=parts.clock_ms())
        if not isinstance(key, Refusal):
            return await handler(request)
        parts.metrics.refusals.add((key.reason,))
        return problem_response(not_yet(key, parts))

    return handle


def _is_local(request: web.Request, parts: Parts) -> bool:
    """Whether this machine asks what listens on loopback, and not a proxy on it for others.

    A proxy is known by what it adds; it is believed that it asks for this machine if it is one of
    ours.
    """
    if not any(name in request.headers for name in _FORWARDED):
        return True
    seen = None if parts.guard is None else parts.guard.seen(request)
    if seen is None or seen is request or isinstance(seen, Refusal):
        return False
    header = parts.settings.trusted_proxy_header
    return header in request.headers and is_loopback(seen.remote or "")


def operators_key(request: web.BaseRequest, directory: Directory, *, now_ms: int) -> Key | Refusal:
    """The server key whose id and secret the request shows, if it may look."""
    key_id, secret = _basic(request.headers.get("Authorization", ""))
    key = directory.key(key_id)
    known = key.secrets_at(now_ms) if key is not None else ()
    if key is None or not any(hmac.compare_digest(one.encode(), secret) for one in known):
        detail = "a server key's id and secret are asked for, as Basic authentication"
        return Refusal(Reason.UNAUTHENTICATED, detail, headers=_CHALLENGE)
    if _SCOPES.isdisjoint(key.scopes):
        return Refusal(Reason.FORBIDDEN, "the key has neither scope `read` nor `admin`")
    return key


def _basic(authorization: str) -> tuple[str, bytes]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (user.decode(), password) if scheme.lower() == "basic" else ("", b"")
    except (binascii.Error, ValueError):
        return "", b""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback
