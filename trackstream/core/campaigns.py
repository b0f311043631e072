"""Where a visit says that it came from: UTM names, networks' click ids, the store's referrer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from trackstream.core.records import Campaign
from trackstream.core.texts import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CLICK_ID",
    "NETWORK_CLICK_IDS",
    "UTM_NAMES",
    "campaign_of",
    "marks",
    "query_of",
    "referrer_marks",
    "referrer_of",
]

CLICK_ID = "trackstream_click_id"
"""The parameter under which a redirect hands our click id on, to pages and in Play's referrer."""

UTM_NAMES = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")

NETWORK_CLICK_IDS = frozenset(
    {
        "gclid",  # Google Ads; gbraid and wbraid in its place on iOS; dclid for Display & Video
        "gbraid",
        "wbraid",
        "dclid",
        "fbclid",  # Meta
        "msclkid",  # Microsoft
        "ttclid",  # TikTok
        "twclid",  # X
        "li_fat_id",  # LinkedIn
        "sccid",  # Snap
        "rdt_cid",  # Reddit
        "epik",  # Pinterest
        "irclid",  # impact.com
    }
)
"""Parameters under which networks hand their own click ids on."""

_ORGANIC = (
    {"utm_source": "google-play", "utm_medium": "organic"},  # found in the store itself
    {"utm_source": "(not set)", "utm_medium": "(not set)"},  # the store does not know
)
"""All marks of a store's referrer that names no campaign."""

_MARKS = NETWORK_CLICK_IDS.union(UTM_NAMES)
_MAX_CHARS = 512


def query_of(url: str) -> dict[str, str]:
    """The query of a URL by lower-case name; the first of several wins, empty ones are left out."""
    query = url.partition("#")[0].partition("?")[2]
    return _pairs(query) if query else {}


def marks(query: Mapping[str, str]) -> dict[str, str]:
    """The UTM names and networks' click ids among these, cleaned and bounded in length."""
    return {
        name: clean(value)[:_MAX_CHARS] for name, value in query.items() if value and name in _MARKS
    }


def referrer_of(text: str) -> dict[str, str]:
    """What Play's install referrer says, by name; it arrives encoded once, twice, or not at all.

    Source: Google Play Install Referrer API, `getInstallReferrer`.
    """
    for _ in range(2):
        if "=" in text:
            break
        text = unquote(text, errors="replace")
    return _pairs(text)


def referrer_marks(referred: Mapping[str, str]) -> dict[str, str]:
    """The `marks` of what a store's referrer says; none where it says that nobody sent the user."""
    found = marks(referred)
    return {} if found in _ORGANIC else found


def campaign_of(
    found: Mapping[str, str], *, campaign_id: str | None = None, channel: str | None = None
) -> Campaign | None:
    """A campaign of these `marks`; None when nothing at all is known."""
    if not found and not campaign_id and not channel:
        return None
    return Campaign(
        campaign_id=campaign_id,
        channel=channel,
        utm_source=found.get("utm_source"),
        utm_medium=found.get("utm_medium"),
        utm_campaign=found.get("utm_campaign"),
        utm_term=found.get("utm_term"),
        utm_content=found.get("utm_content"),
        click_ids={name: value for name, value in found.items() if name in NETWORK_CLICK_IDS},
    )


def _pairs(query: str) -> dict[str, str]:
    """As `urllib.parse.parse_qsl`, at half its cost where nothing is encoded."""
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if value:
            if "%" in part or "+" in part:
                name = unquote_plus(name, errors="replace")
                value = unquote_plus(value, errors="replace")
            found.setdefault(name.lower(), value)
    return found
