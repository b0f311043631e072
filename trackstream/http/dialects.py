"""What a POST of events is, and what a dialect, ours or Segment's, says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from multidict import istr

from trackstream.core.consent import objecting
from trackstream.core.fields import Problem
from trackstream.core.matching.ask import INSTALL_EVENTS
from trackstream.core.reasons import Reason
from trackstream.core.texts import has_controls
from trackstream.core.validation import ParsedEvent
from trackstream.http.authentication import Caller
from trackstream.http.client import header, objects
from trackstream.http.problems import Refusal
from trackstream.http.steps import Message

if TYPE_CHECKING:
    from trackstream.http.problems import Verdict
    from trackstream.http.steps import Parts

__all__ = ["Dialect", "Item", "Post", "as_wished", "batch_refusal", "id_maker", "idempotency_base"]

_IDEMPOTENCY_KEY = istr("Idempotency-Key")
_MAX_KEY_CHARS = 200


class Item(msgspec.Struct, frozen=True, eq=False):
    """One event of a POST.

    Attributes:
        sent: as it was sent; what is refused, as it can be sent alone (`core.resending.alone`).
        named: the same in our own words, by which its subject is known even if it is refused.
        result: what validation made of it.
        origin: the path to which it can be posted alone.
        address_is_users: whether the request's address is that of whom it speaks of.
        agent_is_users: whether the request's user agent is.
    """

    sent: object
    named: object
    result: ParsedEvent | tuple[Problem, ...]
    origin: str
    address_is_users: bool = True
    agent_is_users: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a body is understood and answered.

    Attributes:
        validate: the step that makes `Post.items` of `Post.document`.
        answer: the step that makes `Post.response` once the log has everything.
        refused: the answer to a request of which nothing is done.
        several: the member of a body that is a batch's events.
        id_name: the member of an event that is its id.
        write_key: finds the write key in an inflated body; None where it is never there.
    """

    validate: Callable[[Post, Parts], Verdict]
    answer: Callable[[Post, Parts], Verdict]
    refused: Callable[[Refusal], web.Response]
    several: str
    id_name: str
    write_key: Callable[[bytes], str | None] | None = None


class Post(msgspec.Struct, eq=False):
    """One request on its way through the steps."""

    request: web.Request
    route: str
    dialect: Dialect
    choose: Callable[[dict[str, Any]], Dialect]
    received_at_ms: int
    ip: str | None
    user_agent: str | None
    body: bytes = b""
    inflated: bytes | Refusal | None = None
    caller: Caller | None = None
    document: Any = None
    items: list[Item] = []
    messages: list[Message] = []
    response: web.Response | None = None

    @property
    def known(self) -> Caller:
        """The caller, after the step that recognises it."""
        if self.caller is None:
            raise RuntimeError("no caller before `authenticate`")
        return self.caller


def idempotency_base(post: Post) -> str | Refusal | None:
    """The request's Idempotency-Key, from which the ids of events that have none are made."""
    base = header(post.request, _IDEMPOTENCY_KEY, _MAX_KEY_CHARS + 1)
    if base is not None and (len(base) > _MAX_KEY_CHARS or has_controls(base)):
        return Refusal(
            Reason.INVALID_VALUE, f"Idempotency-Key has to be at most {_MAX_KEY_CHARS} characters"
        )
    return base


def as_wished(
    result: ParsedEvent | tuple[Problem, ...], post: Post
) -> ParsedEvent | tuple[Problem, ...]:
    """An install whose browser objects to tracking denies it; all else as it is.

    Nothing but installs is guessed by network and system. Headers of a signed request are not those
    of whom it speaks of.
    """
    if isinstance(result, tuple) or result.event.event not in INSTALL_EVENTS:
        return result
    if post.known.signs or not objects(post.request):
        return result
    event = msgspec.structs.replace(result.event, context=objecting(result.event.context))
    return msgspec.structs.replace(result, event=event)


def id_maker(given_id: str | None, parts: Parts) -> Callable[[], str]:
    """What makes the id of an event that has none, if it is not given already."""
    return parts.new_id if given_id is None else lambda: given_id


def batch_refusal(name: str, events: object, parts: Parts) -> Refusal | None:
    """What keeps the document's member of this name from being a batch."""
    if events is None:
        return Refusal(Reason.MISSING_FIELD, f"{name} is missing")
    if not isinstance(events, list):
        return Refusal(Reason.WRONG_TYPE, f"{name} has to be an array")
    if not events:
        return Refusal(Reason.EMPTY_BATCH, f"{name} is empty")
    most = parts.settings.max_batch_events
    if len(events) > most:
        return Refusal(Reason.TOO_MANY_EVENTS, f"there are more than {most} events")
    return None
