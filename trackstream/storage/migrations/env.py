"""Run by Alembic for each command: compares and migrates on the connection that is handed in."""

from __future__ import annotations

from alembic import context

from trackstream.storage.migrations.compare import OPTIONS

context.configure(connection=context.config.attributes["connection"], **OPTIONS)
with context.begin_transaction():
    context.run_migrations()
