"""One kept connection to the collector."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trackstream_client.answers import Answer

if TYPE_CHECKING:
    import ssl

__all__ = ["Transport"]

_IDLE_S = 20.0
"""After so long a connection is not used again: the other side may be about to end it."""
_MOST_ANSWER_BYTES = 16 * 2**20


class Transport:
    """Posts, over HTTP or HTTPS. For one thread; `abort` is for any.

    Args:
        url: of the collector; a path in it comes before all others.
        timeout_s: for connecting, and for each silence.
        tls: which certificates are believed; the system's if not given.

    Raises:
        ValueError: the URL is none of HTTP.
    """

    def __init__(self, url: str, *, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        is_known = parts.scheme in {"http", "https"} and url.isascii()
        if not is_known or not parts.hostname or parts.query:
            raise ValueError(f"{url} is no address such as https://t.shop.example")
        self.base_path = parts.path.rstrip("/")
        self._host, self._port = parts.hostname, parts.port
        self._is_tls, self._tls = parts.scheme == "https", tls
        self._timeout_s = timeout_s
        self._connection: HTTPConnection | None = None
        self._used_s = 0.0

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer | None:
        """The answer; None if there was none. `path` is as sent, `base_path` included."""
        connection = self._connected()
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            data = response.read(_MOST_ANSWER_BYTES)
        except (OSError, HTTPException):
            self.close()
            return None
        if response.will_close or not response.isclosed():
            self.close()
        self._used_s = time.monotonic()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, data)

    def close(self) -> None:
        """End the connection; the next post makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Have a post that waits end without an answer."""
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Leave the connection to the process that this one was forked of."""
        self._connection = None

    def _connected(self) -> HTTPConnection:
        if self._connection is not None and time.monotonic() - self._used_s > _IDLE_S:
            self.close()
        if self._connection is None:
            if self._is_tls:
                self._connection = HTTPSConnection(
                    self._host, self._port, timeout=self._timeout_s, context=self._tls
                )
            else:
                self._connection = HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return self._connection
