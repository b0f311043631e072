"""What the agents and the HTTP layer need of the outside, as protocols.

Adapters live in `trackstream.storage` (PostgreSQL, Redis, files) and `trackstream.http`; the
composition root picks them; tests may hand in their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from trackstream.core.definitions import Definitions

if TYPE_CHECKING:
    from trackstream.core.live_funnels import LiveFunnels
    from trackstream.core.lookups import Place, UserAgent
    from trackstream.core.rules import Rules

__all__ = [
    "SCOPES",
    "App",
    "Directory",
    "FunnelsBook",
    "GeoLookup",
    "Key",
    "RulesBook",
    "Sink",
    "TouchCache",
    "TrackingLink",
    "Undelivered",
    "Unwritten",
    "UserAgentLookup",
]


SCOPES = ("ingest", "read", "admin", "erase")
"""What keys are for: sending events, reading what was decided, operating, and erasing people."""


class App(msgspec.Struct, frozen=True, kw_only=True):
    """An app (or site) whose events are kept apart from all others."""

    app_id: str
    name: str
    definitions: Definitions | None = None
    """Its events, if it has defined any."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key of an app. `secret` signs (HMAC) or, for a write key, is None: the id is enough."""

    key_id: str
    app_id: str
    kind: str
    """`server` (HMAC) or `write` (browsers and Segment's libraries)."""
    secret: str | None
    origins: tuple[str, ...] = ()
    """Origins that may use a write key; empty: any."""
    scopes: tuple[str, ...] = ("ingest",)
    """What it is for, of `SCOPES`."""
    previous_secret: str | None = None
    """The secret before the last rotation, which signs as well."""
    previous_until_ms: int | None = None
    """Until when that one does; None: until it is retired."""

    def secrets_at(self, now_ms: int) -> tuple[str, ...]:
        """The secrets that sign at this time, the newest first."""
        both = [] if self.secret is None else [self.secret]
        if self.previous_secret is not None and (
            self.previous_until_ms is None or now_ms < self.previous_until_ms
        ):
            both.append(self.previous_secret)
        return tuple(both)


class TrackingLink(msgspec.Struct, frozen=True, kw_only=True):
    """A registered tracking link. The only destinations that a click is ever sent to."""

    link_id: str
    slug: str
    app_id: str
    campaign_id: str
    campaign: str | None = None
    channel: str | None = None
    network: str | None = None
    ad_group: str | None = None
    web_url: str
    android_url: str | None = None
    ios_url: str | None = None
    deep_link: str | None = None
    expires_at_ms: int | None = None
    overridable: tuple[str, ...] = ()
    """Of channel, network and ad_group, what a click's query may name otherwise."""


class Undelivered(Exception):  # noqa: N818 - a state of the world, named as such
    """Kafka did not acknowledge in time; nothing may be answered with a 2xx."""


class Unwritten(Undelivered):
    """Nothing of it was written, nor will be."""


class Sink(Protocol):
    """Where records go: a topic, by its name without the prefix."""

    async def send(self, messages: list[tuple[str, bytes, bytes]]) -> None:
        """Write (topic, key, value) messages; return when all are acknowledged by all replicas.

        Raises:
            Undelivered: at least one was not acknowledged in time; it may be written all the same,
                unless it is `Unwritten`.
        """


class Directory(Protocol):
    """Apps, their rules, keys and links, as last read from PostgreSQL.

    Answers from memory, never blocks.
    """

    def key(self, key_id: str) -> Key | None:
        """The key with this id, unless it is revoked."""

    def app(self, app_id: str) -> App | None:
        """The app with this id."""

    def link_by_slug(self, slug: str) -> TrackingLink | None:
        """The link of `/c/{slug}`."""

    def links_by_campaign(self, campaign_id: str) -> tuple[TrackingLink, ...]:
        """The links of `/v1/click?cid=`, of whichever apps, the newest first."""

    def rules(self, app_id: str, *, at_ms: int) -> Rules:
        """The app's rules for what arrives then; see `RulesBook.current`."""


class RulesBook(Protocol):
    """The rules of every app, as last read from PostgreSQL. Answers from memory, never blocks."""

    async def up_to(self, at_ms: int) -> None:
        """Look again, if what counts at this moment may not have been read yet."""

    def current(self, app_id: str, *, at_ms: int) -> Rules:
        """The rules for what arrived then: a moment of the log, so that a replay has the same."""

    def version(self, app_id: str, version: str) -> Rules | None:
        """The rules of this name that the app has or had; None if they are not known."""


class FunnelsBook(Protocol):
    """The funnels of every app, as last read from PostgreSQL. Answers from memory, never blocks."""

    async def up_to(self, at_ms: int) -> None:
        """Look again, if what counts at this moment may not have been read yet."""

    def current(self, app_id: str, *, at_ms: int) -> LiveFunnels:
        """Those that count for what arrived then: a moment of the log, as for rules."""

    def apps(self) -> list[str]:
        """Apps that have or had any."""


class GeoLookup(Protocol):
    """Address to place."""

    def place(self, ip: str | None) -> Place:
        """The place of an IPv4 or IPv6 address; all None when private, unknown or malformed."""


class UserAgentLookup(Protocol):
    """User agent string to browser, OS and device; cached."""

    def parse(self, user_agent: str | None) -> UserAgent:
        """All None for an absent or unknown string."""


class TouchCache(Protocol):
    """The fast path beside the stream (Redis). Loses nothing that matters when it is lost."""

    async def remember_touch(
        self,
        app_id: str,
        click_id: str,
        fingerprint: str | None,
        deep_link: str | None,
        *,
        guess_ms: int,
    ) -> None:
        """Keep a click's deferred deep link for its first open. Never raises for a dead cache.

        By its fingerprint for `guess_ms`.
        """

    async def deep_link(
        self, app_id: str, click_id: str | None, fingerprint: str | None
    ) -> str | None:
        """The deep link of that click, or, if none is named, of the newest with that fingerprint.

        None if there is none.
        """

    async def earlier_click(self, sight: str, click: str, ttl_ms: int) -> str | None:
        """The click that came with this sight in the last `ttl_ms`; None if this is the first.

        Then this one is remembered, as this text.
        """

    async def forget_click(self, sight: str, click: str) -> None:
        """Remember this one no longer; another with its sight stays."""

    async def first_use(self, nonce: str, ttl_s: int) -> bool | None:
        """True once per nonce within `ttl_s` seconds, None if it cannot be known."""


@dataclass(frozen=True, slots=True)
class Deps:
    """What agents are given besides the app and its tables."""

    geo: GeoLookup
    user_agents: UserAgentLookup
    version: str
