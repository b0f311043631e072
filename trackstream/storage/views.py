"""The materialised views: refreshed beside readers, on request and by a timer.

Each is refreshed in a transaction of its own. Beside the first time, readers go on to see the
view as it was until the new one is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

import msgspec
import psycopg2

from trackstream.storage.database import connect
from trackstream.storage.errors import StorageError, StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

__all__ = ["LOCK_KEY", "VIEWS", "Refreshed", "refresh", "refresh_in_turn"]

_log = logging.getLogger(__name__)

VIEWS = ("campaign_days", "campaign_credit_days", "daily_funnel", "retention_cohorts")

LOCK_KEY = 0x7472_6163_6B04
"""Advisory lock of the writer whose timer refreshes; it holds it for as long as it runs."""

_FIRST_AFTER_S = 10


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """A view that is new now."""

    view: str
    rows: int
    took_ms: int


def refresh(url: str) -> list[Refreshed]:
    """Refresh all views. Who does so at the same time waits, and does it again. Blocks.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
        StorageError: PostgreSQL refuses, as when it is not migrated.
    """
    with _translated(), contextlib.closing(connect(url)) as connection:
        connection.autocommit = True
        return _refresh(connection)


async def refresh_in_turn(url: str, *, every_s: float, stop: asyncio.Event) -> None:
    """Refresh the views so often until `stop` is set, unless another does: one at a time.

    What goes wrong is logged, and tried again at the next time.
    """
    ours: Connection | None = None
    wait_s = min(every_s, _FIRST_AFTER_S)
    try:
        while not await _stopped(stop, wait_s):
            wait_s = every_s
            try:
                if ours is None or ours.closed:
                    ours = await asyncio.to_thread(_elected, url)
                if ours is not None:
                    await _unless_stopped(ours, stop)
            except StorageError as error:
                _log.warning("the materialised views are not refreshed: %s", error)
                if ours is not None:
                    ours.close()
    finally:
        if ours is not None:
            ours.close()


async def _stopped(stop: asyncio.Event, wait_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), wait_s)
    return stop.is_set()


async def _unless_stopped(connection: Connection, stop: asyncio.Event) -> None:
    """Refresh; when told to stop, cancel: the views stay as they were."""
    refreshing = asyncio.ensure_future(asyncio.to_thread(_refresh_translated, connection))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([refreshing, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    while not refreshing.done():
        # Again and again: between two views there is nothing to cancel.
        await asyncio.to_thread(connection.cancel)
        await asyncio.wait([refreshing], timeout=0.2)
    if stop.is_set():
        with contextlib.suppress(StorageError):
            await refreshing
    else:
        for one in await refreshing:
            _log.debug("%s: %d rows in %d ms", one.view, one.rows, one.took_ms)


def _elected(url: str) -> Connection | None:
    """A connection that holds the lock; None: another's does."""
    with _translated():
        connection = connect(url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,))
            if cursor.fetchone() == (True,):
                return connection
        connection.close()
        return None


def _refresh_translated(connection: Connection) -> list[Refreshed]:
    with _translated():
        return _refresh(connection)


def _refresh(connection: Connection) -> list[Refreshed]:
    done = []
    with connection.cursor() as cursor:
        for view in VIEWS:
            began_s = time.perf_counter()
            cursor.execute("SELECT relispopulated FROM pg_class WHERE oid = %s::regclass", (view,))
            # The first time there is nothing for readers to see meanwhile.
            concurrently = "CONCURRENTLY" if cursor.fetchone() == (True,) else ""
            cursor.execute(f"REFRESH MATERIALIZED VIEW {concurrently} {view}")
            cursor.execute(f"SELECT count(*) FROM {view}")  # noqa: S608 - a view of ours
            [(rows,)] = cursor.fetchall()
            took_ms = round((time.perf_counter() - began_s) * 1000)
            done.append(Refreshed(view=view, rows=rows, took_ms=took_ms))
    return done


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        said = str(error).strip().partition("\n")[0]
        if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
            raise StorageUnavailableError(f"PostgreSQL: {said}") from error
        raise StorageError(f"PostgreSQL refuses to refresh: {said}") from error
