"""What Segment's browser library asks for beside sending events: its settings, its own counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from trackstream.core.reasons import Reason
from trackstream.http import bodies
from trackstream.http.authentication import origin_allowed
from trackstream.http.cors import show_to_origin
from trackstream.http.hosts import is_host
from trackstream.http.problems import Refusal, problem_response
from trackstream.http.steps import not_yet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackstream.http.steps import Parts

__all__ = ["metrics_handler", "settings_handler"]

_COUNTED = frozenset(
    {
        "analytics_js.action_plugin.browser_only.invoke",
        "analytics_js.action_plugin.browser_only.invoke.error",
        "analytics_js.integration.invoke",
        "analytics_js.integration.invoke.error",
        "analytics_js.invoke",
        "analytics_js.invoke.error",
    }
)
"""What the library counts. Others are `other`: a page that invents names adds no series."""
_MAX_SERIES_BYTES = 64 * 1024
"""Of the library's counters, which anybody may send; it sends twenty series at most."""
_ENABLED = {"__default": {"enabled": True, "integrations": {}}}


def settings_handler(parts: Parts) -> Callable[[web.Request], Awaitable[web.Response]]:
    """`GET /v1/projects/{write_key}/settings`, for `cdnURL`: where to send, and nothing else to do.

    The library then sends to the setting `public_url`; without one to where its settings came from,
    which only the request says: nobody's cache may show that to others. Its own metrics are turned
    off.
    """
    public_url = parts.settings.public_url

    async def handle(request: web.Request) -> web.Response:
        key = parts.directory.key(request.match_info["write_key"])
        if key is None or key.kind != "write":
            return _problem(
                request, not_yet(Refusal(Reason.UNAUTHENTICATED, "this is not a write key"), parts)
            )
        if not origin_allowed(request.headers.get("Origin"), key.origins):
            return problem_response(
                Refusal(Reason.FORBIDDEN, "the write key is not for use from this origin")
            )
        if public_url is None and not is_host(request.host):
            return _problem(
                request, Refusal(Reason.MALFORMED_REQUEST, "`Host` has to be a name or an address")
            )
        answer = _settings(key.key_id, public_url or f"{request.scheme}://{request.host}")
        response = web.Response(
            body=msgspec.json.encode(answer),
            content_type="application/json",
            headers={
                "Cache-Control": f"{'public' if public_url else 'private'}, max-age=300",
                "Vary": "Origin",  # also for who names none, whose answer names none either
            },
        )
        show_to_origin(request, response)
        return response

    return handle


def metrics_handler(parts: Parts) -> Callable[[web.Request], Awaitable[web.Response]]:
    """`POST /v1/m`: what the library counts of its own calls is added to our metrics."""

    async def handle(request: web.Request) -> web.Response:
        body = await bodies.read_body(
            request, _MAX_SERIES_BYTES, timeout_s=parts.settings.body_timeout_s
        )
        series = body if isinstance(body, Refusal) else _series(body)
        if isinstance(series, Refusal):
            return _problem(request, series)
        for name, value in series:
            parts.metrics.library.add((name,), value)
        response = web.Response(body=b'{"success":true}', content_type="application/json")
        show_to_origin(request, response)
        return response

    return handle


def _problem(request: web.Request, refusal: Refusal) -> web.Response:
    response = problem_response(refusal)
    show_to_origin(request, response)
    return response


def _series(body: bytes) -> list[tuple[str, float]] | Refusal:
    document = bodies.parse_json(body)
    if isinstance(document, Refusal):
        return document
    series = document.get("series") if isinstance(document, dict) else None
    if not isinstance(series, list) or not all(isinstance(one, dict) for one in series):
        return Refusal(Reason.WRONG_TYPE, "series has to be an array of objects")
    return [(_known(one.get("metric")), _amount(one.get("value"))) for one in series]


def _known(name: object) -> str:
    return name if isinstance(name, str) and name in _COUNTED else "other"


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 1
    return min(max(value, 0), 1_000)


def _settings(write_key: str, url: str) -> dict[str, Any]:
    """The settings, as the libraries for browsers and for apps understand them."""
    place = urlsplit(url)
    host = f"{place.netloc}{place.path.rstrip('/')}/v1"
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": host,
                "protocol": place.scheme,
                "addBundledMetadata": True,
                "unbundledIntegrations": [],
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {"track": _ENABLED, "identify": _ENABLED, "group": _ENABLED},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0, "host": host},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
