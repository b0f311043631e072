"""TLS by certificate files, read again when they change.

Protocols and ciphers are those of Mozilla's "intermediate" recommendation without RSA key exchange
and finite-field groups: https://wiki.mozilla.org/Security/Server_Side_TLS.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING

from trackstream.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

    from trackstream.settings import Settings

__all__ = ["Certificate"]

_log = logging.getLogger(__name__)

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_LOOK_EVERY_S = 2.0


class Certificate:
    """A certificate with its key, and the context that serves with it.

    Args:
        chain: PEM: the certificate, then those that lead to a root.
        key: PEM; None: it is in the same file.

    Raises:
        SettingsError: they cannot be used.
    """

    def __init__(self, chain: Path, key: Path | None) -> None:
        self._chain = chain
        self._key = key
        self._seen = self._looks()
        try:
            self.context = self._loaded()
        except (OSError, ValueError) as error:
            raise SettingsError(
                [f"TRACKSTREAM_TLS_CERTIFICATE, TRACKSTREAM_TLS_KEY: cannot be used: {error}"]
            ) from error

    @classmethod
    def of(cls, settings: Settings) -> Certificate | None:
        """That of the settings; None: plain HTTP.

        Raises:
            SettingsError: it cannot be used.
        """
        if settings.tls_certificate is None:
            return None
        return cls(settings.tls_certificate, settings.tls_key)

    async def keep_fresh(self, *, every_s: float = _LOOK_EVERY_S) -> NoReturn:
        """Serve new connections with new files, once they are whole; until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            looks = self._looks()
            if looks == self._seen:
                continue
            try:
                self._loaded()
                self.context.load_cert_chain(self._chain, self._key)
            except (OSError, ValueError) as error:
                _log.error("the changed certificate cannot be used, the old one is: %s", error)
            else:
                _log.info("serving with the certificate that %s has now", self._chain)
            self._seen = looks

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        # never asks for a password on the terminal
        context.load_cert_chain(self._chain, self._key, password="")
        return context

    def _looks(self) -> list[tuple[int, int, int] | None]:
        """What changes when a file is written or replaced."""
        found: list[tuple[int, int, int] | None] = []
        for path in (self._chain, self._key):
            try:
                status = path.stat() if path is not None else None
            except OSError:
                status = None
            found.append(status and (status.st_ino, status.st_size, status.st_mtime_ns))
        return found
