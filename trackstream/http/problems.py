"""Refusals, and how they are told: problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from trackstream.core.reasons import HTTP_STATUS, Reason
from trackstream.core.texts import clean

if TYPE_CHECKING:
    from trackstream.core.fields import Problem

__all__ = [
    "Refusal",
    "Verdict",
    "as_json",
    "no_route",
    "problem_response",
    "settled",
    "unexpected",
]

RETRY_AFTER_S = 5
"""When to come back after 429 and 503, unless the refusal says."""
_CHALLENGE = 'HMAC realm="trackstream"'


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not done: a value, handed back by the step that found it."""

    reason: Reason
    detail: str
    problems: tuple[Problem, ...] = ()
    retry_after_s: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


Verdict = Refusal | Awaitable[Refusal | None] | None
"""None when it may go on. What has to wait for something hands back an awaitable of the same: most
need not, and each wait costs as much as what is looked at."""


async def settled(verdict: Verdict) -> Refusal | None:
    """What it comes to."""
    return verdict if verdict is None or isinstance(verdict, Refusal) else await verdict


def as_json(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    """Problems as they stand in problem documents and verdicts: text that UTF-8 can say."""
    return [
        {"reason": one.reason, "field": clean(one.field), "detail": clean(one.detail)}
        for one in problems
    ]


def problem_response(
    refusal: Refusal, *, status: int | None = None, members: dict[str, Any] | None = None
) -> web.Response:
    """The refusal as `application/problem+json`.

    Args:
        refusal: why, and what is wrong.
        status: that of its reason, unless given.
        members: further members of the document (RFC 9457, section 3.2).
    """
    status = HTTP_STATUS[refusal.reason] if status is None else status
    response = _document(
        status,
        {
            "type": f"urn:trackstream:problem:{refusal.reason}",
            "title": refusal.reason.replace("_", " ").capitalize(),
            "status": status,
            "detail": clean(refusal.detail),
            "reason": refusal.reason,
            "errors": as_json(refusal.problems),
            **(members or {}),
        },
    )
    if status in {429, 503}:
        response.headers["Retry-After"] = str(refusal.retry_after_s or RETRY_AFTER_S)
    elif status == 401:
        response.headers["WWW-Authenticate"] = _CHALLENGE
    response.headers.update(refusal.headers)
    return response


def unexpected() -> Refusal:
    """Why a request is not done that expects what nobody here can do (RFC 9110, 10.1.1)."""
    return Refusal(Reason.EXPECTATION_FAILED, "`Expect` can only be 100-continue")


def no_route(error: web.HTTPException) -> Refusal:
    """Why a request is not done for which aiohttp finds no handler."""
    if error.status == 404:
        return Refusal(Reason.UNKNOWN_ROUTE, "there is no such path")
    if error.status == 405:
        allowed = error.headers.get("Allow", "")
        headers = (("Allow", allowed),)
        return Refusal(Reason.WRONG_METHOD, f"the path is for {allowed}", headers=headers)
    if error.status == 417:
        return unexpected()
    return Refusal(Reason.MALFORMED_REQUEST, f"the request cannot be done: {error.reason}")


def _document(status: int, document: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(document),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )
