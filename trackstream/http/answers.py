"""Answers that are written at once: what nearly all requests get.

aiohttp makes a dictionary of an answer's headers, completes it, and writes it in the seven calls
that chunks, compression, HTTP/1.0 and cookies need. That is a third of what a bare aiohttp needs
for a request. An answer that needs none of it is one text. Source: RFC 9112, section 3.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import cache, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, hdrs, web

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from multidict import CIMultiDict

__all__ = ["SERVER", "Answer"]

SERVER = "trackstream"
"""What answers say of who gives them: no version of anything."""

_CONTROLS = bytes([*range(32), 127])
"""What no header has; aiohttp says so, or writes it."""


class Answer(web.Response):
    """An ordinary response, unless it is allowed to be written at once (`hurry`).

    Even then it is written by aiohttp where anything is unusual: HTTP/1.0, a connection that is to
    end, headers that somebody looked at. What goes over the wire is the same.

    Args:
        status: one that has a body, be it empty.
        headers: by name.
        body: all of it.
    """

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        super().__init__(status=status, body=body)
        self._given = headers
        self._content = body
        self._closes = False
        self._hurries = False
        self._text = b""
        self._at_once: AbstractStreamWriter | None = None

    def hurry(self) -> None:
        """Allow it: nobody is to be told before it is prepared, and it answers no HEAD."""
        self._hurries = True

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers, to be read and changed."""
        headers = super().headers
        if self._given:
            headers.update(self._given)
            self._given = {}
        return headers

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays; None: not decided yet."""
        return super().keep_alive if self._at_once is None else True

    def force_close(self) -> None:
        """Have the connection end after it."""
        self._closes = True
        super().force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Make the head."""
        is_usual = (
            self._hurries
            and request.version == HttpVersion11
            and request.keep_alive
            and not self._closes
        )
        given = "".join(self._given.values()).encode()
        if not is_usual or not given or given != given.translate(None, _CONTROLS):
            self.headers.setdefault(hdrs.SERVER, SERVER)
            return await super().prepare(request)
        fields = "\r\n".join(map(": ".join, self._given.items()))
        length = len(self._content)
        end = _end(int(time.time()))
        head = f"{_line(self.status)}{fields}\r\nContent-Length: {length}\r\n{end}"
        self._text = head.encode() + self._content
        self._at_once = request.writer
        return self._at_once

    async def write_eof(self, data: bytes = b"") -> None:
        """Write it."""
        if self._at_once is None:
            await super().write_eof(data)
        else:
            await self._at_once.write_eof(self._text)


@cache
def _line(status: int) -> str:
    """The first line."""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"


@lru_cache(maxsize=1)
def _end(second: int) -> str:
    """The end of all heads of one second of the epoch."""
    return f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER}\r\n\r\n"
