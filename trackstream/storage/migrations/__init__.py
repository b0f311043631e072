"""The steps from an empty database to the tables of `trackstream.storage.schema`, by Alembic.

A new step: change the schema, run `revise(url, "what it does")` against a migrated database, and
look through the file that it wrote into `versions/`. Steps are never changed once released.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from trackstream.storage.database import make_engine, transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["LOCK_KEY", "migrate", "revise"]

LOCK_KEY = 0x7472_6163_6B01
"""Advisory lock under which one starter at a time migrates."""


def migrate(url: str | None) -> None:
    """Bring the database to the newest schema. Several starters at once are safe.

    Raises:
        StorageUnavailableError: PostgreSQL does not answer.
    """
    engine = make_engine(url)
    try:
        with transaction(engine) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            command.upgrade(_config(connection), "head")
    finally:
        engine.dispose()


def revise(url: str, message: str) -> None:
    """Write a new step: what differs between the database and the schema."""
    engine = make_engine(url)
    try:
        with transaction(engine) as connection:
            command.revision(_config(connection), message, autogenerate=True)
    finally:
        engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
