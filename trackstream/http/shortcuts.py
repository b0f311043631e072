"""Handlers of the paths that nearly all requests have, found before aiohttp's router.

The router, the match that it makes and the middlewares around a handler cost a seventh of what
aiohttp needs for a request. What is looked up here needs none of them: its handler answers every
error itself. Whatever is not found, spelled in another way or asked with another method, goes on to
the router, which has the same routes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    # Any: what the application makes of a request
    Handler = Callable[[Any], Awaitable[web.StreamResponse]]

__all__ = ["SHORTCUTS", "Shortcuts"]

_LAST = re.compile(r"[A-Za-z0-9_-]+")


class Shortcuts:
    """Handlers by method and path."""

    def __init__(self) -> None:
        self._whole: dict[str, tuple[str, Handler]] = {}
        self._folders: dict[str, tuple[str, Handler]] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Add a path, or a folder of them: `/c/{slug}`. A path has one method here."""
        folder, _, last = path.rpartition("/")
        if last.startswith("{"):
            self._folders[folder] = (method, handler)
        else:
            self._whole[path] = (method, handler)

    def find(self, request: web.BaseRequest) -> Handler | None:
        """The handler of exactly this path."""
        path = request.raw_path.partition("?")[0]
        found = self._whole.get(path)
        if found is None:
            folder, _, last = path.rpartition("/")
            found = self._folders.get(folder)
            if found is None or not _LAST.fullmatch(last):
                return None
        method, handler = found
        return handler if method == request.method else None


SHORTCUTS = web.AppKey("shortcuts", Shortcuts)
"""Those of an application."""
