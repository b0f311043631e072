"""POSTed events: one, a batch, or an install."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from aiohttp import web

from trackstream import codec
from trackstream.core.envelopes import envelopes_of, halves
from trackstream.core.fields import Fields, Problem
from trackstream.core.identifiers import fingerprint
from trackstream.core.reasons import Reason
from trackstream.core.texts import has_controls
from trackstream.core.validation import ParsedEvent, parse_event
from trackstream.http import bodies
from trackstream.http.authentication import Caller, authenticate
from trackstream.http.client import client_ip, cookie_of, header
from trackstream.http.cors import show_to_origin
from trackstream.http.problems import Refusal, problem_response
from trackstream.http.rejections import original, rejected_message
from trackstream.http.steps import Message, Parts, deliver, not_yet, run_steps
from trackstream.http.verdicts import sentence, verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trackstream.core.records import Envelope

__all__ = ["Kind", "ingest_handler"]

Kind = Literal["event", "batch", "install"]

MAX_USER_AGENT_CHARS = 1_024
MAX_MESSAGE_BYTES = 900_000
"""Above it an envelope is split: Kafka's own default limit of a message is 1 MiB."""
_MAX_KEY_CHARS = 200


@dataclass(slots=True)
class Post:
    """One request on its way through the steps."""

    request: web.Request
    kind: Kind
    received_at_ms: int
    ip: str | None
    user_agent: str | None
    body: bytes = b""
    caller: Caller | None = None
    document: Any = None
    results: list[ParsedEvent | tuple[Problem, ...]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    response: web.Response | None = None

    @property
    def known(self) -> Caller:
        """The caller, after the step that recognises it."""
        if self.caller is None:
            raise RuntimeError("no caller before `authenticate`")
        return self.caller


def ingest_handler(kind: Kind, parts: Parts) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of `POST /v1/{kind}`."""

    async def handle(request: web.Request) -> web.Response:
        post = Post(
            request=request,
            kind=kind,
            received_at_ms=parts.clock_ms(),
            ip=client_ip(request),
            user_agent=header(request, "User-Agent", MAX_USER_AGENT_CHARS),
        )
        refusal = await run_steps(STEPS, post, parts)
        response = post.response if refusal is None else await _refuse(post, refusal, parts)
        if response is None:
            raise RuntimeError("the last step answers")
        if refusal is None or refusal.reason is not Reason.FORBIDDEN:
            show_to_origin(request, response)
        return response

    return handle


async def _read(post: Post, parts: Parts) -> Refusal | None:
    body = await bodies.read_body(post.request, parts.settings.max_body_bytes)
    if isinstance(body, Refusal):
        return body
    post.body = body
    return None


async def _authenticate(post: Post, parts: Parts) -> Refusal | None:
    caller = await authenticate(
        post.request,
        post.body,
        directory=parts.directory,
        cache=parts.cache,
        now_s=post.received_at_ms // 1000,
    )
    if isinstance(caller, Refusal):
        return not_yet(caller, parts)
    post.caller = caller
    return None


async def _parse(post: Post, parts: Parts) -> Refusal | None:
    refusal = bodies.media_refusal(post.request)
    if refusal is not None:
        return refusal
    encoding = post.request.headers.get("Content-Encoding", "")
    body = bodies.inflate(post.body, encoding, parts.settings.max_inflated_bytes)
    if isinstance(body, Refusal):
        return body
    post.document = bodies.parse_json(body)
    if isinstance(post.document, Refusal):
        return post.document
    if not isinstance(post.document, dict):
        return Refusal(Reason.WRONG_TYPE, "the body has to be a JSON object")
    return _check_app(post, parts)


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


async def _validate(post: Post, parts: Parts) -> Refusal | None:
    base = header(post.request, "Idempotency-Key", _MAX_KEY_CHARS + 1)
    if base is not None and (len(base) > _MAX_KEY_CHARS or has_controls(base)):
        return Refusal(
            Reason.INVALID_VALUE, f"Idempotency-Key has to be at most {_MAX_KEY_CHARS} characters"
        )
    if post.kind == "batch":
        return _validate_batch(post, base, parts)
    result = _parse_one(post, post.document, None, base, parts)
    if isinstance(result, tuple):
        return Refusal(result[0].reason, sentence(result), result)
    post.results = [result]
    return None


def _validate_batch(post: Post, base: str | None, parts: Parts) -> Refusal | None:
    problems: list[Problem] = []
    sent_at_ms = Fields(post.document, problems).timestamp_ms("sent_at")
    if problems:
        return Refusal(problems[0].reason, sentence(tuple(problems)), tuple(problems))
    events = post.document.get("events")
    if events is None:
        return Refusal(Reason.MISSING_FIELD, "events is missing")
    if not isinstance(events, list):
        return Refusal(Reason.WRONG_TYPE, "events has to be an array")
    if not events:
        return Refusal(Reason.EMPTY_BATCH, "events is empty")
    most = parts.settings.max_batch_events
    if len(events) > most:
        return Refusal(Reason.TOO_MANY_EVENTS, f"there are more than {most} events")
    post.results = [
        _parse_one(post, event, sent_at_ms, None if base is None else f"{base}:{index}", parts)
        for index, event in enumerate(events)
    ]
    return None


def _parse_one(
    post: Post, value: object, sent_at_ms: int | None, given_id: str | None, parts: Parts
) -> ParsedEvent | tuple[Problem, ...]:
    return parse_event(
        value,
        received_at_ms=post.received_at_ms,
        sent_at_ms=sent_at_ms,
        new_id=parts.new_id if given_id is None else lambda: given_id,
        default_name="install" if post.kind == "install" else None,
        default_cookie_id=None if post.known.signs else cookie_of(post.request),
    )


async def _key(post: Post, parts: Parts) -> Refusal | None:
    caller = post.known
    envelopes = envelopes_of(
        caller.app_id,
        (one for one in post.results if isinstance(one, ParsedEvent)),
        received_at_ms=post.received_at_ms,
        ip=post.ip,
        user_agent=post.user_agent,
        trusts_sender=caller.signs,
    )
    for envelope in envelopes:
        post.messages += _messages(envelope)
    for index, result in enumerate(post.results):
        if isinstance(result, tuple):
            value = post.document["events"][index]
            post.messages.append(
                rejected_message(
                    app_id=caller.app_id,
                    rejected_id=parts.new_id(),
                    reasons=[one.reason for one in result],
                    detail=sentence(result),
                    payload=original(value),
                    value=value,
                    content_type="application/json",
                    received_at_ms=post.received_at_ms,
                    version=parts.version,
                )
            )
    return None


def _messages(envelope: Envelope) -> list[Message]:
    value = codec.encode(envelope)
    parted = halves(envelope) if len(value) > MAX_MESSAGE_BYTES else None
    if parted is None:
        return [("raw", envelope.subject.encode(), value)]
    return [message for half in parted for message in _messages(half)]


async def _produce(post: Post, parts: Parts) -> Refusal | None:
    return await deliver(post.messages, parts)


async def _answer(post: Post, parts: Parts) -> Refusal | None:
    accepted = 0
    for one in post.results:
        if isinstance(one, ParsedEvent):
            accepted += 1
        else:
            for problem in one:
                parts.metrics.refusals.add((problem.reason,))
    parts.metrics.events.add((post.kind,), accepted)
    if post.kind == "batch":
        answer: dict[str, Any] = {
            "accepted": accepted,
            "rejected": len(post.results) - accepted,
            "events": [
                verdict(index, one, post.document["events"][index])
                for index, one in enumerate(post.results)
            ],
        }
    else:
        answer = {"event_id": _single(post).event.event_id, "status": "accepted"}
        if post.kind == "install":
            answer["deep_link"] = await _deep_link(post, parts)
    post.response = web.Response(
        status=201 if accepted == len(post.results) else 207,
        body=msgspec.json.encode(answer),
        content_type="application/json",
    )
    return None


def _single(post: Post) -> ParsedEvent:
    (result,) = post.results
    if isinstance(result, tuple):
        raise TypeError("a refused event has no answer")
    return result


async def _deep_link(post: Post, parts: Parts) -> str | None:
    """Where the install's click wanted to lead, if the fast path knows the click."""
    parsed = _single(post)
    event = parsed.event
    ip = (parsed.ip if post.known.signs else None) or post.ip
    os_name = event.context.os_name if event.context else None
    if os_name is None:
        os_name = parts.user_agents.parse(parsed.user_agent or post.user_agent).os_name
    click_id = event.referral.click_id if event.referral else None
    return await parts.cache.deep_link(post.known.app_id, click_id, fingerprint(ip, os_name))


async def _refuse(post: Post, refusal: Refusal, parts: Parts) -> web.Response:
    """Count a refused request, keep its original if its app is known, and tell the caller why."""
    reasons = [one.reason for one in refusal.problems] or [refusal.reason]
    for reason in reasons:
        parts.metrics.refusals.add((reason,))
    if post.caller is not None and post.body and refusal.reason is not Reason.UNAVAILABLE:
        message = rejected_message(
            app_id=post.caller.app_id,
            rejected_id=parts.new_id(),
            reasons=reasons,
            detail=refusal.detail,
            payload=post.body,
            value=post.document,
            content_type=header(post.request, "Content-Type", 200),
            received_at_ms=post.received_at_ms,
            version=parts.version,
        )
        undelivered = await deliver([message], parts)
        if undelivered is not None:
            return problem_response(undelivered)
    return problem_response(refusal)


STEPS = (
    ("read", _read),
    ("authenticate", _authenticate),
    ("parse", _parse),
    ("validate", _validate),
    ("key", _key),
    ("produce", _produce),
    ("answer", _answer),
)
"""What a POST goes through. The body is read before the caller is known, because a signature is
over it, and neither inflated nor parsed before."""
