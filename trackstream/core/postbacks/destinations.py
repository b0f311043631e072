"""Destinations: who is told of which attributions, and how."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.postbacks.macros import FRAUD, event_of, values_of
from trackstream.core.postbacks.templates import (
    body_problems,
    expand_body,
    expand_url,
    url_problems,
)
from trackstream.core.postbacks.webhooks import secret_problem
from trackstream.core.texts import has_controls

if TYPE_CHECKING:
    from trackstream.core.records import Attribution, Candidate, Touch

__all__ = [
    "Destination",
    "Request",
    "postback_id",
    "problems",
    "rejected_of",
    "request_of",
    "touch_of",
    "triggered",
]

MAX_CONCURRENCY = 64

_CHOICES = {
    "method": ("GET", "POST"),
    "revisions": ("first", "all"),
    "on_uncertain": ("skip", "resend"),
}


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One template, and when it is used."""

    destination_id: str
    app_id: str
    name: str
    url: str
    """A template; see `templates`."""
    method: str = "GET"
    """`GET`, or `POST`, which may have a body."""
    body: str | None = None
    """A template of JSON."""
    campaign_id: str | None = None
    """Only what is attributed to this campaign; None: to any."""
    network: str | None = None
    """Only what is attributed to this network; None: to any."""
    events: tuple[str, ...] = ()
    """Only these, such as `install` and `purchase`; empty: all."""
    organic: bool = False
    """Also what is attributed to nobody, whichever campaign or network this is for."""
    rejected: bool = False
    """Not what is attributed, but touches of this campaign and network that a fraud rule has
    rejected: of each decision the newest."""
    revisions: str = "first"
    """`first`: each conversion once. `all`: each decision that differs from the one before, too."""
    on_uncertain: str = "skip"
    """When nobody can know whether a request arrived: `skip` (never twice) or `resend`."""
    max_concurrency: int = 4
    """Requests at once, of one sending process."""
    created_at_ms: int = 0
    """What was decided before is not sent."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent."""

    method: str
    url: str
    body: str | None


def problems(destination: Destination, *, secret: str | None = None) -> list[str]:
    """Everything that keeps a destination from being saved; empty: nothing.

    Args:
        destination: As it would be saved.
        secret: With which its postbacks are to be signed.
    """
    found = url_problems(destination.url)
    if destination.body is not None:
        found.extend(body_problems(destination.body))
    found.extend(
        f"{name}: takes {' or '.join(words)}"
        for name, words in _CHOICES.items()
        if getattr(destination, name) not in words
    )
    if destination.method == "GET" and destination.body is not None:
        found.append("body: a GET has none; make it a POST")
    if destination.rejected and destination.organic:
        found.append(
            "rejected: tells of touches that were rejected alone, so not of what is organic"
        )
    if not destination.name or has_controls(destination.name):
        found.append("name: takes text that people can read")
    if any(not event or has_controls(event) for event in destination.events):
        found.append("events: takes the names of events")
    if not 1 <= destination.max_concurrency <= MAX_CONCURRENCY:
        found.append(f"max_concurrency: takes 1 to {MAX_CONCURRENCY}")
    if secret is not None and destination.body is None:
        found.append("secret: a signature covers the body, and there is none")
    wrong = secret_problem(secret) if secret is not None else None
    return found if wrong is None else [*found, f"secret: {wrong}"]


def triggered(destination: Destination, attribution: Attribution) -> bool:
    """Whether the destination is to be told of this decision.

    That `revisions` is `first`, and an earlier decision was told, is the outbox's to know.
    """
    is_older = attribution.decided_at_ms < destination.created_at_ms
    if attribution.app_id != destination.app_id or is_older:
        return False
    if destination.events and event_of(attribution) not in destination.events:
        return False
    if destination.rejected:
        return rejected_of(destination, attribution) is not None
    touch = attribution.touch
    before = (attribution.previous_method, attribution.previous_touch_id)
    if attribution.revision > 1 and before == (attribution.method, touch and touch.touch_id):
        return False  # other touches have come to light, which share the credit: told was the same
    if touch is None:
        return destination.organic
    return _is_its_own(destination, touch)


def rejected_of(destination: Destination, attribution: Attribution) -> Candidate | None:
    """Of its own touches that a fraud rule has rejected the newest, whoever got the credit.

    None if there is none, or if the destination is not one of rejections.
    """
    if not destination.rejected:
        return None
    return min(
        (
            one
            for one in attribution.candidates
            if one.verdict.startswith(FRAUD) and _is_its_own(destination, one.touch)
        ),
        key=lambda one: (-one.touch.at_ms, one.touch.touch_id),
        default=None,
    )


def touch_of(destination: Destination, attribution: Attribution) -> Touch | None:
    """The touch of which the destination is told."""
    rejected = rejected_of(destination, attribution)
    return attribution.touch if rejected is None else rejected.touch


def request_of(
    destination: Destination, attribution: Attribution, *, campaign_name: str | None = None
) -> Request:
    """The request that tells the destination; `campaign_name` as for `macros.values_of`."""
    values = values_of(
        attribution,
        rejected=rejected_of(destination, attribution),
        campaign_name=campaign_name,
    )
    return Request(
        method=destination.method,
        url=expand_url(destination.url, values),
        body=None if destination.body is None else expand_body(destination.body, values),
    )


def _is_its_own(destination: Destination, touch: Touch) -> bool:
    return destination.campaign_id in {None, touch.campaign_id} and destination.network in {
        None,
        touch.network,
    }


def postback_id(destination_id: str, conversion_id: str, revision: int) -> str:
    """The postback's id, the same at every try: receivers can know a repetition by it."""
    named = f"{destination_id}\0{conversion_id}\0{revision}"
    return "pb_" + hashlib.blake2b(named.encode(), digest_size=15).hexdigest()
