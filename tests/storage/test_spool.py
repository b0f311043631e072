"""The spool: what it promises while Kafka is away, the disk fails, or a process has died."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer

from tests.storage.spooling import HOUR_MS, Kafka, one, started, until
from tests.waiting import PATIENCE_S
from trackstream import codec
from trackstream.core.records import Envelope, RawEvent, Rejected
from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.settings import Settings
from trackstream.storage.log_sink import KafkaSink, UnwritableError
from trackstream.storage.spool import SpooledSink
from trackstream.storage.spool.file import SpoolFile
from trackstream.storage.topics import bootstrap_servers, ensure_topics

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.storage.spool.rows import Message


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, spool_after_ms=50, spool_max_mib=1)


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
        await until(lambda: sink.state.drained == 20)
        assert sink.state.size_bytes == 0
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


@pytest.mark.parametrize("pause_s", [0, 0.002, 0.01, 0.03])
async def test_stopping_while_files_are_adopted_lets_everything_go(
    kafka: Kafka, settings: Settings, pause_s: float
) -> None:
    for round_number in range(5):
        kafka.ready = False
        async with started(kafka, settings), started(kafka, settings) as other:
            await other.send(one(b"%d" % round_number))
        kafka.ready = True
        async with started(kafka, settings):
            await asyncio.sleep(pause_s)
    async with started(kafka, settings) as last:
        await until(lambda: len(set(kafka.values())) == 5 and not last.state.messages)


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


def envelope(*sizes_bytes: int) -> Envelope:
    events = [
        RawEvent(event_id=f"e{n}", event="view", timestamp_ms=1, user_id="u", properties="x" * size)
        for n, size in enumerate(sizes_bytes)
    ]
    return Envelope(
        app_id="shop", subject="shop|user:u", received_at_ms=1, sent_at_ms=None, ip=None,
        user_agent=None, events=events,
    )  # fmt: skip


def refusals(kafka: Kafka) -> list[Rejected]:
    found = [codec.decode(value) for topic, _, value in kafka.written if topic == "rejected"]
    return [one for one in found if isinstance(one, Rejected)]


async def test_what_leaves_the_spool_for_rejected_is_whole(
    kafka: Kafka, settings: Settings
) -> None:
    large = codec.encode(envelope(*[2_000] * 300))
    now_ms = [1_000]
    kafka.ready = False
    async with started(kafka, settings, lambda: now_ms[0]) as sink:
        await sink.send(one(large))
        now_ms[0] += settings.spool_max_age_h * HOUR_MS + 1
        kafka.ready = True
        await until(lambda: not sink.state.messages)
    [refused] = refusals(kafka)
    assert refused.payload == large
    assert (refused.app_id, refused.origin) == ("shop", "raw")


async def test_what_is_too_large_for_rejected_comes_in_parts(
    kafka: Kafka, settings: Settings
) -> None:
    kafka.ready, kafka.most_bytes = False, 300_000
    async with started(kafka, settings) as sink:
        await sink.send(one(codec.encode(envelope(200_000, 150_000, 100_000, 400_000))))
        kafka.ready = True
        await until(lambda: not sink.state.messages)
    found = refusals(kafka)
    parts = [codec.decode(one.payload) for one in found[:-1]]
    ids = [e.event_id for one in parts if isinstance(one, Envelope) for e in one.events]
    assert ids == ["e0", "e1", "e2"]
    assert [one.origin for one in found] == ["raw"] * len(parts) + [None]
    assert len(found[-1].payload) == 256 * 1024
    assert len({one.rejected_id for one in found}) == len(found)


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
        await until(lambda: sink.state.drained == 10)
        assert (sink.state.unwritable, sink.state.messages) == (1, 0)
    assert [value for topic, _, value in kafka.written if topic == "raw"] == [
        b"%d" % number for number in range(10, 20) if number != 13
    ]
    [refused] = [codec.decode(value) for topic, _, value in kafka.written if topic == "rejected"]
    assert isinstance(refused, Rejected)
    assert refused.payload == b"13"


async def test_a_broker_that_stands_still_is_not_waited_for(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path) as broker:
        settings = Settings(data_dir=tmp_path, kafka_url=broker.url, spool_after_ms=200)
        await ensure_topics(settings)
        kafka = KafkaSink(settings)
        sink = SpooledSink(kafka, settings, ready=lambda: True)
        await sink.start()
        await sink.send(one(b"before"))
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            began_s = time.monotonic()
            for number in range(20):
                await sink.send(one(b"%d" % number))
            assert time.monotonic() - began_s < PATIENCE_S / 2
            assert sink.state.messages == 20
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        await until(lambda: not sink.state.messages)
        await sink.stop()
        await kafka.stop()
        consumer = AIOKafkaConsumer(
            settings.topic_prefix + "raw",
            bootstrap_servers=bootstrap_servers(broker.url),
            auto_offset_reset="earliest",
        )
        await consumer.start()
        values: list[bytes] = []
        async with asyncio.timeout(PATIENCE_S):
            while b"19" not in values:
                values.append((await consumer.getone()).value)
        await consumer.stop()
    # the first may have been written twice: by the request that gave up, and from the spool
    assert list(dict.fromkeys(values)) == [b"before", *(b"%d" % number for number in range(20))]
