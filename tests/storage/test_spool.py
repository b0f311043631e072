"""The spool: what it promises while Kafka is away, the disk fails, or a process has died."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from trackstream import codec
from trackstream.core.records import Rejected
from trackstream.ports import Undelivered
from trackstream.settings import Settings
from trackstream.storage.log_sink import UnwritableError
from trackstream.storage.spool import SpooledSink
from trackstream.storage.spool.file import SpoolFile
from trackstream.storage.spool.slots import take_slot
from trackstream.storage.spool.state import SpoolFullError, SpoolUnusableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from trackstream.storage.spool.file import Message

HOUR_MS = 3_600_000


@dataclass
class Kafka:
    """`ports.Sink` that can be away, hang, and refuse a value for good."""

    away: bool = False
    hangs: bool = False
    ready: bool = True
    unwritable: bytes | None = None
    written: list[Message] = field(default_factory=list)
    calls: int = 0

    async def send(self, messages: list[Message]) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.away:
            raise Undelivered("away")
        if any(value == self.unwritable for _, _, value in messages):
            raise UnwritableError("too large")
        self.written += messages

    def values(self) -> list[bytes]:
        return [value for _, _, value in self.written]


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, spool_after_ms=50, spool_max_mib=1)


@contextlib.asynccontextmanager
async def started(
    kafka: Kafka, settings: Settings, clock_ms: Callable[[], int] = lambda: 1_000
) -> AsyncIterator[SpooledSink]:
    sink = SpooledSink(kafka, settings, ready=lambda: kafka.ready, clock_ms=clock_ms)
    await sink.start()
    try:
        yield sink
    finally:
        await sink.stop()


def one(value: bytes, topic: str = "raw") -> list[Message]:
    return [(topic, b"k", value)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the spool has no event for tests
            await asyncio.sleep(0.01)


async def test_while_kafka_answers_nothing_is_spooled(kafka: Kafka, settings: Settings) -> None:
    async with started(kafka, settings) as sink:
        await sink.send(one(b"1"))
        await sink.send([])
        assert kafka.values() == [b"1"]
        assert (sink.state.spooled, sink.state.messages, sink.accepting) == (0, 0, True)


@pytest.mark.parametrize("how", ["away", "hangs", "not ready"])
async def test_what_kafka_does_not_take_in_time_is_kept_and_written_in_order(
    kafka: Kafka, settings: Settings, how: str
) -> None:
    kafka.away, kafka.hangs, kafka.ready = how == "away", how == "hangs", how != "not ready"
    async with started(kafka, settings) as sink:
        for number in range(20):
            await sink.send(one(b"%d" % number))
        assert kafka.values() == []
        assert (sink.state.spooled, sink.state.messages) == (20, 20)
        oldest_at_ms = sink.state.oldest_at_ms
        assert oldest_at_ms == 1_000
        if how == "hangs":
            return
        kafka.away, kafka.ready = False, True
        await until(lambda: not sink.state.messages)
        await sink.send(one(b"direct"))
        assert kafka.values() == [b"%d" % number for number in range(20)] + [b"direct"]
        assert (sink.state.drained, sink.state.size_bytes) == (20, 0)
        assert sink.state.oldest_at_ms is None


async def test_order_holds_while_it_is_drained_under_load(kafka: Kafka, settings: Settings) -> None:
    kafka.away = True
    async with started(kafka, settings) as sink:

        async def sender(name: int) -> None:
            for number in range(50):
                if (name, number) == (0, 25):
                    kafka.away = False
                await sink.send([("raw", b"%d" % name, b"%d" % number)])

        await asyncio.gather(*(sender(name) for name in range(8)))
        await until(lambda: not sink.state.messages)
    for name in range(8):
        values = [int(value) for _, key, value in kafka.written if key == b"%d" % name]
        assert list(dict.fromkeys(values)) == list(range(50))


async def test_many_requests_share_a_transaction(
    kafka: Kafka, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    append = SpoolFile.append

    def counted(
        self: SpoolFile, groups: list[list[Message]], *, at_ms: int, max_bytes: int
    ) -> list[bool]:
        commits.append(len(groups))
        return append(self, groups, at_ms=at_ms, max_bytes=max_bytes)

    monkeypatch.setattr(SpoolFile, "append", counted)
    kafka.ready = False
    async with started(kafka, settings) as sink:
        await asyncio.gather(*(sink.send(one(b"%d" % number)) for number in range(100)))
    assert sum(commits) == 100
    assert len(commits) <= 3


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


async def test_whoever_gave_up_waiting_disturbs_nobody(kafka: Kafka, settings: Settings) -> None:
    kafka.ready = False
    async with started(kafka, settings) as sink:
        sending = [asyncio.create_task(sink.send(one(b"%d" % number))) for number in range(10)]
        await asyncio.sleep(0)
        sending[3].cancel()
        done = await asyncio.gather(*sending, return_exceptions=True)
        assert [type(result) for result in done if result is not None] == [asyncio.CancelledError]
        kafka.ready = True
        await until(lambda: len(kafka.written) >= 9 and not sink.state.messages)
    assert {b"%d" % number for number in range(10) if number != 3} <= set(kafka.values())


async def test_the_next_start_drains_what_was_left_also_by_other_processes(
    kafka: Kafka, settings: Settings
) -> None:
    kafka.ready = False
    async with started(kafka, settings) as first, started(kafka, settings) as second:
        await first.send(one(b"first"))
        await second.send(one(b"second"))
    folder = settings.data_dir / "spool"
    assert {path.name for path in folder.glob("*.db")} == {"0.db", "1.db"}
    assert (folder.stat().st_mode & 0o77, (folder / "0.db").stat().st_mode & 0o77) == (0, 0)
    kafka.ready = True
    async with started(kafka, settings) as third:
        await until(lambda: len(kafka.written) == 2 and not third.state.messages)
        await until(lambda: not (folder / "1.db").exists())
    assert sorted(kafka.values()) == [b"first", b"second"]


async def test_what_waited_too_long_is_refused_not_dropped(
    kafka: Kafka, settings: Settings
) -> None:
    now_ms = [1_000]
    kafka.ready = False
    async with started(kafka, settings, lambda: now_ms[0]) as sink:
        await sink.send(one(b"old"))
        now_ms[0] += settings.spool_max_age_h * HOUR_MS + 1
        await sink.send(one(b"new"))
        kafka.ready = True
        await until(lambda: not sink.state.messages)
        assert sink.state.expired == 1
    assert [topic for topic, _, _ in kafka.written] == ["rejected", "raw"]
    refused = codec.decode(kafka.values()[0])
    assert isinstance(refused, Rejected)
    assert (refused.payload, refused.reasons) == (b"old", ["spooled_too_long"])
    assert (refused.received_at_ms, refused.stage) == (1_000, "collector")


async def test_what_kafka_never_takes_does_not_hold_up_the_rest(
    kafka: Kafka, settings: Settings
) -> None:
    kafka.unwritable = b"13"
    async with started(kafka, settings) as sink:
        with pytest.raises(UnwritableError):
            await sink.send(one(b"13"))
        kafka.ready = False
        for number in range(10, 20):
            await sink.send(one(b"%d" % number))
        kafka.ready = True
        await until(lambda: not sink.state.messages)
        assert (sink.state.unwritable, sink.state.drained) == (1, 10)
    assert [value for topic, _, value in kafka.written if topic == "raw"] == [
        b"%d" % number for number in range(10, 20) if number != 13
    ]
    [refused] = [codec.decode(value) for topic, _, value in kafka.written if topic == "rejected"]
    assert isinstance(refused, Rejected)
    assert refused.payload == b"13"


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
