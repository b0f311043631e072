"""Segment's dialect: its HTTP API, so that its libraries work with another host.

Its libraries look at nothing but the status. 200: done. 400 and the like: given up, and their
owner's error handler is told. 429 and 5xx: sent again, later. RudderStack's takes no other 2xx than
200 for done, and gives up only if the answer has a `code`. So:

- all events taken: 200 `{"success": true}`;
- some refused: 200 as well, or the taken ones would be sent again or reported as failed;
  `success` is false and there is a verdict for each event. The refused are on `rejected`;
- nothing taken: 400, or what the reason calls for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from trackstream.core.fields import Fields, Problem
from trackstream.core.reasons import HTTP_STATUS
from trackstream.core.resending import alone
from trackstream.core.segment import TYPES, parse_message
from trackstream.http.answers import Answer
from trackstream.http.authentication import WRITE_KEY_HEADER
from trackstream.http.bodies import written_key
from trackstream.http.client import cookie_of
from trackstream.http.defining import as_defined
from trackstream.http.dialects import (
    Dialect,
    Item,
    Post,
    as_wished,
    batch_refusal,
    id_maker,
    idempotency_base,
)
from trackstream.http.ingest import DIALECTS
from trackstream.http.posts import always, post_handler
from trackstream.http.problems import Refusal, problem_response
from trackstream.http.shared import shared_by, unread_refusal, with_shared
from trackstream.http.verdicts import sentence, verdict

if TYPE_CHECKING:
    from trackstream.http.steps import Parts

__all__ = ["segment_handlers"]

Handler = Callable[[web.Request], Awaitable[web.Response]]


_READ = frozenset(
    {
        *("batch", "context", "integrations", "sentAt", "writeKey"),
        *("messageId", "receivedAt", "sequence", "timestamp", "type"),  # of the batch itself
    }
)
"""What a batch of Segment's has; the second line is what some libraries say of no message."""


def segment_handlers(
    parts: Parts,
) -> list[tuple[str, str, Handler]]:
    """Paths, their names in the metrics and their handlers, all of them POST.

    `/v1/batch` is among them: it serves Segment's batches and our own. `/v1/b` is that of the
    libraries for browsers and apps, `/v1/import` of old ones for servers; the former send single
    calls to the first letter of their type.
    """
    batch = post_handler("segment_batch", parts, dialect=always(_BATCH))
    both = post_handler("batch", parts, dialect=_guessed, choose=_told)
    found = [("/v1/batch", "batch", both)]
    found += [(path, "segment_batch", batch) for path in ("/v1/b", "/v1/import")]
    for kind, dialect in _CALLS.items():
        handler = post_handler(kind, parts, dialect=always(dialect))
        found += [(path, kind, handler) for path in (f"/v1/{kind}", f"/v1/{kind[0]}")]
    return found


def _guessed(request: web.Request) -> Dialect:
    """Whose batch it is by what comes with it: ours has its key in a header of ours, or signs."""
    authorization = request.headers.get("Authorization", "")
    ours = WRITE_KEY_HEADER in request.headers or authorization.startswith("HMAC")
    return DIALECTS["batch"] if ours else _BATCH


def _told(document: dict[str, Any]) -> Dialect:
    """Whose batch it is by its body: Segment's has `batch` where ours has `events`."""
    if document.get("batch") is None and "events" in document:
        return DIALECTS["batch"]
    return _BATCH if "batch" in document else DIALECTS["batch"]


def _validator(kind: str) -> Callable[[Post, Parts], Awaitable[Refusal | None]]:
    async def validate(post: Post, parts: Parts) -> Refusal | None:
        base = idempotency_base(post)
        if isinstance(base, Refusal):
            return base
        post.items = [_item(post, post.document, kind, None, base, parts)]
        return None

    return validate


async def _validate_batch(post: Post, parts: Parts) -> Refusal | None:
    base = idempotency_base(post)
    if isinstance(base, Refusal):
        return base
    problems: list[Problem] = []
    sent_at_ms = Fields(post.document, problems).timestamp_ms("sentAt")
    if problems:
        return Refusal(problems[0].reason, sentence(tuple(problems)), tuple(problems))
    messages = post.document.get("batch")
    refusal = unread_refusal(post.document, _READ) or batch_refusal("batch", messages, parts)
    if refusal is not None:
        return refusal
    shared = shared_by(post.document, parts)
    if isinstance(shared, Refusal):
        return shared
    post.items = [
        _item(
            *(post, with_shared(one, shared), None, sent_at_ms),
            *(None if base is None else f"{base}:{index}", parts),
        )
        for index, one in enumerate(messages)
    ]
    return None


def _item(
    post: Post,
    message: object,
    kind: str | None,
    sent_at_ms: int | None,
    given_id: str | None,
    parts: Parts,
) -> Item:
    parsed = parse_message(
        message,
        kind=kind,
        received_at_ms=post.received_at_ms,
        sent_at_ms=sent_at_ms,
        new_id=id_maker(given_id, parts),
        default_cookie_id=None if post.known.signs else cookie_of(post.request),
    )
    result = as_defined(
        parsed.result, parsed.ours, parts.directory.app(post.known.app_id), parts.metrics
    )
    said = message.get("type") if isinstance(message, dict) else None
    known = isinstance(said, str) and said in TYPES
    if isinstance(result, tuple):
        message = alone(message, sentAt=sent_at_ms, messageId=given_id)
    return Item(
        message,
        parsed.ours,
        as_wished(result, post),
        # What has no type of Segment's is refused there as it was here.
        f"/v1/{kind or (said if known else 'track')}",
        address_is_users=parsed.address_is_users,
        agent_is_users=parsed.agent_is_users,
    )


async def _answer(post: Post, _: Parts) -> Refusal | None:
    refused = [item.result for item in post.items if isinstance(item.result, tuple)]
    if not refused:
        post.response = _json({"success": True})
        return None
    verdicts: dict[str, Any] = {
        "accepted": len(post.items) - len(refused),
        "rejected": len(refused),
        "events": [
            verdict(index, item.result, item.sent, id_name="messageId")
            for index, item in enumerate(post.items)
        ],
    }
    if len(refused) < len(post.items):
        post.response = _json({"success": False, **verdicts})
    else:
        first = refused[0]
        why = Refusal(first[0].reason, sentence(first), first)
        post.response = _refused(why, **verdicts)
    return None


def _json(answer: dict[str, Any]) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, msgspec.json.encode(answer))


def _refused(refusal: Refusal, **members: Any) -> web.Response:
    """A problem document with what Segment's libraries look for; what is malformed is a 400."""
    status = HTTP_STATUS[refusal.reason]
    return problem_response(
        refusal,
        status=400 if status == 422 or (members and status == 413) else status,
        members={
            "success": False,
            "code": str(refusal.reason),
            "message": refusal.detail,
            **members,
        },
    )


def _dialect(validate: Callable[[Post, Parts], Awaitable[Refusal | None]]) -> Dialect:
    return Dialect(
        validate=validate,
        answer=_answer,
        refused=_refused,
        several="batch",
        id_name="messageId",
        write_key=written_key,
    )


_BATCH = _dialect(_validate_batch)
_CALLS = {kind: _dialect(_validator(kind)) for kind in TYPES}
