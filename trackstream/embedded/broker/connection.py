"""One client's connection: frames in, answers out, in the order of the requests.

Most requests are handled at once, inside the read of their bytes. Those that wait (a fetch, a
join) run beside the following ones, but no answer overtakes another. A client that sends faster
than it reads answers is not read from until it has caught up.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from trackstream.embedded.broker.handlers.registry import HANDLERS
from trackstream.embedded.broker.protocol.api import Api, RequestHeader, read_header
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.records_apis import API_VERSIONS
from trackstream.embedded.broker.protocol.registry import APIS, api_versions
from trackstream.embedded.broker.protocol.wire import MalformedMessageError
from trackstream.embedded.broker.request import Answer, Request

if TYPE_CHECKING:
    from trackstream.embedded.broker.broker import Broker

log = logging.getLogger(__name__)

MAX_WAITING = 64
"""Requests of one connection that may wait for their answers before we read on."""

_SIZE = struct.Struct(">i")


class Connection(asyncio.Protocol):
    """The broker's end of one connection; `open_connections` holds it while it lives."""

    def __init__(self, broker: Broker, open_connections: set[Connection]) -> None:
        self._broker = broker
        self._open_connections = open_connections
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Task[bytearray | None]] = deque()
        self._peer = "?"
        self._local = ("", 0)
        self._paused_by_peer = False
        self.closed = asyncio.Event()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._open_connections.add(self)
        peer = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        self._peer = peer[0] if peer else "?"
        self._local = (local[0], local[1]) if local else ("", 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what was waited for."""
        del exc
        self._transport = None
        self.closed.set()
        self._open_connections.discard(self)
        for task in self._waiting:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Handle the requests that are whole."""
        self._buffer += data
        self._handle_frames()

    def pause_writing(self) -> None:
        """Read no more while answers pile up."""
        self._paused_by_peer = True
        self._adjust_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._paused_by_peer = False
        self._adjust_reading()

    # Requests

    def _handle_frames(self) -> None:
        position = 0
        buffer = self._buffer
        while (
            self._transport is not None
            and not self._is_full
            and len(buffer) - position >= _SIZE.size
        ):
            (size,) = _SIZE.unpack_from(buffer, position)
            if not 0 <= size <= self._broker.settings.max_request_bytes:
                self._refuse(f"a request of {size} bytes")
                return
            if len(buffer) - position - _SIZE.size < size:
                break
            start = position + _SIZE.size
            with memoryview(buffer) as view:
                frame = bytes(view[start : start + size])
            position = start + size
            self._handle(frame)
        del buffer[:position]
        self._adjust_reading()

    def _handle(self, frame: bytes) -> None:
        try:
            header = read_header(frame)
            api = APIS.get(header.api_key)
            if api is None or not api.supports(header.version):
                if api is API_VERSIONS:
                    # The client learns from the answer which versions there are (KIP-511).
                    body = api_versions(ErrorCode.UNSUPPORTED_VERSION)
                    self._answer(api.encode_response(0, header.correlation_id, body))
                    return
                name = api.name if api is not None else f"API {header.api_key}"
                self._refuse(f"{name} version {header.version}, which is not spoken here")
                return
            request = Request(
                header.version,
                header.client_id,
                self._peer,
                *self._local,
                body=api.decode_request(header.version, frame, header.end),
            )
        except MalformedMessageError as error:
            self._refuse(f"a malformed request: {error}")
            return
        try:
            answer = HANDLERS[header.api_key](self._broker, request)
        except Exception:
            log.exception("%s version %d failed", api.name, header.version)
            self.close()
            return
        if isinstance(answer, Awaitable):
            task = asyncio.ensure_future(self._finish(api, header, answer))
            self._waiting.append(task)
            task.add_done_callback(self._send_finished)
        elif answer is not None:
            self._answer(api.encode_response(header.version, header.correlation_id, answer))

    async def _finish(
        self, api: Api, header: RequestHeader, waiting: Awaitable[Answer]
    ) -> bytearray | None:
        answer = await waiting
        if answer is None:
            return None
        return api.encode_response(header.version, header.correlation_id, answer)

    # Answers

    def _answer(self, response: bytearray) -> None:
        """Send an answer now, or behind those that are waited for."""
        if self._waiting:
            task = asyncio.ensure_future(_value(response))
            self._waiting.append(task)
            task.add_done_callback(self._send_finished)
        elif self._transport is not None:
            self._transport.write(response)

    def _send_finished(self, finished: asyncio.Task[bytearray | None]) -> None:
        del finished
        while self._waiting and self._waiting[0].done():
            task = self._waiting.popleft()
            if task.cancelled():
                continue
            if error := task.exception():
                log.error("a request failed", exc_info=error)
                self.close()
                return
            response = task.result()
            if response is not None and self._transport is not None:
                self._transport.write(response)
        if self._buffer and self._transport is not None:
            self._handle_frames()
        else:
            self._adjust_reading()

    @property
    def _is_full(self) -> bool:
        return self._paused_by_peer or len(self._waiting) >= MAX_WAITING

    def _adjust_reading(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._is_full and transport.is_reading():
            transport.pause_reading()
        elif not self._is_full and not transport.is_reading():
            transport.resume_reading()
            if self._buffer:
                asyncio.get_running_loop().call_soon(self._handle_frames)

    def _refuse(self, what: str) -> None:
        log.warning("closing the connection of %s: it sent %s", self._peer, what)
        self.close()

    def close(self) -> None:
        """Close the connection, after what is already answered has been sent."""
        self._buffer.clear()
        if self._transport is not None:
            self._transport.close()


async def _value(response: bytearray) -> bytearray | None:
    return response
