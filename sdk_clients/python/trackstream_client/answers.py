"""What the collector's answers mean; `sdk_clients/conformance/retries.json` has examples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Action", "Answer", "Queued", "Verdict", "judge", "refusals", "unsent"]

_AGAIN = frozenset({408, 425, 429})
"""Statuses of the 4xx that say "not now". The collector answers 429; proxies the others, too."""
_SIGN_AGAIN = frozenset({"expired_signature", "replayed"})
"""Reasons that only the signature has: each try is signed anew, by a clock that is set right."""


class Action(StrEnum):
    """What a client does after a try."""

    TAKEN = "taken"
    """Each event has its verdict."""
    REFUSED = "refused"
    """None was taken, and none would be: the same would be answered again."""
    RETRY = "retry"
    """The same events again, under the same ids, later."""
    HALVE = "halve"
    """The same events again, in two requests."""


class Queued(NamedTuple):
    """An event that is to be sent: its id, and its document as JSON."""

    event_id: str
    body: bytes


class Answer(NamedTuple):
    """An HTTP response; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body, if it is a JSON object, else an empty one."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def reason(self) -> str:
        """Why the collector refuses the request; empty if it does not say so."""
        return str(self.document.get("reason") or "")

    @property
    def date_s(self) -> float | None:
        """The time there, in epoch seconds."""
        return _date_s(self.headers.get("date", ""))

    def retry_after_s(self, now_s: float) -> float:
        """How long not to come back (RFC 9110, section 10.2.3); 0 if nothing is said."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        at_s = _date_s(text)
        return 0.0 if at_s is None else max(0.0, at_s - (self.date_s or now_s))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has become of an event.

    Attributes:
        event_id: its id.
        status: `accepted`: it is in the log. `rejected`: it never will be. `unsent`: the client was
            closed before an answer came; it may be in the log all the same.
        reasons: of a rejection, the collector's.
        detail: the same in words.
        body: its document as JSON.
    """

    event_id: str
    status: Literal["accepted", "rejected", "unsent"]
    reasons: tuple[str, ...]
    detail: str
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """Its document."""
        document: dict[str, Any] = json.loads(self.body)
        return document


def judge(answer: Answer | None, events: Sequence[Queued]) -> tuple[Action, list[Verdict]]:
    """What to do after an answer to these events, and what is decided of them; None: none came.

    An answer that is not the collector's (a proxy's page with 200, a redirect to one) says nothing
    of the events, so they are sent again.
    """
    if answer is None or answer.status < 400 or answer.status >= 500:
        verdicts = _verdicts(answer, events)
        return (Action.TAKEN, verdicts) if verdicts else (Action.RETRY, [])
    if answer.status in _AGAIN or answer.reason in _SIGN_AGAIN:
        return Action.RETRY, []
    if answer.status == 413 and len(events) > 1:
        return Action.HALVE, []
    return Action.REFUSED, refusals(answer, events)


def refusals(answer: Answer, events: Sequence[Queued]) -> list[Verdict]:
    """The verdicts on events whose request was refused."""
    reasons = (answer.reason or f"http_{answer.status}",)
    detail = str(answer.document.get("detail") or f"the answer is {answer.status}")
    return [Verdict(one.event_id, "rejected", reasons, detail, one.body) for one in events]


def unsent(events: Sequence[Queued]) -> list[Verdict]:
    """The verdicts on events that nobody will send."""
    return [
        Verdict(one.event_id, "unsent", (), "the client was closed", one.body) for one in events
    ]


def _verdicts(answer: Answer | None, events: Sequence[Queued]) -> list[Verdict]:
    """The verdict on each event; empty if these are not the collector's on them."""
    if answer is None or answer.status not in {201, 207}:
        return []
    said = answer.document.get("events")
    if not isinstance(said, list) or len(said) != len(events):
        return []
    found = [_verdict(index, one, events[index]) for index, one in enumerate(said)]
    return [one for one in found if one is not None] if None not in found else []


def _verdict(index: int, said: object, event: Queued) -> Verdict | None:
    if not isinstance(said, dict) or said.get("index") != index:
        return None
    if said.get("status") == "accepted":
        return Verdict(event.event_id, "accepted", (), "", event.body)
    if said.get("status") != "rejected":
        return None
    errors = [one for one in said.get("errors") or () if isinstance(one, dict)]
    words = [f"{one.get('field') or ''} {one.get('detail') or ''}".strip() for one in errors]
    reasons = tuple(str(one) for one in said.get("reasons") or ())
    return Verdict(event.event_id, "rejected", reasons, "; ".join(words), event.body)


def _date_s(text: str) -> float | None:
    """Epoch seconds of a date as HTTP writes it."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
