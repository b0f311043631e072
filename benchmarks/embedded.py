"""Kafka, PostgreSQL and, where asked for, Valkey for the length of a benchmark."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.embedded.postgres import EmbeddedPostgres
from trackstream.embedded.valkey import EmbeddedValkey
from trackstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["embedded"]


@contextmanager
def embedded(*, redis: bool = False, log_level: str = "warning") -> Iterator[Settings]:
    """Settings of servers of their own, which end with it, as does their data."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield Settings(
            data_dir=folder,
            kafka_url=stack.enter_context(EmbeddedKafka(folder)).url,
            postgres_url=stack.enter_context(EmbeddedPostgres(folder)).url,
            redis_url=stack.enter_context(EmbeddedValkey(folder)).url if redis else None,
            log_level=log_level,
        )
