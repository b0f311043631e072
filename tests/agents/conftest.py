"""One worker that most tests share, and settings for those that want their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.agents.running import Log, Worker
from trackstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def make_settings(
    kafka_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Settings]:
    """Settings with topics of their own, in which time passes fast."""

    def make() -> Settings:
        return Settings(
            data_dir=tmp_path_factory.mktemp("data"),
            kafka_url=kafka_url,
            topic_prefix=f"t{uuid4().hex[:12]}.",
            topic_partitions=4,
            session_gap_s=2,
            tick_interval_s=1,
            answer_deadline_s=1,
            # A worker that is busy for long is not taken for dead, nor gives up writing: a tenth of
            # this is the rule where workers are killed, for others have to wait for its end.
            worker_session_timeout_s=100,
        )

    return make


@pytest.fixture
def unstarted(make_settings: Callable[[], Settings]) -> Settings:
    """Settings of an app that is made and not started: nobody is asked at the database's URL."""
    return replace(make_settings(), postgres_url="postgresql://u:p@127.0.0.1:1/d")


@pytest.fixture(scope="session")
def worker(make_settings: Callable[[], Settings]) -> Iterator[Worker]:
    """A worker that is ready; its tests use names of their own for devices and clicks."""
    settings = make_settings()
    running = Worker(settings, settings.data_dir / "worker")
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
async def log(worker: Worker) -> AsyncIterator[Log]:
    """The log that the shared worker reads and writes."""
    async with Log(worker.settings) as log:
        yield log


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return uuid4().hex[:10]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where one test's workers keep their state and their logs."""
    return tmp_path
