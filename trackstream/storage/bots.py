"""Crawlers and other programs by their user agent string.

The rules are the maintained list of `crawler-user-agents` (one regular expression a crawler).
Left out are plain HTTP libraries (of the list okhttp, curl, Python-urllib, …, and Java's own):
apps, servers and ad networks that report clicks from server to server send just these, and are no
robots. uap-core calls some of them spiders; `is_library` tells these apart.
They are matched all at once by the engine of ua-parser's fast back end, which first looks for
the literals that a rule needs: about 2 µs a string, where one joined `re` takes 400.
"""

from __future__ import annotations

import re
from typing import Any

from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from ua_parser.core import Domain
from ua_parser.matchers import UserAgentMatcher
from ua_parser.regex import Resolver

__all__ = ["BotMatcher", "crawlers", "is_library"]


_LIBRARY = "http-library"
_CRAWLER = re.compile("crawl|bot|scrap|spider|httrack|larbin|newspaper|download", re.IGNORECASE)


def crawlers() -> list[dict[str, Any]]:
    """The entries of the list that are crawlers, as the package has them."""
    return [
        entry
        for entry in CRAWLER_USER_AGENTS_DATA
        if _LIBRARY not in entry.get("tags", ()) or _CRAWLER.search(entry["pattern"])
    ]


_LIBRARIES = re.compile(
    "(?:{})/?[0-9._-]*".format(
        "|".join(
            [
                "Java",  # java.net.HttpURLConnection's, which the list does not have
                *(
                    entry["pattern"].removeprefix("^")
                    for entry in CRAWLER_USER_AGENTS_DATA
                    if _LIBRARY in entry.get("tags", ()) and not _CRAWLER.search(entry["pattern"])
                ),
            ]
        )
    )
)


def is_library(user_agent: str) -> bool:
    """Whether the string names an HTTP library and its version, and nothing else."""
    return _LIBRARIES.fullmatch(user_agent) is not None


class BotMatcher:
    """Whether a user agent string is a bot's. Making one takes about 30 ms."""

    def __init__(self) -> None:
        fast: list[str] = []
        slow: list[str] = []
        for entry in crawlers():
            # The fast engine knows no look-around and no back references.
            pattern: str = entry["pattern"]
            (slow if re.search(r"\(\?[=!<]|\\[1-9]", pattern) else fast).append(pattern)
        self._fast = Resolver(([UserAgentMatcher(pattern, "bot") for pattern in fast], [], []))
        self._slow = re.compile("|".join(slow)) if slow else None

    def __call__(self, user_agent: str) -> bool:
        """Whether any rule matches anywhere in the string."""
        if self._fast(user_agent, Domain.USER_AGENT).user_agent is not None:
            return True
        return self._slow is not None and self._slow.search(user_agent) is not None
