"""The database for the length of a command."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from trackstream.settings import Settings

__all__ = ["database"]


@contextmanager
def database() -> Iterator[tuple[Engine, Settings]]:
    """The configured database, or that of a `trackstream up` on the data directory; the settings.

    Raises:
        Problem: there is neither.
    """
    from trackstream.cli.running import needed, settings_beside
    from trackstream.storage.database import make_engine

    settings = settings_beside()
    (url,) = needed(settings, "postgres_url")
    engine = make_engine(url)
    try:
        yield engine, settings
    finally:
        engine.dispose()
