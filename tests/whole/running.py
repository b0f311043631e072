"""Collector, worker and warehouse writer as processes that can be killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import psycopg2

from tests.ports import free_port
from tests.waiting import PATIENCE_S
from trackstream.cli.client import Collector
from trackstream.cli.up.credentials import Credentials, ensure_credentials
from trackstream.settings import PREFIX, Settings
from trackstream.storage.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Pipeline"]


@dataclass
class _Program:
    command: str
    settings: Settings
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trackstream", self.command],
                env={**kept, **self.settings.environ()},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def tail(self) -> str:
        return f"--- {self.command}\n" + self.log.read_text("utf-8", "replace")[-5000:]


@dataclass
class Pipeline:
    """The three programs on one broker and one database; an async context manager.

    Args:
        kafka_url: The broker; topics have a prefix of their own.
        postgres_url: An empty database.
        folder: For logs, tables and spool.
        changes: Other settings than the defaults.
    """

    kafka_url: str
    postgres_url: str
    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        settings = Settings(
            data_dir=self.folder,
            kafka_url=self.kafka_url,
            postgres_url=self.postgres_url,
            topic_prefix=f"t{uuid4().hex[:12]}.",
            topic_partitions=4,
            collector_port=free_port(),
            worker_port=free_port(),
            worker_session_timeout_s=15,
            tick_interval_s=1,
            answer_deadline_s=2,
        )
        self.settings = replace(settings, **self.changes)
        self.programs = {
            name: _Program(name, self.settings, self.folder / f"{name}.log")
            for name in ("collect", "worker", "warehouse")
        }
        try:
            self.credentials: Credentials = await asyncio.to_thread(
                ensure_credentials, self.settings
            )
            await ensure_topics(self.settings)
            for one in self.programs.values():
                one.launch()
            for port in (self.settings.collector_port, self.settings.worker_port):
                await self.until(lambda port=port: _is_ready(port))  # type: ignore[misc] # mypy sees no default
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self.programs.values():
            await asyncio.to_thread(one.stop)

    def client(self, *, connections: int = 4) -> Collector:
        """What posts to the collector, again until it is there."""
        return Collector(
            f"http://127.0.0.1:{self.settings.collector_port}",
            key_id=self.credentials.key_id,
            secret=self.credentials.secret,
            connections=connections,
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the warehouse has."""
        with (
            closing(psycopg2.connect(self.postgres_url)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            return cursor.fetchall()

    def view(self, path: str) -> Any:
        """What the worker shows."""
        url = f"http://127.0.0.1:{self.settings.worker_port}{path}"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
            return json.load(response)

    async def until(self, look: Callable[[], Any], *, seconds: float = PATIENCE_S) -> Any:
        """What `look` finds as soon as that is something; fails with the programs' last words."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OSError, psycopg2.Error):
                found = await asyncio.to_thread(look)
                if found:
                    return found
            await asyncio.sleep(0.1)
        raise AssertionError("\n".join(one.tail() for one in self.programs.values()))


def _is_ready(port: int) -> bool:
    url = f"http://127.0.0.1:{port}/health/ready"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
        return bool(response.status == 200)
