"""The owner of one identifier: keeps its touches, links, conversions; answers and remembers probes.

Everything that arrives after a probe is forwarded to it as news, so arrival order does not matter.
A message handled twice leaves the same state and is answered again, which its receiver tolerates:
so nothing is lost when a worker dies between answering and being acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trackstream.core.identifiers import CLICK, is_probabilistic
from trackstream.core.matching.bounds import foremost, kept
from trackstream.core.matching.claims import more, until
from trackstream.core.matching.horizon import horizon_ms
from trackstream.core.matching.short import shortened
from trackstream.core.records import (
    Answer,
    Claim,
    Claimed,
    Conversion,
    Link,
    Outcome,
    Prior,
    Probe,
    Touch,
)
from trackstream.core.rules import HOUR_MS

if TYPE_CHECKING:
    from trackstream.core.rules import Rules

__all__ = ["IdentifierState", "own"]


_NAMED_AFTER_MS = HOUR_MS
"""A store's referrer is handed over a moment after the first open, and not an hour."""


class IdentifierState(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one identifier. Lists are newest first and bounded by the rules."""

    touches: list[Touch] = []
    links: list[str] = []
    probes: list[Conversion] = []
    """Conversions that have asked here and are told what comes late."""
    priors: list[Prior] = []
    """Conversions that carry this identifier themselves."""
    claimed: list[Claimed] = []
    """Of a fingerprint's touches those of a device that has installed; see `Claim`."""
    clicks: dict[str, int] = {}
    """Clicks that events with this identifier have named, and when first."""


EMPTY = IdentifierState()


def own(
    state: IdentifierState | None,
    message: Touch | Link | Probe | Outcome | Claim,
    *,
    identifier: str,
    rules: Rules,
) -> tuple[IdentifierState, list[Answer]]:
    """Apply one message of the identity log to its identifier's state.

    Args:
        state: the state before, None for an identifier never seen.
        message: any record of the topic `identity` that was written under this identifier.
        identifier: the identifier, without its app.
        rules: bounds are taken from here.

    Returns:
        The state after, and answers for the topic `candidates`.
    """
    before = state or EMPTY
    match message:
        case Touch():
            return _touched(before, message, identifier, rules)
        case Link():
            return _linked(before, message, identifier, rules)
        case Probe():
            return _probed(before, message, identifier, rules)
        case Outcome():
            return _decided(before, message, identifier, rules)
        case Claim():
            return _claimed(before, message, identifier, rules)


def _touched(
    state: IdentifierState, touch: Touch, identifier: str, rules: Rules
) -> tuple[IdentifierState, list[Answer]]:
    touch = shortened(touch)
    others = [one for one in state.touches if one.touch_id != touch.touch_id]
    touches = kept(
        [touch, *others],
        rules.max_touches,
        per_hour=None if is_probabilistic(identifier) else rules.fraud.max_touches_per_hour,
    )
    news = [
        Answer(conversion=one, identifier=identifier, touches=[touch])
        for one in state.probes
        if touch.at_ms <= horizon_ms(one, rules)
    ]
    return msgspec.structs.replace(state, touches=touches), news


def _linked(
    state: IdentifierState, link: Link, identifier: str, rules: Rules
) -> tuple[IdentifierState, list[Answer]]:
    if link.other.startswith(CLICK):
        return _named(state, link, identifier, rules)
    if link.other not in state.links:
        if len(state.links) >= rules.max_links:
            return state, []
        state = msgspec.structs.replace(state, links=[link.other, *state.links])
    news = [
        Answer(conversion=one, identifier=identifier, links=[link.other]) for one in state.probes
    ]
    return state, news


def _named(
    state: IdentifierState, link: Link, identifier: str, rules: Rules
) -> tuple[IdentifierState, list[Answer]]:
    """A click that was named: it can only have led to what came then, or was just before."""
    known_ms = state.clicks.get(link.other)
    if known_ms is not None and known_ms <= link.at_ms:
        return state, []
    clicks = {**state.clicks, link.other: link.at_ms}
    if len(clicks) > rules.max_links:
        newest = sorted(clicks.items(), key=lambda one: (one[1], one[0]))[-rules.max_links :]
        clicks = dict(newest)
    news = [
        Answer(conversion=one, identifier=identifier, links=[link.other])
        for one in state.probes
        if _may_be_of(one, link.at_ms)
    ]
    return msgspec.structs.replace(state, clicks=clicks), news


def _may_be_of(conversion: Conversion, named_ms: int) -> bool:
    return named_ms <= conversion.at_ms + _NAMED_AFTER_MS


def _probed(
    state: IdentifierState, probe: Probe, identifier: str, rules: Rules
) -> tuple[IdentifierState, list[Answer]]:
    conversion = probe.conversion
    # Two subjects' conversions of one id are both remembered, or the first would miss its news.
    mine = conversion.conversion_id, conversion.subject
    others = [one for one in state.probes if (one.conversion_id, one.subject) != mine]
    probes = sorted([conversion, *others], key=_when, reverse=True)[: rules.max_probes]
    priors, news = state.priors, list[Answer]()
    known = {one.conversion_id for one in priors}
    # a fingerprint may be many people's: their conversions are not each other's history
    carried = probe.depth == 0 and not is_probabilistic(identifier)
    if carried and conversion.conversion_id not in known:
        prior = Prior(
            conversion_id=conversion.conversion_id, kind=conversion.kind, at_ms=conversion.at_ms
        )
        priors = foremost([prior, *priors], rules.max_probes)
    after = msgspec.structs.replace(state, probes=probes, priors=priors)
    if carried:
        news = _tell(after, conversion.conversion_id, identifier)
    answer = Answer(
        conversion=conversion,
        identifier=identifier,
        depth=probe.depth,
        touches=[one for one in after.touches if one.at_ms <= horizon_ms(conversion, rules)],
        links=[
            *after.links,
            *(one for one, named_ms in after.clicks.items() if _may_be_of(conversion, named_ms)),
        ],
        priors=[one for one in after.priors if _when(one) < _when(conversion)],
        claimed=until(horizon_ms(conversion, rules), after.claimed),
    )
    return after, [answer, *news]


def _decided(
    state: IdentifierState, outcome: Outcome, identifier: str, rules: Rules
) -> tuple[IdentifierState, list[Answer]]:
    others = [one for one in state.priors if one.conversion_id != outcome.conversion_id]
    old = next((one for one in state.priors if one.conversion_id == outcome.conversion_id), None)
    if old is None or old.revision <= outcome.revision:
        now = Prior(
            conversion_id=outcome.conversion_id,
            kind=outcome.kind,
            at_ms=outcome.at_ms,
            revision=outcome.revision,
            method=outcome.method,
            touch=shortened(outcome.touch) if outcome.touch else None,
            confidence=outcome.confidence,
        )
        priors = foremost([now, *others], rules.max_probes)
        state = msgspec.structs.replace(state, priors=priors)
    return state, _tell(state, outcome.conversion_id, identifier)


def _claimed(
    state: IdentifierState, claim: Claim, identifier: str, rules: Rules
) -> tuple[IdentifierState, list[Answer]]:
    """Only what is new is news: each revision of an install claims all of its touches again.

    What was told before the state knew of it is out by then, so none of it is lost.
    """
    known = {one.touch_id for one in state.claimed}
    fresh = [one for one in claim.claimed if one.touch_id not in known]
    if not fresh:
        return state, []
    news = [
        Answer(conversion=one, identifier=identifier, claimed=concerned)
        for one in state.probes
        if one.conversion_id != claim.conversion_id
        and (concerned := until(horizon_ms(one, rules), fresh))
    ]
    claimed = more(state.claimed, fresh, rules.max_touches)
    return msgspec.structs.replace(state, claimed=claimed), news


def _tell(state: IdentifierState, conversion_id: str, identifier: str) -> list[Answer]:
    """News of one conversion for the later ones that have asked here."""
    prior = next((one for one in state.priors if one.conversion_id == conversion_id), None)
    if prior is None:
        return []
    return [
        Answer(conversion=one, identifier=identifier, priors=[prior])
        for one in state.probes
        if _when(prior) < _when(one)
    ]


def _when(one: Conversion | Prior) -> tuple[int, str]:
    """Conversions are ordered by time, then by id, so that no two are at once."""
    return one.at_ms, one.conversion_id
