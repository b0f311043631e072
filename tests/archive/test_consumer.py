"""From the topic to the files, by the embedded broker, and killed in the middle."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from click.testing import CliRunner

from tests.storage.records import AT_MS, DAY_MS, an_event
from tests.waiting import PATIENCE_S
from trackstream.archive import Rolling, consumer, open_place, run, verify
from trackstream.archive.errors import ArchiveMismatchError
from trackstream.archive.ranges import Message, PartitionRanges
from trackstream.cli import main
from trackstream.codec import encode
from trackstream.core.records import Context
from trackstream.settings import Settings
from trackstream.storage.topics import bootstrap_servers, ensure_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from trackstream.archive.place import Place

SMALL = Rolling(size_bytes=20_000, age_s=0.3)


@pytest.fixture
async def settings(kafka_url: str, topic_prefix: str, tmp_path: Path) -> Settings:
    settings = Settings(
        data_dir=tmp_path, kafka_url=kafka_url, topic_prefix=topic_prefix, topic_partitions=2
    )
    await ensure_topics(settings)
    return settings


async def send(settings: Settings, numbers: range, *, pause_s: float = 0) -> None:
    """Events of three apps and three days."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers(settings.kafka_url))
    await producer.start()
    try:
        for number in numbers:
            event = an_event(
                f"e{number}",
                app_id=f"app{number % 3}",
                timestamp_ms=AT_MS + number // 3 % 3 * DAY_MS,
            )
            await producer.send(settings.topic_prefix + "events", encode(event), key=b"%d" % number)
            await asyncio.sleep(pause_s)
        await producer.flush()
    finally:
        await producer.stop()


@asynccontextmanager
async def running(
    settings: Settings, *, place: Place | None = None, rolling: Rolling = SMALL
) -> AsyncIterator[asyncio.Task[None]]:
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        run(settings, stop=stop, on_ready=ready.set, place=place, rolling=rolling)
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE_S)


async def reached(condition: Callable[[], bool], *, every_s: float = 0.05) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(every_s)


def archived(place: Place) -> Counter[str]:
    """How often each event is in the files."""
    found: Counter[str] = Counter()
    for path in place.files():
        if path.endswith(".parquet"):
            read = pq.read_table(io.BytesIO(place.read(path)), columns=["event_id"])
            found.update(read["event_id"].to_pylist())
    return found


def whole(place: Place, count: int) -> bool:
    found, strangers = verify(place)
    return (
        sum(one.rows for one in found) == count
        and not strangers
        and not any(one.problems or one.unfinished for one in found)
    )


def once(count: int) -> Counter[str]:
    return Counter(f"e{number}" for number in range(count))


@pytest.mark.parametrize("kind", ["directory", "memory"])
async def test_every_event_is_archived_once_through_restarts(settings: Settings, kind: str) -> None:
    url = f"memory://{uuid4().hex}/a" if kind == "memory" else str(settings.data_dir / "archive")
    place = open_place(url)
    await send(settings, range(300))
    async with running(settings, place=place):
        await reached(lambda: whole(place, 300))
    async with running(settings, place=place):
        await send(settings, range(300, 400))
        await reached(lambda: whole(place, 400))
    assert archived(place) == once(400)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What an archive of this process has read, written or not."""
    found: list[Message] = []
    add = consumer._Gathered.add

    def noted(self: consumer._Gathered, message: Message) -> None:
        add(self, message)
        found.append(message)

    monkeypatch.setattr(consumer._Gathered, "add", noted)
    return found


async def test_what_was_read_is_written_when_it_stops(
    settings: Settings, read: list[Message]
) -> None:
    place = open_place(str(settings.data_dir / "archive"))
    slow = Rolling(size_bytes=2**30, age_s=3600)
    await send(settings, range(50))
    async with running(settings, rolling=slow):
        await reached(lambda: len(read) == 50)
        assert not place.files()
    assert whole(place, 50)
    # One range for each partition, a file for each app and day.
    manifests = [path for path in place.files() if path.endswith(".json")]
    assert len(manifests) == 2


async def test_files_are_written_at_a_size(settings: Settings, read: list[Message]) -> None:
    place = open_place(str(settings.data_dir / "archive"))
    await send(settings, range(400))
    async with running(settings, rolling=Rolling(size_bytes=5_000, age_s=3600)):
        await reached(lambda: sum(archived(place).values()) >= 100 and len(read) == 400)
    assert archived(place) == once(400)


def amid_a_range(place: Place) -> bool:
    names = place.files()
    plans = {one.removesuffix(".json") for one in names if one.endswith(".json")}
    return bool(plans - {one.removesuffix(".done") for one in names if one.endswith(".done")})


async def kill_amid_a_range(process: asyncio.subprocess.Process, place: Place) -> None:
    """Kill -9 between a plan and the mark that it is done: it is stopped, looked at, and killed."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await reached(lambda: amid_a_range(place), every_s=0.001)
            process.send_signal(signal.SIGSTOP)
            if amid_a_range(place):
                break
            process.send_signal(signal.SIGCONT)
    process.kill()
    await process.wait()


