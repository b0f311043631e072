"""Our own dialect: one event, a batch, or an install."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trackstream.core.consent import guess_window_ms, may_be_guessed
from trackstream.core.fields import Fields, Problem
from trackstream.core.identifiers import fingerprint
from trackstream.core.matching.ask import INSTALL_EVENTS
from trackstream.core.reading import read_event
from trackstream.core.reasons import Reason
from trackstream.core.resending import alone
from trackstream.http.answers import Answer
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
from trackstream.http.problems import Refusal, problem_response
from trackstream.http.shared import unread_refusal
from trackstream.http.verdicts import sentence, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.core.validation import ParsedEvent
    from trackstream.http.problems import Verdict
    from trackstream.http.steps import Parts

__all__ = ["DIALECTS", "Kind"]

Kind = Literal["event", "batch", "install"]

_READ = frozenset({"app_id", "events", "sent_at", "writeKey"})
"""What a batch of ours has."""


def _validate_event(post: Post, parts: Parts) -> Refusal | None:
    return _validate_one(post, None, parts)


def _validate_install(post: Post, parts: Parts) -> Refusal | None:
    return _validate_one(post, "install", parts)


def _validate_one(post: Post, default_name: str | None, parts: Parts) -> Refusal | None:
    refusal = _check_app(post, parts)
    if refusal is not None:
        return refusal
    base = idempotency_base(post)
    if isinstance(base, Refusal):
        return base
    item = _item(post, post.document, None, base, parts, default_name=default_name)
    if isinstance(item.result, tuple):
        return Refusal(item.result[0].reason, sentence(item.result), item.result)
    post.items = [item]
    return None


def _validate_batch(post: Post, parts: Parts) -> Refusal | None:
    refusal = _check_app(post, parts)
    if refusal is not None:
        return refusal
    base = idempotency_base(post)
    if isinstance(base, Refusal):
        return base
    problems: list[Problem] = []
    sent_at_ms = Fields(post.document, problems).timestamp_ms("sent_at")
    if problems:
        return Refusal(problems[0].reason, sentence(tuple(problems)), tuple(problems))
    events = post.document.get("events")
    refusal = unread_refusal(post.document, _READ) or batch_refusal("events", events, parts)
    if refusal is not None:
        return refusal
    post.items = [
        _item(post, event, sent_at_ms, None if base is None else f"{base}:{index}", parts)
        for index, event in enumerate(events)
    ]
    return None


def _check_app(post: Post, parts: Parts) -> Refusal | None:
    """The key decides the app; a body that names one has to mean the same."""
    named = post.document.get("app_id")
    if named is None or named == post.known.app_id:
        return None
    if not isinstance(named, str):
        return Refusal(Reason.WRONG_TYPE, "app_id has to be text")
    if parts.directory.app(named) is None:
        return Refusal(Reason.UNKNOWN_APP, "app_id names no app")
    return Refusal(Reason.FORBIDDEN, "the key is not one of the app that app_id names")


def _item(
    post: Post,
    value: object,
    sent_at_ms: int | None,
    given_id: str | None,
    parts: Parts,
    *,
    default_name: str | None = None,
) -> Item:
    result = read_event(
        value,
        received_at_ms=post.received_at_ms,
        sent_at_ms=sent_at_ms,
        new_id=id_maker(given_id, parts),
        default_name=default_name,
        default_cookie_id=None if post.known.signs else cookie_of(post.request),
    )
    result = as_defined(result, value, parts.directory.app(post.known.app_id), parts.metrics)
    if isinstance(result, tuple):
        value = alone(value, sent_at=sent_at_ms, event_id=given_id)
    return Item(value, value, as_wished(result, post), "/v1/event")


def _answer_batch(post: Post, _: Parts) -> Refusal | None:
    refused = sum(isinstance(item.result, tuple) for item in post.items)
    answer = {
        "accepted": len(post.items) - refused,
        "rejected": refused,
        "events": [verdict(index, item.result, item.sent) for index, item in enumerate(post.items)],
    }
    post.response = _json(answer, 207 if refused else 201)
    return None


def _answer_event(post: Post, _: Parts) -> Refusal | None:
    post.response = _json({"event_id": _single(post).event.event_id, "status": "accepted"})
    return None


async def _answer_install(post: Post, parts: Parts) -> Refusal | None:
    post.response = _json(
        {
            "event_id": _single(post).event.event_id,
            "status": "accepted",
            "deep_link": await _deep_link(post, parts),
        }
    )
    return None


def _json(answer: dict[str, Any], status: int = 201) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, msgspec.json.encode(answer))


def _single(post: Post) -> ParsedEvent:
    (item,) = post.items
    if isinstance(item.result, tuple):
        raise TypeError("a refused event has no answer")
    return item.result


async def _deep_link(post: Post, parts: Parts) -> str | None:
    """Where the install's click wanted to lead, if the fast path knows the click.

    An install that names its click is led by that or nowhere. One that names none is led by the
    newest click of its network and system, if it may be matched so at all.
    """
    event = _single(post).event
    app_id = post.known.app_id
    click_id = event.referral.click_id if event.referral else None
    if click_id is not None:
        return await parts.cache.deep_link(app_id, click_id, None)
    rules = parts.directory.rules(app_id, at_ms=post.received_at_ms)
    guessed = (
        event.event in INSTALL_EVENTS
        and guess_window_ms(rules) > 0
        and may_be_guessed(event.context, rules)
    )
    return await parts.cache.deep_link(app_id, None, _print(post, parts)) if guessed else None


def _print(post: Post, parts: Parts) -> str | None:
    """The fingerprint that the install has in the log, too."""
    parsed = _single(post)
    ip = (parsed.ip if post.known.signs else None) or post.ip
    os_name = parsed.event.context.os_name if parsed.event.context else None
    if os_name is None:
        os_name = parts.user_agents.parse(parsed.user_agent or post.user_agent).os_name
    return fingerprint(ip, os_name)


def _dialect(
    validate: Callable[[Post, Parts], Verdict], answer: Callable[[Post, Parts], Verdict]
) -> Dialect:
    return Dialect(
        validate=validate,
        answer=answer,
        refused=problem_response,
        several="events",
        id_name="event_id",
    )


DIALECTS: dict[Kind, Dialect] = {
    "event": _dialect(_validate_event, _answer_event),
    "batch": _dialect(_validate_batch, _answer_batch),
    "install": _dialect(_validate_install, _answer_install),
}
"""What `POST /v1/{kind}` speaks."""
