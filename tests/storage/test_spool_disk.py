"""The spool and its disk: full, broken, in the way; what is in a file."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.storage.spooling import Kafka, one, started, until
from trackstream import codec
from trackstream.core.records import Rejected
from trackstream.http.backing import missing_log
from trackstream.ports import Undelivered, Unwritten
from trackstream.settings import Settings
from trackstream.storage.spool.file import SpoolFile
from trackstream.storage.spool.slots import take_slot
from trackstream.storage.spool.state import SpoolFullError, SpoolState, SpoolUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trackstream.storage.spool.rows import Message, Stored


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackstream.storage.spool.sink._LOOK_EVERY_S", 0.05)


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


async def test_a_full_disk_is_emptied_into_kafka_and_nothing_comes_twice(
    kafka: Kafka, settings: Settings
) -> None:
    kafka.ready = False
    kept: list[bytes] = []
    behind = b"x" * 450_000
    async with started(kafka, settings) as sink:
        with full_disk(400_000):
            while sink.accepting:
                with contextlib.suppress(SpoolUnusableError):
                    await sink.send(one(b"%05d" % len(kept) + b"x" * 5_000))
                    kept.append(b"%05d" % len(kept) + b"x" * 5_000)
            assert len(kept) > 10
            assert missing_log(sink, kafka_ready=False) == ["kafka"]
            kafka.ready, kafka.away = True, True
            assert missing_log(sink, kafka_ready=True) == ["spool"]
            waiting = asyncio.create_task(sink.send(one(behind)))
            await until(lambda: sink.state.errors >= 2)
            kafka.away = False
            await waiting
            assert sink.state.messages == 0
            assert missing_log(sink, kafka_ready=True) == missing_log(sink, kafka_ready=False) == []
            await sink.send(one(b"direct"))
            assert kafka.values() == [*kept, behind, b"direct"]
            kafka.ready = False
            await sink.send(one(b"again"))
        kafka.ready = True
        await until(lambda: not sink.state.messages)
    assert kafka.values()[-1] == b"again"


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_what_is_there_is_read_from_a_disk_that_takes_nothing(tmp_path: Path, how: str) -> None:
    slot = take_slot(tmp_path)
    file = SpoolFile(slot)
    for number in range(20):
        assert file.append([one(b"%d" % number)], at_ms=7, max_bytes=10_000) == [True]
    if how == "killed":
        for path in slot.files():
            if path.exists():
                shutil.copy(path, tmp_path / f"kept{path.name}")
    file.close()
    if how == "killed":
        for path in tmp_path.glob("kept*"):
            path.rename(tmp_path / path.name.removeprefix("kept"))
    again = SpoolFile(slot)
    with full_disk(0):
        for number in range(0, 20, 5):
            head = again.head(max_messages=5, max_bytes=1_000)
            assert [stored.value for stored in head] == [
                b"%d" % n for n in range(number, number + 5)
            ]
            with pytest.raises(sqlite3.Error) as raised:
                again.remove(head)
            again.after(raised.value)
    assert not slot.path.exists()
    assert again.head(max_messages=5, max_bytes=1_000) == []
    again.close()
    slot.release()


async def test_a_disk_that_works_again_is_found_out_without_a_request(
    kafka: Kafka, settings: Settings
) -> None:
    kafka.ready = False
    async with started(kafka, settings) as sink:
        with full_disk(100_000):
            with pytest.raises(SpoolUnusableError):
                await sink.send(one(b"x" * 500_000))
            errors = sink.state.errors
            await until(lambda: sink.state.errors > errors)
            assert not sink.accepting
        await until(lambda: sink.accepting)


async def test_without_a_folder_kafka_alone_serves(kafka: Kafka, settings: Settings) -> None:
    (settings.data_dir / "spool").write_text("in the way")
    async with started(kafka, settings) as sink:
        assert not sink.accepting
        await sink.send(one(b"1"))
        kafka.slow_s = 2 * settings.spool_after_ms / 1000
        await sink.send(one(b"slow"))  # no spool would take it: Kafka is waited for
        kafka.slow_s = 0
        kafka.away = True
        with pytest.raises(Undelivered) as raised:
            await sink.send(one(b"2"))
        assert not isinstance(raised.value, Unwritten)  # Kafka was asked, and who knows?
        kafka.ready = False
        with pytest.raises(Unwritten):
            await sink.send(one(b"2"))
        kafka.ready = True
        (settings.data_dir / "spool").unlink()
        await sink.send(one(b"3"))
        kafka.away = False
        await until(lambda: not sink.state.messages)
    assert kafka.values() == [b"1", b"slow", b"3"]


async def test_a_broken_file_is_kept_and_another_begun(kafka: Kafka, settings: Settings) -> None:
    folder = settings.data_dir / "spool"
    folder.mkdir()
    (folder / "0.db").write_bytes(b"not a database" * 100)
    kafka.ready = False
    async with started(kafka, settings) as sink:
        await sink.send(one(b"1"))
        await until(lambda: sink.state.broken_files == 1)
    [aside] = folder.glob("0.db.broken-*")
    assert aside.read_bytes() == b"not a database" * 100


def damage(path: Path, *pages: int) -> None:
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)


@pytest.mark.parametrize("size_bytes", [100, 10_000])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
async def test_of_a_damaged_file_all_that_can_be_read_is_drained(
    kafka: Kafka, settings: Settings, size_bytes: int, part: float
) -> None:
    values = [b"%05d" % number + b"x" * size_bytes for number in range(500_000 // size_bytes)]
    kafka.ready = False
    async with started(kafka, settings) as sink:
        await sink.send([("raw", b"k", value) for value in values])
    path = settings.data_dir / "spool" / "0.db"
    pages = path.stat().st_size // 4096
    damage(path, int(pages * part))
    async with started(kafka, settings) as sink:
        await sink.send(one(b"after"))
        kafka.ready = True
        await until(lambda: not sink.state.messages and b"after" in kafka.values())
        state = sink.state
        assert 0 < state.lost < 100
        await until(lambda: sink.state.broken_files == 1)
    drained = kafka.values()
    assert len(drained) + state.lost == len(values) + 1
    assert drained == [value for value in [*values, b"after"] if value in set(drained)]


def test_what_was_drained_from_a_file_before_it_broke_does_not_come_again(
    settings: Settings,
) -> None:
    slot = take_slot(settings.data_dir)
    state = SpoolState()
    file = SpoolFile(slot, state)
    for number in range(200):
        file.append([one(b"%03d" % number + b"x" * 1_000)], at_ms=7, max_bytes=10**6)
    file.close()
    damage(slot.path, slot.path.stat().st_size // 4096 // 2)
    first = file.head(max_messages=50, max_bytes=10**6) if not file.messages else []
    drained: list[bytes] = []
    while batch := first or head_of(file):
        first = []
        drained += [stored.value[:3] for stored in batch]
        with contextlib.suppress(sqlite3.Error):
            file.remove(batch)
    assert len(drained) == len(set(drained)) == 200 - state.lost
    assert drained == sorted(drained)
    assert 0 < state.lost < 10
    file.close()
    slot.release()


def head_of(file: SpoolFile) -> list[Stored]:
    """As a queue asks: again after an error."""
    try:
        return file.head(max_messages=50, max_bytes=10**6)
    except sqlite3.Error as error:
        file.after(error)
        return file.head(max_messages=50, max_bytes=10**6)


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("key = 'text'", ("raw", "text", b"2")),
        ("key = 7", ("raw", "7", b"2")),
        ("value = 'text'", ("raw", "k", b"text")),
        ("topic = CAST(x'72ff77' AS TEXT)", ("r\ufffdw", "k", b"2")),
        ("topic = 'rar'", ("rar", "k", b"2")),
        ("topic = 'rejecter', at_ms = 'soon'", ("rejecter", "k", b"2")),
    ],
)
@pytest.mark.parametrize("owned", [True, False])
async def test_a_row_that_says_nonsense_is_refused_and_the_rest_drained(
    kafka: Kafka, settings: Settings, column: str, found: tuple[str, str, bytes], *, owned: bool
) -> None:
    kafka.ready = False
    async with started(kafka, settings) as sink:
        for number in range(5):
            await sink.send(one(b"%d" % number))
    path = settings.data_dir / "spool" / "0.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE messages SET {column} WHERE position = 3")
    if not owned:
        path.rename(path.with_name("9.db"))
    kafka.ready = True
    async with started(kafka, settings) as sink:
        await until(lambda: b"4" in kafka.values() and not sink.state.messages)
        assert (sink.state.broken, sink.state.errors, sink.state.size_bytes) == (1, 0, 0)
        assert sink.state.oldest_at_ms is None
    assert [topic for topic, _, _ in kafka.written] == ["raw", "raw", "rejected", "raw", "raw"]
    refused = codec.decode(kafka.values()[2])
    assert isinstance(refused, Rejected)
    topic, key, value = found
    assert (refused.key, refused.payload, refused.origin) == (key, value, None)
    assert refused.reasons == ["undecodable"]
    assert repr(topic) in refused.detail


async def test_an_error_that_nobody_foresaw_ends_no_drain(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Surprising(Kafka):
        surprises = 2

        async def send(self, messages: list[Message]) -> None:
            if self.surprises:
                self.surprises -= 1
                raise TypeError("a surprise")
            await super().send(messages)

    kafka = Surprising(ready=False)
    async with started(kafka, settings) as sink:
        await sink.send(one(b"1"))
        kafka.ready = True
        await until(lambda: kafka.values() == [b"1"] and not sink.state.messages)
        assert sink.state.errors == 2
        assert sink.accepting

        looks: list[int] = []

        def broken_files(_: Path) -> int:
            looks.append(7)
            if len(looks) < 2:
                raise RuntimeError("a surprise")
            return looks[0]

        monkeypatch.setattr("trackstream.storage.spool.sink.broken_files", broken_files)
        await until(lambda: sink.state.broken_files == 7)


async def test_a_task_that_has_failed_keeps_nothing_from_stopping(
    kafka: Kafka, settings: Settings
) -> None:
    async def fails() -> None:
        raise TypeError("a surprise")

    async with started(kafka, settings) as sink:
        sink._tasks.insert(0, asyncio.create_task(fails()))
        await asyncio.sleep(0)
    slot = take_slot(settings.data_dir / "spool")
    assert slot.path.name == "0.db"
    slot.release()


async def test_a_damaged_file_that_an_earlier_process_left_is_taken_over(
    kafka: Kafka, settings: Settings
) -> None:
    kafka.ready = False
    async with started(kafka, settings) as sink:
        await sink.send(one(b"1"))
    path = settings.data_dir / "spool" / "0.db"
    path.rename(path.with_name("0.db.damaged"))
    kafka.ready = True
    async with started(kafka, settings) as sink:
        await until(lambda: sink.state.salvaged == 1 and not sink.state.messages)
    assert kafka.values() == [b"1"]


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
    assert [stored[1:] for stored in head] == [(7, *message, True)]
    again.remove(head)
    assert (again.messages, len(again.head(max_messages=10, max_bytes=1_000))) == (2, 2)
    again.close()
    slot.release()