async def test_killed_amid_ranges_every_event_is_there_once(settings: Settings) -> None:
    place = open_place(str(settings.data_dir / "archive"))
    sending = asyncio.create_task(send(settings, range(2000), pause_s=0.003))
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.archive.child"),
            env={**os.environ, **settings.environ()},
        )
        known = len(place.files())
        try:
            # Past what was left unfinished before.
            await reached(lambda known=known: len(place.files()) > known + 5)  # type: ignore[misc]  # mypy infers no type of a default
            await kill_amid_a_range(process, place)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        found, strangers = verify(place)
        assert any(one.unfinished for one in found)
        assert not strangers
    await sending
    async with running(settings):
        await reached(lambda: whole(place, 2000))
    assert archived(place) == once(2000)
    half_written = (settings.data_dir / "archive" / "_temporary").rglob("*")
    assert not [one for one in half_written if one.is_file()]


async def test_a_range_that_kafka_deleted_before_it_was_finished_is_told_and_done_with(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    place = open_place(str(settings.data_dir / "archive"))
    await send(settings, range(60))
    async with running(settings):
        await reached(lambda: whole(place, 60))
    # As if it had been killed after the plans: nothing that they name was written.
    for path in place.files():
        if path.endswith((".done", ".parquet")):
            (settings.data_dir / "archive" / path).unlink()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(settings.kafka_url))
    await admin.start()
    topic = settings.topic_prefix + "events"
    last = {TopicPartition(topic, n): RecordsToDelete(before_offset=-1) for n in range(2)}
    await admin.delete_records(last)
    await admin.close()
    async with running(settings):
        await reached(lambda: not amid_a_range(place))
        await send(settings, range(60, 90))
        await reached(lambda: len(archived(place)) == 30)
    assert "Kafka has deleted messages before" in caplog.text
    assert all(one.problems for one in verify(place)[0])


async def test_a_record_that_cannot_be_a_row_stops_nothing(settings: Settings) -> None:
    place = open_place(str(settings.data_dir / "archive"))
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers(settings.kafka_url))
    await producer.start()
    wide = an_event("wide", context=Context(screen_width=2**40))
    await producer.send(settings.topic_prefix + "events", encode(wide))
    await producer.stop()
    async with running(settings, place=place):
        await send(settings, range(60))
        await reached(lambda: whole(place, 60))
    assert archived(place) == once(60)


class Failing:
    """A place whose first writes fail."""

    def __init__(self, place: Place, error: Exception, times: int) -> None:
        self._place = place
        self._error = error
        self._left = times

    def __getattr__(self, name: str) -> Any:
        if name == "write" and self._left:
            self._left -= 1
            raise self._error
        return getattr(self._place, name)


class ClientError(Exception):
    """As the clients of object stores have them: of no class that we know."""


@pytest.mark.parametrize("error", [ConnectionError(), SSLCertVerificationError(), ClientError()])
async def test_a_place_that_is_away_is_waited_for(settings: Settings, error: Exception) -> None:
    place = open_place(str(settings.data_dir / "archive"))
    failing: Any = Failing(place, error, 2)
    await send(settings, range(10))
    async with running(settings, place=failing):
        await reached(lambda: whole(place, 10))


@pytest.mark.parametrize("error", [pa.ArrowInvalid(), TypeError(), KeyError(), ZeroDivisionError()])
async def test_a_fault_of_the_program_is_raised(settings: Settings, error: Exception) -> None:
    place = open_place(str(settings.data_dir / "archive"))
    failing: Any = Failing(place, error, 2**31)
    await send(settings, range(10))
    with pytest.raises(type(error)):
        async with asyncio.timeout(PATIENCE_S):
            await run(settings, stop=asyncio.Event(), place=failing, rolling=SMALL)


async def test_a_topic_that_was_made_anew_is_told(settings: Settings) -> None:
    place = open_place(str(settings.data_dir / "archive"))
    ranges = PartitionRanges(place, settings.topic_prefix + "events", 0)
    ranges.load()
    ranges.append([Message(7, encode(an_event()))])
    with pytest.raises(ArchiveMismatchError, match="TRACKSTREAM_ARCHIVE_URL"):
        async with asyncio.timeout(PATIENCE_S):
            await run(settings, stop=asyncio.Event(), place=place, rolling=SMALL)


async def test_verify_prints_a_line_for_each_partition_and_exits_by_what_it_finds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(settings, range(60))
    place = open_place(str(settings.data_dir / "archive"))
    async with running(settings):
        await reached(lambda: whole(place, 60))
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(settings.data_dir))
    good = CliRunner().invoke(main, ["archive", "verify", "--json"])
    assert good.exit_code == 0
    assert sum(row["rows"] for row in json.loads(good.stdout)) == 60
    one = next(path for path in place.files() if path.endswith(".parquet"))
    (settings.data_dir / "archive" / one).unlink()
    bad = CliRunner().invoke(main, ["archive", "verify"])
    assert bad.exit_code == 1
    assert f"{one}: " in bad.stderr
