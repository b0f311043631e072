"""The rules of apps in PostgreSQL: set, shown, and made to count again. Calls block."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from trackstream.core.credits import MODELS
from trackstream.core.rules import DEFAULT, Rules
from trackstream.core.rules_file import blocking, rules_of_text
from trackstream.storage.database import transaction
from trackstream.storage.errors import NotFoundError
from trackstream.storage.registered_rows import milliseconds, require_app
from trackstream.storage.schema import fraud_sources, rules, rules_activations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Engine, Row, Select

    from trackstream.core.models import Weigh

__all__ = ["EFFECTIVE_AFTER_S", "Activation", "RulesStore", "RulesVersion"]

EFFECTIVE_AFTER_S = 5
"""How long after it is set a version counts: by then every worker has read it, and all of them
change at the same message of the log."""


class RulesVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Rules under the name that decisions give them."""

    app_id: str
    version: str
    toml: str
    """The file as it was given."""
    rules: Rules
    created_at_ms: int


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """From when on a version counts, until the next."""

    app_id: str
    seq: int
    version: str
    note: str | None
    activated_at_ms: int
    effective_at_ms: int


class RulesStore:
    """What is set for apps. Every call may raise `StorageUnavailableError`.

    One change of an app's rules at a time, by a lock, so that moments go up as numbers do.

    Args:
        engine: The database, migrated.
        models: Multi-touch models that rules may name.
    """

    def __init__(self, engine: Engine, *, models: Mapping[str, Weigh] = MODELS) -> None:
        self._engine = engine
        self._models = models

    def set(self, app_id: str, toml: str, *, note: str | None = None) -> Activation:
        """Have an app's rules be what this file says, over the defaults. Again is no change.

        The sources that are marked as fraudulent are blocked besides those that the file blocks.

        Raises:
            RulesError: With every problem of the file.
            NotFoundError: There is no such app.
        """
        made = rules_of_text(toml, base=DEFAULT, models=self._models)
        with transaction(self._engine) as connection:
            require_app(connection, app_id, lock=True)
            return _set(connection, app_id, made, toml, note)

    def as_set(self, app_id: str, toml: str) -> Rules:
        """What `set` would have the app's rules be; nothing is changed.

        Raises:
            RulesError: With every problem of the file.
            NotFoundError: There is no such app.
        """
        made = rules_of_text(toml, base=DEFAULT, models=self._models)
        with transaction(self._engine) as connection:
            require_app(connection, app_id)
            return blocking(made, _marked(connection, app_id))

    def keep(self, app_id: str, toml: str, made: Rules) -> RulesVersion:
        """Keep rules under their version without having them count, for decisions that name them.

        Workers know them when `EFFECTIVE_AFTER_S` has passed.

        Args:
            app_id: whose.
            toml: the file …
            made: … and what `as_set` has made of it.

        Raises:
            NotFoundError: There is no such app.
        """
        with transaction(self._engine) as connection:
            require_app(connection, app_id, lock=True)
            return _version(_keep(connection, app_id, made, toml))

    def block_marked_sources(self, app_id: str) -> Activation | None:
        """Have the app's rules block just the sources that are marked now, besides the file's own.

        To be called whenever marks have changed. None: no rules were ever set, and nothing is
        marked, so the defaults go on.

        Raises:
            RulesError: The file set last is no longer valid.
            NotFoundError: There is no such app.
        """
        with transaction(self._engine) as connection:
            require_app(connection, app_id, lock=True)
            last = _last(connection, app_id)
            row = _found(connection, app_id, last.version) if last else None
            if row is None and not _marked(connection, app_id):
                return None
            toml = row.toml if row else ""
            made = rules_of_text(toml, base=DEFAULT, models=self._models)
            return _set(connection, app_id, made, toml, "the marked sources have changed")

    def activate(self, app_id: str, version: str, *, note: str | None = None) -> Activation:
        """Have a version that was set before count again. The last one again is no change.

        Raises:
            NotFoundError: There is no such app, or the version was never set for it.
        """
        with transaction(self._engine) as connection:
            require_app(connection, app_id, lock=True)
            if _found(connection, app_id, version) is None:
                raise NotFoundError(f"{app_id} never had the rules {version}")
            return _activate(connection, app_id, version, note)

    def show(self, app_id: str, version: str | None = None) -> RulesVersion | None:
        """The rules of this name, else those set last; None: none were set, the defaults count.

        Raises:
            NotFoundError: There is no such app, or the version was never set for it.
        """
        with transaction(self._engine) as connection:
            require_app(connection, app_id)
            last = _last(connection, app_id)
            name = version or (last.version if last else None)
            row = None if name is None else _found(connection, app_id, name)
        if row is None and version is not None:
            raise NotFoundError(f"{app_id} never had the rules {version}")
        return None if row is None else _version(row)

    def history(self, app_id: str) -> list[Activation]:
        """Which versions counted, the oldest first.

        Raises:
            NotFoundError: There is no such app.
        """
        table = rules_activations
        query = select(table).where(table.c.app_id == app_id).order_by(table.c.seq)
        with transaction(self._engine) as connection:
            require_app(connection, app_id)
            return [_activation(row) for row in connection.execute(query)]


