"""Touches for the log, of which only what is a click's own is written for each click.

The rest comes again with each click on the same ad in the same browser, and is remembered as bytes
from the second on: what came once may never come again. What is written is the same as if nothing
were remembered (a test compares them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trackstream import codec
from trackstream.core.campaigns import NETWORK_CLICK_IDS
from trackstream.core.records import Touch
from trackstream.core.touches import OWN, LinkFacts, Visit, recurring_of, touch_of
from trackstream.storage.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.core.lookups import UserAgent
    from trackstream.outlines import Outline

__all__ = ["TouchBytes"]

_Key = tuple[str | None, ...]

_OUTLINES = codec.outlines(Touch, OWN)
_REMEMBERED = 8_192
_MOST_CHARS = 2_048
"""Of what is remembered of a query: what is longer is nobody's ad."""


class _Known(NamedTuple):
    """An outline, and what it is of: a link may be changed under its id."""

    outline: Outline
    link: LinkFacts
    agent: UserAgent
    destination: str | None

    def is_of(self, link: LinkFacts, agent: UserAgent, destination: str | None) -> bool:
        return self.link is link and self.agent is agent and self.destination == destination


class TouchBytes:
    """Writes touches; remembers what recurs in the last few thousand of them."""

    def __init__(self) -> None:
        self._recent = Recent[_Key, _Known](_REMEMBERED)
        self._once = Recent[_Key, bool](_REMEMBERED)

    def of(
        self,
        kind: str,
        link: LinkFacts,
        visit: Visit,
        query: Mapping[str, str],
        marks: Mapping[str, str],
        *,
        touch_id: str,
        click_id: str,
        identifiers: list[str],
        destination: str | None,
    ) -> bytes:
        """The touch that `touch_of` makes of these, encoded.

        Args:
            kind: `click` or `impression`.
            link: what was clicked.
            visit: who clicked.
            query: of the URL, by lower-case names.
            marks: `campaigns.marks` of it.
            touch_id: the touch's.
            click_id: the network's, or ours.
            identifiers: `identifiers_of` these.
            destination: where to.
        """
        key = (
            kind, link.link_id, visit.user_agent, visit.language, visit.country,
            *recurring_of(query),
        )  # fmt: skip
        known = self._recent.get(key)
        if known is None or not known.is_of(link, visit.agent, destination):
            touch = touch_of(
                kind,
                link,
                visit,
                query,
                touch_id=touch_id,
                click_id=click_id,
                destination=destination,
            )
            if self._comes_first(key):
                return codec.encode(touch)
            known = _Known(_OUTLINES.of(touch), link, visit.agent, destination)
            self._recent.put(key, known)
        clicks = {name: value for name, value in marks.items() if name in NETWORK_CLICK_IDS}
        return known.outline.filled(
            (touch_id, visit.at_ms, identifiers, click_id, clicks, visit.ip)
        )

    def _comes_first(self, key: _Key) -> bool:
        """Whether it was not seen lately, or is never remembered."""
        if self._once.get(key):
            return False
        if sum(len(one or "") for one in key) <= _MOST_CHARS:
            self._once.put(key, True)
        return True
