"""`/openapi.json` and `/docs`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from trackstream.http.openapi import described
from trackstream.http.openapi.page import CONTENT_SECURITY_POLICY, page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["description_routes"]


def description_routes(
    version: str,
) -> list[tuple[str, Callable[[web.Request], Awaitable[web.Response]]]]:
    """Paths and their handlers, all of them GET. Nothing is made before somebody asks."""

    async def document(_: web.Request) -> web.Response:
        return web.Response(
            body=_encoded(version),
            content_type="application/json",
            headers={"Access-Control-Allow-Origin": "*"},
        )

    async def docs(_: web.Request) -> web.Response:
        return web.Response(
            body=_page(version),
            content_type="text/html",
            charset="utf-8",
            headers={
                "Content-Security-Policy": CONTENT_SECURITY_POLICY,
                "X-Content-Type-Options": "nosniff",
            },
        )

    return [("/openapi.json", document), ("/docs", docs)]


@cache
def _encoded(version: str) -> bytes:
    return msgspec.json.encode(described(version))


@cache
def _page(version: str) -> bytes:
    return page(described(version)).encode()
