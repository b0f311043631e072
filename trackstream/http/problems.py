"""Refusals, and how they are told: problem documents (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from trackstream.core.reasons import HTTP_STATUS, Reason

if TYPE_CHECKING:
    from trackstream.core.fields import Problem

__all__ = ["Refusal", "as_json", "no_route", "problem_response"]

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


def as_json(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    """Problems as they stand in problem documents and verdicts."""
    return [{"reason": one.reason, "field": one.field, "detail": one.detail} for one in problems]


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
            "detail": refusal.detail,
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


def no_route(error: web.HTTPException) -> web.Response:
    """A path or method that does not exist, which has no reason of ours, as a problem document."""
    title = HTTPStatus(error.status).phrase
    response = _document(
        error.status, {"type": "about:blank", "title": title, "status": error.status}
    )
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _document(status: int, document: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(document),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )
