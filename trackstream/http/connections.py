"""Connections on which nothing is answered but by us: what aiohttp itself refuses, too.

aiohttp answers what is no HTTP, and what its handlers raise, in plain text, and `Expect` before it
looks for a route, where one that is not UTF-8 is an error of its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from trackstream.core.reasons import HTTP_STATUS, Reason
from trackstream.http.answers import SERVER, Answer
from trackstream.http.hosts import host_refusal
from trackstream.http.problems import Refusal, problem_response, unexpected
from trackstream.http.shortcuts import Shortcuts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from trackstream.settings import Settings

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

__all__ = ["Connection", "connection_options", "expecting"]

_log = logging.getLogger(__name__)

_MAX_LINE_BYTES = 16_384
"""Of a request's first line and of a header: networks put much into a click's query."""
_MAX_DETAIL_CHARS = 200


def connection_options(settings: Settings) -> dict[str, Any]:
    """How connections are served: bodies stay as they are sent, heads and waits are bounded."""
    return {
        "access_log": None,
        "auto_decompress": False,
        "keepalive_timeout": settings.idle_timeout_s,  # from accepting, and until a whole head
        "max_line_size": _MAX_LINE_BYTES,
        "max_field_size": _MAX_LINE_BYTES,
        "reading_timeout_s": settings.body_timeout_s,
    }


class Connection(web.RequestHandler):
    """One connection.

    aiohttp waits without end for a client that does not read its answers, and so does a transport
    that is closed while some of them are not sent. Here that ends with the connection.

    Args:
        server: what it belongs to.
        refused: counts what is refused here, by reason and status.
        reading_timeout_s: how long answers may wait for the client to read.
        options: see `connection_options`.
    """

    __slots__ = ("_giving_up", "_reading_timeout_s", "_refused")

    def __init__(
        self,
        server: web.Server,
        *,
        refused: Callable[[str, int], None],
        reading_timeout_s: float,
        **options: Any,
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._refused = refused
        self._reading_timeout_s = reading_timeout_s
        self._giving_up: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The client does not read: what is written stays here. Give it some time."""
        super().pause_writing()
        if self.transport is not None:
            self._give_up_later(self.transport)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self.transport is not None and not self.transport.is_closing():
            self._wait_on()

    async def start(self) -> None:
        """Answer requests until no more are to be answered."""
        await super().start()
        if self.transport is not None:  # closed, with answers that may not be sent yet
            self._give_up_later(self.transport)

    def force_close(self) -> None:
        """Close it; what is written may be sent for a while yet."""
        transport = self.transport
        super().force_close()
        if transport is not None:
            self._give_up_later(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended."""
        super().connection_lost(exc)
        self._wait_on()

    def _give_up_later(self, transport: asyncio.Transport) -> None:
        self._wait_on()
        self._giving_up = asyncio.get_running_loop().call_later(
            self._reading_timeout_s, self._give_up, transport
        )

    def _wait_on(self) -> None:
        giving_up, self._giving_up = self._giving_up, None
        if giving_up is not None:
            giving_up.cancel()

    def _give_up(self, transport: asyncio.Transport) -> None:
        self._giving_up = None
        self._refused(Reason.UNREAD, HTTP_STATUS[Reason.UNREAD])
        transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read, or to what a handler raised.

        Raises:
            ConnectionError: A part of another answer has been sent.
        """
        if isinstance(exc, HttpProcessingError):  # anyone can send that: no word in the log
            refusal = Refusal(Reason.MALFORMED_REQUEST, _why(message or exc.message))
            status = 431 if isinstance(exc, LineTooLong) else 400
        else:
            _log.error("a request failed with %s", status, exc_info=exc)
            refusal = Refusal(Reason.INTERNAL, "an error of the server's")
            status = 500
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun, no other can be given")
        self._refused(refusal.reason, status)
        response = problem_response(refusal, status=status)
        response.force_close()
        return response

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Write the answer. aiohttp would name its version and Python's in each."""
        if not isinstance(resp, Answer) and isinstance(resp, web.StreamResponse):
            resp.headers.setdefault(hdrs.SERVER, SERVER)
        return super().finish_response(request, resp, start_time)


def expecting(
    handler: Handler, refused: Callable[[str, int], None], shortcuts: Shortcuts | None = None
) -> Handler:
    """The handler of all requests, for those to a host that expect nothing but 100-continue.

    Those that expect nothing at all, which is nearly all, may take a shortcut.
    """
    find = (shortcuts or Shortcuts()).find

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        refusal = host_refusal(request)
        if refusal is not None:
            response = problem_response(refusal)
            refused(refusal.reason, response.status)
            return response
        expected = request.headers.get(hdrs.EXPECT)
        if not expected:
            short = find(request)
            if short is None:
                return await handler(request)
            answered = await short(request)
            if isinstance(answered, Answer):
                answered.hurry()
            return answered
        if request.version >= HttpVersion11 and expected.lower() != "100-continue":
            response = problem_response(unexpected())
            refused(Reason.EXPECTATION_FAILED, response.status)
            return response
        return await handler(request)

    return handle


def _why(message: str) -> str:
    """The first line of what the parser says, without the bytes that it shows."""
    line = next(iter(message.strip().splitlines()), "").rstrip(":").removesuffix(" encountered")
    return f"this is no HTTP request: {ascii(line)[1:-1][:_MAX_DETAIL_CHARS]}"
