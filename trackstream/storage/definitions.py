"""The events that apps define, in PostgreSQL. Collectors know of a change within seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from trackstream.core.definitions_file import definitions_of_text
from trackstream.storage.database import transaction
from trackstream.storage.registered_rows import no_such_app
from trackstream.storage.schema import apps

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["set_definitions", "shown_definitions"]


def set_definitions(engine: Engine, app_id: str, toml: str) -> None:
    """Have an app's events be what this file defines; an empty file: it defines none. Blocks.

    Raises:
        DefinitionsError: With every problem of the file.
        NotFoundError: There is no such app.
        StorageUnavailableError: PostgreSQL does not answer.
    """
    definitions_of_text(toml)
    kept = toml if toml.strip() else None
    change = update(apps).where(apps.c.app_id == app_id)
    with transaction(engine) as connection:
        done = connection.execute(
            change.values(events_toml=kept, events_set_at=func.clock_timestamp())
        )
    if not done.rowcount:
        raise no_such_app(app_id)


def shown_definitions(engine: Engine, app_id: str) -> str | None:
    """The file as it was set; None: the app defines no events. Blocks.

    Raises:
        NotFoundError: There is no such app.
        StorageUnavailableError: PostgreSQL does not answer.
    """
    query = select(apps.c.events_toml).where(apps.c.app_id == app_id)
    with transaction(engine) as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise no_such_app(app_id)
    toml: str | None = row.events_toml
    return toml
