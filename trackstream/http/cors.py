"""Cross-origin requests from browsers (Fetch standard, "CORS protocol").

An answer is shown to any origin from which the key may be used. Credentials are allowed with it
because `navigator.sendBeacon` always sends them; there is nothing here that a cookie alone opens.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from trackstream.core.reasons import Reason
from trackstream.http.authentication import WRITE_KEY_HEADER, origin_allowed, write_key_of
from trackstream.http.problems import Refusal, problem_response

if TYPE_CHECKING:
    from trackstream.ports import Directory

__all__ = ["preflight", "show_to_origin"]

_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[A-Za-z0-9.:\[\]-]+")
_MAX_AGE_S = 7_200
_SHOWN = "RateLimit, RateLimit-Policy, Retry-After"
_HEADERS = (
    "Authorization, Content-Encoding, Content-Type, Idempotency-Key, X-Retry-Count, "
    f"{WRITE_KEY_HEADER}"
)
"""What pages may send; X-Retry-Count is Segment's library's word that it sends something again."""


def show_to_origin(request: web.Request, response: web.Response) -> None:
    """Let a browser hand the answer to the page that asked, if a page did."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return
    response.headers["Vary"] = "Origin"
    if _ORIGIN.fullmatch(origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = _SHOWN


def preflight(request: web.Request, directory: Directory) -> web.Response:
    """The answer to a preflight. A key in the query is judged here; one in a header only later."""
    key = directory.key(write_key_of(request) or "")
    if key is not None and not origin_allowed(request.headers.get(hdrs.ORIGIN), key.origins):
        return problem_response(
            Refusal(Reason.FORBIDDEN, "the write key is not for use from this origin")
        )
    response = web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "POST, OPTIONS",
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": str(_MAX_AGE_S),
        },
    )
    show_to_origin(request, response)
    return response
