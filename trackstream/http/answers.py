"""Answers that are written at once: what nearly all requests get.

aiohttp makes a dictionary of an answer's headers, completes it, and writes it in the seven calls
that chunks, compression, HTTP/1.0 and cookies need. That is a third of what a bare aiohttp needs
for a request. An answer that needs none of it is one text. Source: RFC 9112, section 3.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web
from aiohttp.http import SERVER_SOFTWARE

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from multidict import CIMultiDict

__all__ = ["Answer"]


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

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Make the head."""
        is_usual = (
            self._hurries
            and request.version == HttpVersion11
            and request.keep_alive
            and super().keep_alive is None
        )
        values = "".join(self._given.values())
        if not is_usual or not self._given or not values.isprintable():
            _ = self.headers
            return await super().prepare(request)
        body = self.body
        content = body if isinstance(body, bytes) else b""
        fields = "".join([f"{name}: {value}\r\n" for name, value in self._given.items()])
        head = f"HTTP/1.1 {self.status} {self.reason}\r\n{fields}Content-Length: {len(content)}\r\n"
        self._text = f"{head}{_end(int(time.time()))}".encode() + content
        self._at_once = request.writer
        return self._at_once

    async def write_eof(self, data: bytes = b"") -> None:
        """Write it."""
        if self._at_once is None:
            await super().write_eof(data)
        else:
            await self._at_once.write_eof(self._text)


@lru_cache(maxsize=1)
def _end(second: int) -> str:
    """The end of all heads of one second of the epoch."""
    return f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
