"""Where a Segment message says that its user came from: campaign, store's referrer, opened link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.core.campaigns import CLICK_ID, marks, query_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["campaign_in", "is_identifier", "object_in", "origin_of", "text_of"]

_UTM_BY_NAME = {
    "name": "utm_campaign",
    "source": "utm_source",
    "medium": "utm_medium",
    "term": "utm_term",
    "content": "utm_content",
}
_DEEP_LINKS = frozenset({"Application Opened", "Deep Link Opened"})
_REFERRERS = ("install_referrer", "installReferrer", "referrer")
_STORE_TIMES = {
    "referrer_click_timestamp_seconds": "referrerClickTimestampSeconds",
    "install_begin_timestamp_seconds": "installBeginTimestampSeconds",
}
_MAX_REFERRER_CHARS = 4_096
_MAX_MARK_CHARS = 512
_MAX_ID_CHARS = 256


def object_in(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object of this name, empty when there is none."""
    found = values.get(name)
    return found if type(found) is dict else {}


def text_of(value: object) -> str | None:
    """Text, or a number as text; None for everything else and for empty text."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value)


def is_identifier(text: str) -> bool:
    """Whether validation takes the text for an id."""
    return 0 < len(text) <= _MAX_ID_CHARS and text.isprintable()


def campaign_in(given: Mapping[str, Any], left: dict[str, Any]) -> dict[str, Any]:
    """Segment's campaign object in our words: UTM names, and `id` as `campaign_id`.

    Args:
        given: Segment's.
        left: gets what cannot be understood.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value in (None, ""):
            continue
        text = text_of(value)
        is_id = name in {"id", "campaign_id"}
        if text is None or (is_id and not is_identifier(text)):
            left[f"campaign.{name}"] = value
        elif is_id:
            found["campaign_id"] = text
        else:
            found[_UTM_BY_NAME.get(name, name)] = text[:_MAX_MARK_CHARS]
    return found


def origin_of(
    name: object, properties: dict[str, Any], context: dict[str, Any], campaign: dict[str, Any]
) -> dict[str, Any]:
    """`campaign` and `referral` of a track call, as far as there are any.

    Args:
        name: the call's event, in Segment's words.
        properties: what the call says: of an install its referrer, of an opening its link, of an
            attribution provider's answer its campaign.
        context: as Segment has it; an install's referrer may stand there.
        campaign: what the context says already. It wins.
    """
    referral: dict[str, Any] = {}
    url = properties.get("url")
    if name == "Application Installed":
        referral = _referral(properties, context)
    elif name == "Install Attributed":
        campaign = {**campaign_in(object_in(properties, "campaign"), {}), **campaign}
    elif isinstance(name, str) and name in _DEEP_LINKS and isinstance(url, str):
        query = query_of(url)
        campaign = {**marks(query), **campaign}
        referral = _click_id(query.get(CLICK_ID))
    found = {"campaign": campaign, "referral": referral}
    return {ours: one for ours, one in found.items() if one}


def _referral(properties: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """The store's referrer: the properties', else the context's, which is text or an object."""
    stated = context.get("referrer")
    within = stated if isinstance(stated, dict) else {"referrer": stated}
    found: dict[str, Any] = {}
    for place in (context, within, properties):  # the last word wins
        for name in reversed(_REFERRERS):
            text = place.get(name)
            if isinstance(text, str) and text:
                found["install_referrer"] = text[:_MAX_REFERRER_CHARS]
        for ours, theirs in _STORE_TIMES.items():
            seconds = place.get(ours, place.get(theirs))
            if isinstance(seconds, int | float) and seconds is not True and 0 <= seconds < 10**11:
                found[ours] = seconds
        found.update(_click_id(place.get("click_id")))
    return found


def _click_id(value: object) -> dict[str, Any]:
    return {"click_id": value} if isinstance(value, str) and is_identifier(value) else {}