def _set(
    connection: Connection, app_id: str, made: Rules, toml: str, note: str | None
) -> Activation:
    """Keep these rules, with the marked sources blocked, and have them count."""
    made = blocking(made, _marked(connection, app_id))
    _keep(connection, app_id, made, toml)
    return _activate(connection, app_id, made.version, note)


def _keep(connection: Connection, app_id: str, made: Rules, toml: str) -> Row[Any]:
    connection.execute(
        upsert(rules)
        .values(
            app_id=app_id,
            version=made.version,
            toml=toml,
            content=msgspec.to_builtins(made),
            created_at=func.clock_timestamp(),
        )
        .on_conflict_do_nothing()
    )
    return connection.execute(_of(app_id, made.version)).one()


def _marked(connection: Connection, app_id: str) -> list[str]:
    table = fraud_sources.c
    query = select(table.source).where(table.app_id == app_id, table.unmarked_at.is_(None))
    return list(connection.scalars(query))


def _found(connection: Connection, app_id: str, version: str) -> Row[Any] | None:
    return connection.execute(_of(app_id, version)).one_or_none()


def _of(app_id: str, version: str) -> Select[Any]:
    return select(rules).where(rules.c.app_id == app_id, rules.c.version == version)


def _last(connection: Connection, app_id: str) -> Activation | None:
    table = rules_activations
    query = select(table).where(table.c.app_id == app_id).order_by(table.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _activation(row)


def _activate(connection: Connection, app_id: str, version: str, note: str | None) -> Activation:
    last = _last(connection, app_id)
    if last is not None and last.version == version:
        return last
    now = func.clock_timestamp(type_=rules_activations.c.activated_at.type)
    row = connection.execute(
        insert(rules_activations)
        .values(
            app_id=app_id,
            seq=last.seq + 1 if last else 1,
            version=version,
            note=note,
            activated_at=now,
            effective_at=now + timedelta(seconds=EFFECTIVE_AFTER_S),
        )
        .returning(rules_activations)
    ).one()
    return _activation(row)


def _activation(row: Row[Any]) -> Activation:
    return Activation(
        app_id=row.app_id,
        seq=row.seq,
        version=row.version,
        note=row.note,
        activated_at_ms=milliseconds(row.activated_at),
        effective_at_ms=milliseconds(row.effective_at),
    )


def _version(row: Row[Any]) -> RulesVersion:
    return RulesVersion(
        app_id=row.app_id,
        version=row.version,
        toml=row.toml,
        rules=msgspec.convert(row.content, Rules),
        created_at_ms=milliseconds(row.created_at),
    )
