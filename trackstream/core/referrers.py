"""What kind of place a visit came from, by the campaign that it names and by its referrer.

What the link says of itself comes first (`paid`, `email`, `social`): a newsletter that is read in a
search engine's mail is email. Then the referrer: `internal`, `search`, `social`, `email`,
`ai_assistant`, `paid`, or `unknown` for any other site. Without one, a page is `direct`, unless its
campaign names a source. An app's event, which has neither page nor referrer, has no type.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trackstream.core.referrer_sources import AD_CLICK_IDS, APPS, DOMAINS, PATHS

if TYPE_CHECKING:
    from trackstream.core.records import Campaign

__all__ = ["TYPES", "classify"]

TYPES = ("search", "social", "email", "paid", "direct", "ai_assistant", "internal", "unknown")

_Known = tuple[str, str]

_PAID = re.compile(
    r"cpc|ppc|cpm|cpv|cpa|cpi|cps|paid([ _-].*)?|.*[ _-]paid|ppc[ _-].*|cpc[ _-].*|display|banner|"
    r"retargeting|remarketing|affiliate|ads?|sem|interstitial|native"
)
_EMAIL = re.compile(r"e-?mail([ _-].*)?|newsletter")
_SOCIAL = re.compile(r"social([ _-].*)?|sm")
_AI = re.compile(r"ai|llm|chatbot|ai[ _-]assistant")
_GOOGLE = re.compile(r"(www\.|m\.|images\.|news\.)?google\.[a-z]{2,3}(\.[a-z]{2})?")
_SOURCES = 4_096
_MAX_CHARS = 256


def classify(
    page_url: str | None, referrer: str | None, campaign: Campaign | None
) -> tuple[str | None, str | None]:
    """The type, one of `TYPES`, and the name of who sent the visitor: a service's, or a host's.

    Both None where nothing is said of a page, a referrer or a campaign. Raises nothing.
    """
    host = _host(referrer) if referrer else ""
    if campaign is not None:
        told = _told(campaign, host)
        if told is not None:
            return told
    if host:
        own = _host(page_url) if page_url else ""
        return ("internal", own) if own and _same_site(host, own) else _of_page(referrer, host)
    if referrer:
        return "unknown", None
    source = campaign.utm_source if campaign else None
    if source:
        return _of_source(source) or ("unknown", source[:_MAX_CHARS])
    return ("direct", None) if page_url or campaign else (None, None)


def _told(campaign: Campaign, host: str) -> _Known | None:
    """What the link says of itself outright."""
    source = campaign.utm_source
    name = (_of_source(source) or ("", source[:_MAX_CHARS]))[1] if source else ""
    for click_id, network in AD_CLICK_IDS.items():
        if click_id in campaign.click_ids:
            return "paid", network
    medium = (campaign.utm_medium or campaign.channel or "").strip().lower()
    for kind, pattern in (("paid", _PAID), ("email", _EMAIL), ("social", _SOCIAL)):
        if medium and pattern.fullmatch(medium):
            return kind, name or (_of_host(host)[1] if host else medium)
    if medium and _AI.fullmatch(medium):
        return "ai_assistant", name or (_of_host(host)[1] if host else medium)
    if "fbclid" in campaign.click_ids and not host:
        return "social", "Facebook"
    return None


@lru_cache(_SOURCES)
def _of_source(source: str) -> _Known | None:
    """The service that a `utm_source` names: `chatgpt.com`, `Facebook`."""
    text = source.strip().lower()
    if "." in text:
        kind, name = _of_host(text)
        return None if kind == "unknown" else (kind, name)
    return _NAMES.get(text)


_NAMES = {name.lower(): (kind, name) for kind, name in DOMAINS.values()} | {
    "google": ("search", "Google"),
    "twitter": ("social", "X"),
    "fb": ("social", "Facebook"),
    "ig": ("social", "Instagram"),
    "openai": ("ai_assistant", "ChatGPT"),
}


@lru_cache(_SOURCES)
def _of_host(host: str) -> _Known:
    if host.startswith("app:"):
        return APPS.get(host[4:], ("unknown", host[4:]))
    rest = host
    while "." in rest:
        if rest in DOMAINS:
            return DOMAINS[rest]
        rest = rest.partition(".")[2]
    return ("search", "Google") if _GOOGLE.fullmatch(host) else ("unknown", host)


_PARTED = {one.partition("/")[0] for one in PATHS}


def _of_page(referrer: str | None, host: str) -> _Known:
    """The service of a page: that of its part of the site, else the site's."""
    site = host.removeprefix("www.").removeprefix("m.").removeprefix("mobile.")
    if referrer and site in _PARTED:
        # The host is known, so it can be parsed.
        parts = urlsplit(referrer if "//" in referrer else f"//{referrer}")
        steps = parts.path.strip("/").split("/")
        for n in range(len(steps), 0, -1):
            known = PATHS.get("/".join([site, *steps[:n]]))
            if known is not None:
                return known
    return _of_host(host)


def _same_site(one: str, other: str) -> bool:
    """Whether they are one host, or one is a subdomain of the other."""
    one, other = one.removeprefix("www."), other.removeprefix("www.")
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


@lru_cache(_SOURCES)
def _host(url: str) -> str:
    """The host in lower case, `app:PACKAGE` of `android-app://PACKAGE`; empty if there is none."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host = (parts.hostname or "").rstrip(".")[:_MAX_CHARS]
    except ValueError:
        return ""
    return f"app:{host}" if parts.scheme == "android-app" else host
