"""What every POST of events goes through, whichever dialect its body speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import hdrs

from trackstream import codec
from trackstream.core.envelopes import envelopes_of, halves
from trackstream.core.reasons import Reason
from trackstream.core.resending import named
from trackstream.core.validation import ParsedEvent
from trackstream.http import bodies
from trackstream.http.authentication import authenticate
from trackstream.http.client import client_ip, header
from trackstream.http.cors import show_to_origin
from trackstream.http.dialects import Post, idempotency_base
from trackstream.http.problems import Refusal, Verdict, settled
from trackstream.http.rejections import MAX_PAYLOAD_BYTES, original, rejected_message
from trackstream.http.steps import Message, Parts, deliver, not_yet, run_steps
from trackstream.http.verdicts import sentence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from trackstream.core.fields import Problem
    from trackstream.core.records import Envelope
    from trackstream.http.dialects import Dialect, Item

__all__ = ["always", "post_handler"]

MAX_USER_AGENT_CHARS = 1_024
MAX_MESSAGE_BYTES = 900_000
"""Above it an envelope is split: Kafka's own default limit of a message is 1 MiB."""

MAX_UNKNOWN_BYTES = 512 * 1024
"""Of an inflated body in which a write key is looked for; Segment's batches have 500 kB at most."""


def always(dialect: Dialect) -> Callable[[web.Request], Dialect]:
    """What every request of a path speaks."""
    return lambda _: dialect


