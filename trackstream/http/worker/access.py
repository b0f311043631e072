"""Who may see the worker's web views.

On loopback whoever asks. Elsewhere only whoever shows a server key as Basic authentication: with
the scope `admin` everything, with `read` what belongs to the key's app; health is for everybody.
Workers that ask each other sign with a secret that is derived from the master key.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from trackstream.core.reasons import Reason
from trackstream.core.signing import sign, verify
from trackstream.http.operators import operators_key
from trackstream.http.problems import Refusal, problem_response
from trackstream.http.steps import clock_ms
from trackstream.http.worker.peers import ROUTED
from trackstream.storage.database import make_engine
from trackstream.storage.directory import CachedDirectory
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Engine
    from yarl import URL

    from trackstream.ports import Key
    from trackstream.settings import Settings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["Access"]

_log = logging.getLogger(__name__)

_OPEN = frozenset({"/health/live", "/health/ready", "/collector/ready"})
_METRICS = frozenset({"/metrics", "/collector/metrics"})
_PURPOSE = "requests between workers"


class Access:
    """The door of one worker's views.

    Args:
        settings: where keys are, and whether the metrics are open.
        exposed: whether others than this machine reach the web server.
        refused: counts refusals, by reason and status.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        exposed: Callable[[], bool],
        refused: Callable[[str, int], None],
    ) -> None:
        self._settings = settings
        self._exposed = exposed
        self._refused = refused
        self._secret: str | None = None
        self._engine: Engine | None = None
        self._directory: CachedDirectory | None = None

    async def start(self) -> None:
        """Get to know the keys, if any are asked for.

        Raises:
            StorageError: The settings cannot be used.
        """
        if not self._exposed():
            return
        master_key = MasterKey.load(self._settings)
        self._secret = master_key.derived(_PURPOSE)
        if self._settings.postgres_url is None:
            _log.warning(
                "the web views are not on loopback, and without TRACKSTREAM_POSTGRES_URL no key is "
                "known: nobody sees them"
            )
            return
        self._engine = make_engine(self._settings.postgres_url)
        self._directory = CachedDirectory(self._engine, master_key)
        await self._directory.start()

    async def stop(self) -> None:
        """Know nobody any more."""
        if self._directory is not None and self._engine is not None:
            await self._directory.stop()
            await asyncio.to_thread(self._engine.dispose)

    def introduced(self, url: URL) -> str:
        """What a request of ours to another worker says in the header `ROUTED`."""
        if self._secret is None:
            return "1"
        now_s = str(clock_ms() // 1000)
        path = url.raw_path_qs
        return f"{now_s} {sign(self._secret, method='GET', path=path, body=b'', timestamp=now_s)}"

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer only those who may see it; the key of an app sees that app."""
        if self._sees_it(request):
            return await handler(request)
        key = self._key(request)
        refusal = key if isinstance(key, Refusal) else _of_others(request, key)
        if refusal is None:
            return await handler(_limited(request, key))
        response = problem_response(refusal)
        self._refused(refusal.reason, response.status)
        return response

    def _sees_it(self, request: web.Request) -> bool:
        if not self._exposed() or request.path in _OPEN:
            return True
        if len(request.match_info.apps) > 1:  # the collector's, which has doors of its own
            return True
        if self._settings.metrics_open and request.path in _METRICS:
            return True
        return ROUTED in request.headers and self._signed(request)

    def _signed(self, request: web.Request) -> bool:
        timestamp, _, signature = request.headers[ROUTED].partition(" ")
        return self._secret is not None and not verify(
            self._secret,
            authorization=f"HMAC {signature}",
            method=request.method,
            path=request.raw_path,
            body=b"",
            timestamp=timestamp,
            nonce="",
            now_s=clock_ms() // 1000,
        )

    def _key(self, request: web.Request) -> Key | Refusal:
        if ROUTED in request.headers:
            return Refusal(Reason.BAD_SIGNATURE, f"{ROUTED} is for workers with our master key")
        if self._directory is None or not self._directory.ready:
            return Refusal(Reason.UNAVAILABLE, "the keys are not known yet")
        return operators_key(request, self._directory, now_ms=clock_ms())


def _of_others(request: web.Request, key: Key) -> Refusal | None:
    """Why a key that is for one app may not see this."""
    if "admin" in key.scopes:
        return None
    asked = {request.match_info.get("app_id"), *request.query.getall("app_id", ())}
    table, name = request.match_info.get("table"), request.match_info.get("key", "")
    if table is not None and not _belongs(table, name, key.app_id):
        asked.add(name)
    if asked <= {None, key.app_id}:
        return None
    return Refusal(Reason.FORBIDDEN, f"the key with scope `read` sees the app {key.app_id} only")


def _belongs(table: str, name: str, app_id: str) -> bool:
    """Whether a table's key is of the app. Ids of apps have neither `|` nor `:`."""
    if table == "app_activity":
        return name.partition("|")[2] == app_id
    return name.startswith((f"{app_id}|", f"{app_id}:"))


def _limited(request: web.Request, key: Key | Refusal) -> web.Request:
    """The request; where all apps are asked for, for the key's app."""
    if isinstance(key, Refusal) or "admin" in key.scopes:
        return request
    return request.clone(rel_url=request.rel_url.update_query(app_id=key.app_id))
