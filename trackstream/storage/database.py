"""Connecting to PostgreSQL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.extensions import parse_dsn
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from trackstream.storage.errors import InvalidValueError, StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection as DriverConnection  # noqa: N812 - it is a class
    from sqlalchemy import Connection, Engine

__all__ = ["connect", "make_engine", "transaction"]

_OPTIONS: dict[str, str | int] = {
    "connect_timeout": 5,
    "application_name": "trackstream",
    # A server that vanished is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
"""libpq's parameters for every connection of ours; those in the URL win."""


def make_engine(url: str | None) -> Engine:
    """An engine with a small pool for `postgresql://…`; it connects when it is first used.

    Raises:
        InvalidValueError: There is no URL.
    """
    if not url:
        raise InvalidValueError("TRACKSTREAM_POSTGRES_URL is not set")
    parsed = make_url(url).set(drivername="postgresql+psycopg2")
    options = {name: value for name, value in _OPTIONS.items() if name not in parsed.query}
    return create_engine(parsed, connect_args=options, pool_pre_ping=True, pool_size=3)


def connect(url: str) -> DriverConnection:
    """A connection of the driver's own, for COPY.

    Raises:
        psycopg2.OperationalError: PostgreSQL does not answer.
    """
    given = parse_dsn(url)
    connection: DriverConnection = psycopg2.connect(**{**_OPTIONS, **given})
    return connection


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: committed at the end of the block, rolled back if it raises.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer, or ended the connection.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError) as error:
        raise StorageUnavailableError(_said(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StorageUnavailableError(_said(error)) from error
        raise


def _said(error: DBAPIError) -> str:
    said = str(error.orig).strip().partition("\n")[0]
    return f"PostgreSQL: {said} (TRACKSTREAM_POSTGRES_URL)"