def post_handler(
    route: str,
    parts: Parts,
    *,
    dialect: Callable[[web.Request], Dialect],
    choose: Callable[[dict[str, Any]], Dialect] | None = None,
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of a path to which events are POSTed.

    Args:
        route: its name in the metrics.
        parts: what handlers depend on.
        dialect: tells which one a request speaks.
        choose: tells it again by the document, where the path serves several.
    """

    async def handle(request: web.Request) -> web.Response:
        spoken = dialect(request)
        post = Post(
            request=request,
            route=route,
            dialect=spoken,
            choose=choose or (lambda _: spoken),
            received_at_ms=parts.clock_ms(),
            ip=client_ip(request),
            user_agent=header(request, hdrs.USER_AGENT, MAX_USER_AGENT_CHARS),
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
    settings = parts.settings
    body = await bodies.read_body(
        post.request, settings.max_body_bytes, timeout_s=settings.body_timeout_s
    )
    if isinstance(body, Refusal):
        return body
    post.body = body
    return None


async def _authenticate(post: Post, parts: Parts) -> Refusal | None:
    find = post.dialect.write_key

    def in_body() -> str | Refusal | None:
        if find is None:
            return None
        most_bytes = min(MAX_UNKNOWN_BYTES, parts.settings.max_inflated_bytes)
        body = _inflated(post, most_bytes)
        if isinstance(body, Refusal):
            return body if body.reason is Reason.TOO_LARGE else None
        if len(body) > most_bytes:
            return Refusal(
                Reason.TOO_LARGE, f"a body with the key in it has at most {most_bytes} bytes"
            )
        return find(body)

    caller = await authenticate(
        post.request,
        post.body,
        directory=parts.directory,
        cache=parts.cache,
        now_s=post.received_at_ms // 1000,
        in_body=in_body,
    )
    if isinstance(caller, Refusal):
        return not_yet(caller, parts)
    if parts.guard is not None:
        verdict = parts.guard.admit_key(caller.key_id)
        refusal = None if verdict is None else await settled(verdict)
        if refusal is not None:
            return refusal
    post.caller = caller
    return None


def _inflated(post: Post, most_bytes: int) -> bytes | Refusal:
    """The body without its Content-Encoding, which has no other bound once the caller is known."""
    if post.inflated is None:
        encoding = post.request.headers.get(hdrs.CONTENT_ENCODING, "")
        post.inflated = bodies.inflate(post.body, encoding, most_bytes)
    return post.inflated


def _parse(post: Post, parts: Parts) -> Refusal | None:
    refusal = bodies.media_refusal(post.request)
    if refusal is not None:
        return refusal
    body = _inflated(post, parts.settings.max_inflated_bytes)
    if isinstance(body, Refusal):
        return body
    post.document = bodies.parse_json(body)
    if isinstance(post.document, Refusal):
        return post.document
    if not isinstance(post.document, dict):
        return Refusal(Reason.WRONG_TYPE, "the body has to be a JSON object")
    post.dialect = post.choose(post.document)
    return None


def _validate(post: Post, parts: Parts) -> Verdict:
    return post.dialect.validate(post, parts)


def _key(post: Post, parts: Parts) -> Refusal | None:
    caller = post.known
    groups: dict[tuple[bool, bool], list[ParsedEvent]] = {}
    for item in post.items:
        if isinstance(item.result, ParsedEvent):
            seen = (item.address_is_users, item.agent_is_users)
            groups.setdefault(seen, []).append(item.result)
        else:
            post.messages.append(_rejected(post, item, item.result, parts))
    for (address_is_users, agent_is_users), parsed in groups.items():
        envelopes = envelopes_of(
            caller.app_id,
            parsed,
            received_at_ms=post.received_at_ms,
            ip=post.ip if address_is_users else None,
            user_agent=post.user_agent if agent_is_users else None,
            trusts_sender=caller.signs,
        )
        for envelope in envelopes:
            post.messages += _messages(envelope)
    return None


def _rejected(post: Post, item: Item, problems: tuple[Problem, ...], parts: Parts) -> Message:
    return rejected_message(
        app_id=post.known.app_id,
        rejected_id=parts.new_id(),
        reasons=[one.reason for one in problems],
        detail=sentence(problems),
        payload=original(item.sent),
        value=item.named,
        content_type="application/json",
        received_at_ms=post.received_at_ms,
        version=parts.version,
        origin=item.origin,
        ip=post.ip if item.address_is_users else None,
        user_agent=post.user_agent if item.agent_is_users else None,
    )


def _messages(envelope: Envelope) -> list[Message]:
    value = codec.encode(envelope)
    parted = halves(envelope) if len(value) > MAX_MESSAGE_BYTES else None
    if parted is None:
        return [("raw", envelope.subject.encode(), value)]
    return [message for half in parted for message in _messages(half)]


def _produce(post: Post, parts: Parts) -> Verdict:
    return deliver(post.messages, parts)


def _answer(post: Post, parts: Parts) -> Verdict:
    accepted = 0
    for item in post.items:
        if isinstance(item.result, ParsedEvent):
            accepted += 1
        else:
            for problem in item.result:
                parts.metrics.refusals.add((problem.reason,))
    parts.metrics.events.add((post.route,), accepted)
    return post.dialect.answer(post, parts)


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
            payload=_payload(post),
            value=post.document,
            content_type=header(post.request, "Content-Type", 200),
            received_at_ms=post.received_at_ms,
            version=parts.version,
            origin=post.request.path,
            ip=post.ip,
            user_agent=post.user_agent,
        )
        undelivered = await deliver([message], parts)
        if undelivered is not None:
            return post.dialect.refused(undelivered)
    return post.dialect.refused(refusal)


def _payload(post: Post) -> bytes:
    """What is kept of a whole request: as it came, but for the ids that its header gives events.

    Whoever sends it again has not that header, and the caller may send it again, too.
    """
    base = idempotency_base(post)
    if not isinstance(base, str) or not isinstance(post.document, dict):
        return post.body
    dialect = post.dialect
    with_ids = original(
        named(post.document, base, several=dialect.several, id_name=dialect.id_name)
    )
    # One that came compressed may be too long when it is not.
    return with_ids if len(with_ids) < MAX_PAYLOAD_BYTES else post.body


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
over it, and neither inflated nor parsed before, unless only the body can say who it is."""
