"""Clicks that are one: a finger that hits twice, a page that reloads.

The first of them is noted before it is delivered, or two at once would count twice, and forgotten
if it could not be delivered: then the next counts.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["Noted", "sight_of"]

_NO_COOKIE = "-"


class Noted(NamedTuple):
    """What is noted of a click: the page and the cookie that lead back to it.

    Attributes:
        touch_id: its own, which tells it from another with the same click id.
        cookie_id: of the cookie that was made for it; None: it came with one, or was given none.
        click_id: the network's, or ours.
    """

    touch_id: str
    cookie_id: str | None
    click_id: str

    def text(self) -> str:
        """As it is kept."""
        return f"{self.touch_id} {self.cookie_id or _NO_COOKIE} {self.click_id}"

    @classmethod
    def of(cls, text: str) -> Noted:
        """What was kept."""
        touch_id, cookie_id, click_id = text.split(" ", 2)
        return cls(touch_id, None if cookie_id == _NO_COOKIE else cookie_id, click_id)


def sight_of(ip: str | None, raw_path: str, user_agent: str | None) -> str:
    """What two clicks have in common that are one.

    The whole URL and not only its link: what else it carries may be a network's own click id.
    """
    text = f"{ip} {raw_path} {user_agent}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
