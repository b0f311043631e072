"""`GET /v1/attributions/{id}/explain`: how a conversion was decided, for the servers of its app."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from trackstream.core.reasons import Reason
from trackstream.core.texts import has_controls
from trackstream.http.authentication import Caller, authenticate
from trackstream.http.bodies import read_body
from trackstream.http.problems import Refusal, problem_response, settled
from trackstream.http.steps import not_yet
from trackstream.storage.errors import NotFoundError, StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackstream.http.steps import Parts
    from trackstream.storage.explain import Explanation

__all__ = ["explain_handler"]


def explain_handler(parts: Parts) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler. `id` is a conversion's, or that of the event that it was."""

    async def handle(request: web.Request) -> web.Response:
        found = await _explained(request, parts)
        if isinstance(found, Refusal):
            parts.metrics.refusals.add((found.reason,))
            return problem_response(found)
        return web.Response(
            body=msgspec.json.encode(found),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return handle


async def _reader(request: web.Request, parts: Parts) -> Caller | Refusal:
    settings = parts.settings
    body = await read_body(request, settings.max_body_bytes, timeout_s=settings.body_timeout_s)
    if isinstance(body, Refusal):
        return body
    caller = await authenticate(
        request,
        body,
        directory=parts.directory,
        cache=parts.cache,
        now_s=parts.clock_ms() // 1000,
        scope="read",
    )
    if isinstance(caller, Refusal):
        return not_yet(caller, parts)
    limited = None if parts.guard is None else await settled(parts.guard.admit_key(caller.key_id))
    return limited or caller


async def _explained(request: web.Request, parts: Parts) -> Explanation | Refusal:
    caller = await _reader(request, parts)
    if isinstance(caller, Refusal):
        return caller
    name = request.match_info["id"]
    if has_controls(name):  # no id has them, and PostgreSQL takes no text with a NUL
        return Refusal(Reason.UNKNOWN_CONVERSION, "no id has control characters")
    try:
        found = await asyncio.to_thread(parts.explain, name, app_id=caller.app_id)
    except NotFoundError as error:
        return Refusal(Reason.UNKNOWN_CONVERSION, str(error))
    except StorageUnavailableError:
        return Refusal(Reason.UNAVAILABLE, "the database does not answer: ask again later")
    return next((one for one in found if one.conversion_id == name), found[0])
