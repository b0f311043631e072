"""One request: once, to public addresses alone, bounded in time and in what is read."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from yarl import URL

from trackstream.core.postbacks.addresses import address_problem
from trackstream.core.postbacks.outcomes import Outcome, judged
from trackstream.core.postbacks.webhooks import headers_of
from trackstream.core.texts import clean

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp.abc import AbstractResolver

    from trackstream.core.postbacks.destinations import Request

__all__ = ["Client"]

_READ_BYTES = 512
_SHOWN_CHARS = 200


class _SentBeforeError(Exception):
    """The HTTP library is about to send the request again by itself."""


@dataclass(slots=True)
class _Attempt:
    """What is known of the request under way."""

    sent: bool = False
    """Its headers may have left."""
    connecting: bool = False
    """At least one address was allowed."""
    refused: str | None = None
    """Why another was not."""


_attempt: ContextVar[_Attempt] = ContextVar("attempt")


class Client:
    """Sends postbacks; an asynchronous context manager.

    Whom a connection goes to is decided where its socket is made, by the very address that it is
    then connected to: whatever the name resolved to before, or resolves to later, is no matter.

    Args:
        allow_private: Whether private, loopback and other special addresses may be asked.
        timeout_s: For everything from the name's lookup to the answer's headers.
        resolver: Instead of the system's.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_s: float,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Ready to send."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(_connecting)
        trace.on_request_headers_sent.append(_sending)
        self._session = aiohttp.ClientSession(
            # A connection is used once: one that was kept may be closed by the receiver in the
            # moment in which it is used again, and then nobody knows what has arrived.
            connector=aiohttp.TCPConnector(
                force_close=True,
                limit=0,
                resolver=self._resolver,
                socket_factory=self._socket,
                use_dns_cache=False,
            ),
            timeout=self._timeout,
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": f"trackstream/{version('trackstream')}"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request, *, postback_id: str, secret: str | None) -> Outcome:
        """Send it once, and say what became of it; raises nothing for what others do.

        Args:
            request: Its URL goes out as it is: not normalised, not decoded.
            postback_id: The `webhook-id`.
            secret: To sign with.
        """
        if self._session is None:
            raise RuntimeError("the client is not open")
        body = None if request.body is None else request.body.encode()
        headers = headers_of(postback_id, body or b"", now_s=int(time.time()), secret=secret)
        if body is not None:
            headers["Content-Type"] = "application/json"
        attempt = _Attempt()
        token = _attempt.set(attempt)
        try:
            return await _exchanged(self._session, request, body, headers)
        except (aiohttp.ClientError, _SentBeforeError, TimeoutError, OSError, ValueError) as error:
            return _failed(attempt, error)
        finally:
            _attempt.reset(token)

    def _socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        problem = None if self._allow_private else address_problem(str(address[0]))
        if problem is not None:
            _attempt.get().refused = problem
            raise OSError(errno.EACCES, problem)
        _attempt.get().connecting = True
        return socket.socket(family, kind, protocol)


async def _exchanged(
    session: aiohttp.ClientSession, request: Request, body: bytes | None, headers: dict[str, str]
) -> Outcome:
    async with session.request(
        request.method,
        URL(request.url, encoded=True),
        data=body,
        headers=headers,
        allow_redirects=False,
    ) as response:
        outcome = judged(
            response.status,
            retry_after=response.headers.get("Retry-After"),
            now_ms=int(time.time() * 1000),
        )
        if outcome.kind == "delivered":
            return outcome
        said = b""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            said = await response.content.read(_READ_BYTES)
    return _with_words(outcome, said)


def _with_words(outcome: Outcome, said: bytes) -> Outcome:
    words = " ".join(clean(said.decode("utf-8", "replace")).split())[:_SHOWN_CHARS]
    if not words:
        return outcome
    return Outcome(
        kind=outcome.kind,
        reason=f"{outcome.reason}: {words}",
        retry_after_ms=outcome.retry_after_ms,
    )


def _failed(attempt: _Attempt, error: Exception) -> Outcome:
    if attempt.sent:
        said = "timeout" if isinstance(error, TimeoutError) else type(error).__name__
        return Outcome(kind="uncertain", reason=f"no answer to the request: {said}")
    if attempt.refused is not None and not attempt.connecting:
        return Outcome(
            kind="refused",
            reason=f"{attempt.refused}; TRACKSTREAM_POSTBACKS_ALLOW_PRIVATE=true would allow it",
        )
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return Outcome(kind="refused", reason=f"not a URL to be asked: {error}")
    return Outcome(kind="retry", reason=f"not sent: {str(error) or type(error).__name__}")


async def _connecting(*_: object) -> None:
    # aiohttp repeats an idempotent request by itself when a connection breaks before the answer.
    if _attempt.get().sent:
        raise _SentBeforeError("the connection broke before the answer")


async def _sending(*_: object) -> None:
    _attempt.get().sent = True
