"""How wrong a device's clock is, by what its requests say, and what time its events were.

A request that says when it was sent has an offset, arrival - `sent_at`: its clock's error and its
latency. The least of a clock's requests is nearest to the error, and is one number for all of its
events, so that correction never reorders them. Source: Segment's
`timestamp = receivedAt - (sentAt - originalTimestamp)`, per device.

A device whose clock is set, or wrong for a moment, has several clocks: requests whose offsets are
more than an hour apart are of different ones, each with a least offset of its own. The first that
was heard of is the one by which the state is kept; the times of the others are shifted to it, each
by what never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trackstream.core.rules import DAY_MS, HOUR_MS
from trackstream.core.timestamps import EARLIEST_MS

if TYPE_CHECKING:
    from trackstream.core.records import Envelope, Event
    from trackstream.core.rules import Rules

__all__ = ["Clock", "Heard", "Reading", "clock_error_ms", "heard", "latest_at_ms", "moment_ms"]

_TOLERANCE_MS = 60_000
"""A clock is taken as right up to this error, which latency alone can explain."""
_WILD_MS = HOUR_MS
"""Further apart than this two offsets are not of one clock."""
_MOST_CLOCKS = 8


class Clock(msgspec.Struct, frozen=True, array_like=True):
    """Another clock than the first that a device was heard to have."""

    offset_ms: int
    """Least (arrival - sent_at) of its requests."""
    shift_ms: int
    """What its times are shifted by, to be compared with the first clock's."""


class Heard(NamedTuple):
    """What is known of a device's clocks."""

    offset_ms: int | None
    """Least (arrival - sent_at) of the first clock; None: it was never said."""
    others: list[Clock]
    """Those used last are last."""


class Reading(NamedTuple):
    """By which clock an envelope's events are timed."""

    error_ms: int
    """What is added to their times."""
    shift_ms: int
    """What is added to have them by the device's first clock."""


def clock_error_ms(offset_ms: int | None) -> int:
    """What to add to a clock's times: its offset, unless latency alone can explain it."""
    return offset_ms if offset_ms is not None and abs(offset_ms) > _TOLERANCE_MS else 0


def heard(known: Heard, envelope: Envelope, *, begun: bool, rules: Rules) -> tuple[Heard, Reading]:
    """What is known of the clocks with this envelope, and by which of them its events are.

    Args:
        known: before.
        envelope: with `sent_at` its own offset says which clock; without it that is guessed.
        begun: whether the device had events before, timed as they stood while no clock was known.
        rules: how far ahead of its arrival an event may be.
    """
    if envelope.sent_at_ms is None:
        return known, _guessed(known, envelope, rules)
    offset_ms = envelope.received_at_ms - envelope.sent_at_ms
    # Until its clock is known a device's is taken for right, once there are events.
    first_ms = 0 if known.offset_ms is None and begun else known.offset_ms
    away_ms = 0 if first_ms is None else abs(offset_ms - first_ms)
    nearest = min(known.others, key=lambda one: abs(offset_ms - one.offset_ms), default=None)
    if nearest is not None and abs(offset_ms - nearest.offset_ms) < min(away_ms, _WILD_MS + 1):
        clock = Clock(min(nearest.offset_ms, offset_ms), nearest.shift_ms)
    elif away_ms <= _WILD_MS:
        least_ms = offset_ms if known.offset_ms is None else min(known.offset_ms, offset_ms)
        return Heard(least_ms, known.others), Reading(clock_error_ms(least_ms), 0)
    else:
        shift_ms = clock_error_ms(offset_ms) - clock_error_ms(known.offset_ms)
        nearest, clock = None, Clock(offset_ms, shift_ms)
    others = [*(one for one in known.others if one is not nearest), clock]
    reading = Reading(clock_error_ms(clock.offset_ms), clock.shift_ms)
    return Heard(known.offset_ms, others[-_MOST_CLOCKS:]), reading


def moment_ms(raw_ms: int, envelope: Envelope, reading: Reading, rules: Rules) -> int:
    """An event's time by its device's first clock, within what is possible.

    No later than its sending (or arrival) allows, with `sent_at` whatever the clock's error: both
    times are the device's own. And, corrected, not before what is taken for an event's time.
    """
    sent_ms = envelope.sent_at_ms
    latest_ms = envelope.received_at_ms - reading.error_ms if sent_ms is None else sent_ms
    own_ms = latest_ms if raw_ms > latest_ms + rules.max_ahead_ms else raw_ms
    return max(own_ms, EARLIEST_MS - reading.error_ms) + reading.shift_ms


def latest_at_ms(event: Event, sent_at_ms: int | None) -> int:
    """By the collector's clock the event happened no later than this, and no earlier than its time.

    How long it was kept until it was sent is the difference of two times of the device's own clock,
    whatever that clock's error; and nothing arrives before it is sent. So it does not depend on
    when it was sent, as it would if nothing but the arrival were known: without `sent_at`.
    """
    arrived_ms = event.received_at_ms
    if sent_at_ms is None:
        return max(event.timestamp_ms, arrived_ms)
    # what was at 12:00:00 for a clock that tells whole seconds may have been at 12:00:00.999
    told_ms = event.client_timestamp_ms
    within_ms = 999 if told_ms % 1000 == 0 else 0
    return max(event.timestamp_ms, min(arrived_ms, arrived_ms - sent_at_ms + told_ms + within_ms))


def _guessed(known: Heard, envelope: Envelope, rules: Rules) -> Reading:
    """By which clock events are that do not say when they were sent.

    The device's, as long as it is about right. Beside wild ones a right clock is always possible;
    that clock is taken by which the newest event is nearest to its arrival, and not after it.
    """
    first = Reading(clock_error_ms(known.offset_ms), 0)
    if not known.others and abs(first.error_ms) <= _WILD_MS:
        return first
    readings = [one for one in [first] if known.offset_ms is not None]
    readings += [Reading(clock_error_ms(one.offset_ms), one.shift_ms) for one in known.others]
    if all(abs(one.error_ms) > _WILD_MS for one in readings):
        readings.append(Reading(0, -first.error_ms))
    newest_ms = max((raw.timestamp_ms for raw in envelope.events), default=0)

    def oddity_ms(one: Reading) -> int:
        ahead_ms = newest_ms + one.error_ms - envelope.received_at_ms
        return abs(ahead_ms) + (DAY_MS if ahead_ms > rules.max_ahead_ms else 0)

    return min(readings, key=oddity_ms)
