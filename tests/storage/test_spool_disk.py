"""The spool and its disk: full, broken, in the way; what is in a file."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.storage.spooling import Kafka, one, started, until
from trackstream.settings import Settings
from trackstream.storage.spool.file import SpoolFile
from trackstream.storage.spool.slots import take_slot
from trackstream.storage.spool.state import SpoolFullError, SpoolUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, spool_after_ms=50, spool_max_mib=1)


async def test_a_request_for_which_there_is_no_room_is_refused_whole(
    kafka: Kafka, settings: Settings
) -> None:
    kafka.ready = False
    async with started(kafka, settings) as sink:
        await sink.send(one(b"x" * 600_000))
        with pytest.raises(SpoolFullError):
            await sink.send([*one(b"small"), *one(b"x" * 600_000)])
        assert not sink.accepting
        assert (sink.state.messages, sink.state.full) == (1, 1)
        await sink.send(one(b"small"))
        assert sink.accepting
        kafka.ready = True
        await until(lambda: not sink.state.messages)
        assert kafka.values() == [b"x" * 600_000, b"small"]
        spool = settings.data_dir / "spool" / "0.db"
        assert spool.stat().st_size < 100_000


@contextlib.contextmanager
def full_disk(max_bytes: int) -> Iterator[None]:
    """No file of this process can grow beyond `max_bytes`: what a full disk is to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_is_full_refuses_and_loses_nothing(
    kafka: Kafka, settings: Settings
) -> None:
    kafka.ready = False
    async with started(kafka, settings) as sink:
        await sink.send(one(b"before"))
        with full_disk(200_000):
            for _ in range(2):
                with pytest.raises(SpoolUnusableError):
                    await sink.send(one(b"x" * 500_000))
            assert not sink.accepting
            assert sink.state.errors == 2
        await sink.send(one(b"after"))
        assert sink.accepting
        kafka.ready = True
        await until(lambda: not sink.state.messages)
    assert kafka.values() == [b"before", b"after"]


async def test_without_a_folder_kafka_alone_serves(kafka: Kafka, settings: Settings) -> None:
    (settings.data_dir / "spool").write_text("in the way")
    async with started(kafka, settings) as sink:
        assert not sink.accepting
        await sink.send(one(b"1"))
        kafka.away = True
        with pytest.raises(SpoolUnusableError):
            await sink.send(one(b"2"))
        (settings.data_dir / "spool").unlink()
        await sink.send(one(b"3"))
        kafka.away = False
        await until(lambda: not sink.state.messages)
    assert kafka.values() == [b"1", b"3"]


async def test_a_broken_file_is_kept_and_another_begun(kafka: Kafka, settings: Settings) -> None:
    folder = settings.data_dir / "spool"
    folder.mkdir()
    (folder / "0.db").write_bytes(b"not a database" * 100)
    kafka.ready = False
    async with started(kafka, settings) as sink:
        await sink.send(one(b"1"))
    [aside] = folder.glob("0.db.broken-*")
    assert aside.read_bytes() == b"not a database" * 100


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    slot = take_slot(tmp_path)
    with contextlib.closing(sqlite3.connect(slot.path)) as connection:
        connection.execute("PRAGMA user_version=9")
    with pytest.raises(sqlite3.NotSupportedError, match="version, 9"):
        SpoolFile(slot).open()
    assert slot.path.exists()
    slot.release()


def test_what_is_in_the_file_is_found_by_whoever_opens_it_next(tmp_path: Path) -> None:
    slot = take_slot(tmp_path)
    file = SpoolFile(slot)
    message = ("raw", b"\0k", "é".encode() * 10)
    assert file.append([[message, message], [message]], at_ms=7, max_bytes=10_000) == [True, True]
    counted = (file.messages, file.size_bytes, file.oldest_at_ms)
    file.close()
    again = SpoolFile(slot)
    again.open()
    assert (again.messages, again.size_bytes, again.oldest_at_ms) == counted
    head = again.head(max_messages=10, max_bytes=1)
    assert [stored[1:] for stored in head] == [(7, *message)]
    again.remove(head)
    assert (again.messages, len(again.head(max_messages=10, max_bytes=1_000))) == (2, 2)
    again.close()
    slot.release()
