"""One POST's events to `Envelope`s: one for each subject, address and user agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.identifiers import advertising_id, scoped, subject_of
from trackstream.core.records import Envelope, RawEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.validation import ParsedEvent

__all__ = ["envelopes_of", "halves", "subject_of_event"]


_NO_ADDRESS = "0.0.0.0"
"""How a sender says that it does not know its user's address, or that none is to be kept."""


def subject_of_event(app_id: str, event: RawEvent) -> str:
    """The key of `raw` for an event: device, else cookie, else user, else an advertising id.

    Raises:
        ValueError: the event carries no identifier at all, which validation refuses.
    """
    subject = subject_of(
        app_id, device_id=event.device_id, cookie_id=event.cookie_id, user_id=event.user_id
    )
    if subject is not None:
        return subject
    for kind, value in (("gaid", event.gaid), ("idfa", event.idfa), ("idfv", event.idfv)):
        usable = advertising_id(value)
        if usable:
            return scoped(app_id, f"{kind}:{usable}")
    raise ValueError("an event without any identifier has no subject")


def envelopes_of(
    app_id: str,
    parsed: Iterable[ParsedEvent],
    *,
    received_at_ms: int,
    ip: str | None,
    user_agent: str | None,
    trusts_sender: bool,
) -> list[Envelope]:
    """The events grouped, in the order in which they came.

    Args:
        app_id: whose events they are.
        parsed: the valid events.
        received_at_ms: when they came.
        ip: the address that they came from.
        user_agent: the user agent header that they came with.
        trusts_sender: whether an event's own statement of its address is believed, `0.0.0.0` for
            none included. What it says of its user agent always is: an app's own HTTP library hides
            the device's.
    """
    groups: dict[tuple[str, str | None, str | None, int | None], list[RawEvent]] = {}
    for one in parsed:
        address = (one.ip if trusts_sender else None) or ip
        key = (
            subject_of_event(app_id, one.event),
            None if address == _NO_ADDRESS else address,
            one.user_agent or user_agent,
            one.sent_at_ms,
        )
        groups.setdefault(key, []).append(one.event)
    return [
        Envelope(
            app_id=app_id,
            subject=subject,
            received_at_ms=received_at_ms,
            sent_at_ms=sent_at_ms,
            ip=address,
            user_agent=agent,
            events=events,
        )
        for (subject, address, agent, sent_at_ms), events in groups.items()
    ]


def halves(envelope: Envelope) -> tuple[Envelope, Envelope] | None:
    """The envelope as two, for one that is too large for a message; None for a single event."""
    events = envelope.events
    if len(events) < 2:
        return None
    middle = len(events) // 2

    def part(some: list[RawEvent]) -> Envelope:
        return Envelope(
            app_id=envelope.app_id,
            subject=envelope.subject,
            received_at_ms=envelope.received_at_ms,
            sent_at_ms=envelope.sent_at_ms,
            ip=envelope.ip,
            user_agent=envelope.user_agent,
            events=some,
        )

    return part(events[:middle]), part(events[middle:])
