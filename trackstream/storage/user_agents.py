"""User agent string to browser, OS and device, by uap-core's rules, and its form factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ua_parser.core import Domain
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver

from trackstream.core.form_factors import of_user_agent
from trackstream.core.lookups import UserAgent
from trackstream.storage.bots import BotMatcher, without_libraries
from trackstream.storage.recent import Recent

if TYPE_CHECKING:
    from ua_parser.core import OS
    from ua_parser.core import UserAgent as Browser

__all__ = ["UaParser"]

_UNKNOWN = UserAgent()
_CACHED_STRINGS = 32_768
_LONGEST = 2048
"""Characters that are looked at: no browser's string is longer, and rules cost by length."""

_ALL = Domain.USER_AGENT | Domain.OS | Domain.DEVICE
_SPIDER = "Spider"
_GENERIC_BRANDS = frozenset({"Generic", "Generic_Android", "Spider"})
_NO_MODELS = frozenset({"Generic", "Spider"})
"""Brands of uap-core whose models are only kinds of devices; Android's are what devices say."""
_FROZEN_MODEL = "K"
"""What Chrome says for every Android device since it tells no models (user agent reduction); the
system's version is then always 10."""


class UaParser:
    """`ports.UserAgentLookup` on ua-parser's Rust back end, with a bounded cache per string.

    A bot is what the crawler list names, or what uap-core calls a spider, HTTP libraries left out.
    Making one takes some 0.1 s.
    """

    def __init__(self) -> None:
        self._resolve = Resolver(load_builtins())
        self._is_bot = BotMatcher()
        self._recent = Recent[str, UserAgent](_CACHED_STRINGS)

    def parse(self, user_agent: str | None) -> UserAgent:
        """All None for an absent or unknown string."""
        if not user_agent:
            return _UNKNOWN
        text = user_agent[:_LONGEST]
        found = self._recent.get(text)
        if found is None:
            found = self._parse(text)
            self._recent.put(text, found)
        return found

    def _parse(self, text: str) -> UserAgent:
        result = self._resolve(text, _ALL)
        browser, system, device = result.user_agent, result.os, result.device
        spider = device is not None and device.family == _SPIDER and self._is_spider(text)
        named = device is not None and device.brand not in _GENERIC_BRANDS
        telling = device is not None and device.brand not in _NO_MODELS
        frozen = device is not None and device.model == _FROZEN_MODEL
        bot = spider or self._is_bot(text)
        return UserAgent(
            browser=browser.family if browser else None,
            browser_version=_version(browser),
            os_name=system.family if system else None,
            os_version=None if frozen or _is_behind(system, browser) else _version(system),
            device_brand=device.brand if device and named else None,
            device_model=device.model if device and telling and not frozen else None,
            form_factor=None if bot else of_user_agent(text),
            bot=bot,
        )

    def _is_spider(self, text: str) -> bool:
        """Whether uap-core's word for it is due to more than the name of a library."""
        rest = without_libraries(text)
        if rest == text:
            return True
        device = self._resolve(rest, Domain.DEVICE).device
        return device is not None and device.family == _SPIDER


def _is_behind(system: OS | None, browser: Browser | None) -> bool:
    """Whether this is Safari on an iOS older than itself, which comes with it: since 26 it says 18.

    Source: WebKit froze the system's version in Safari's string in 2025.
    """
    return (
        system is not None
        and browser is not None
        and (system.family, browser.family) == ("iOS", "Mobile Safari")
        and int(system.major or 0) < int(browser.major or 0)
    )


def _version(thing: Browser | OS | None) -> str | None:
    if thing is None or thing.major is None:
        return None
    parts = [thing.major, thing.minor, thing.patch]
    return ".".join(part for part in parts if part is not None)
