"""What every consumer promises, whatever it keeps and wherever."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from tests.storage.consumer.users import USERS, User
from tests.waiting import PATIENCE_S
from trackstream.embedded.kafka import EmbeddedKafka
from trackstream.settings import Settings
from trackstream.storage.consumer import group_of
from trackstream.storage.errors import TopicMismatchError
from trackstream.storage.topics import bootstrap_servers, ensure_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
def settings(kafka_url: str, topic_prefix: str, migrated_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        kafka_url=kafka_url,
        postgres_url=migrated_url,
        topic_prefix=topic_prefix,
        topic_partitions=2,
    )


@pytest.fixture(params=sorted(USERS))
def make(request: pytest.FixtureRequest) -> Callable[[Settings], User]:
    return USERS[request.param]


@pytest.fixture
async def user(make: Callable[[Settings], User], settings: Settings) -> User:
    await ensure_topics(settings)
    return make(settings)


@pytest.fixture
async def of_one_partition(make: Callable[[Settings], User], settings: Settings) -> User:
    settings = replace(settings, topic_partitions=1)
    await ensure_topics(settings)
    return make(settings)


async def send(user: User, numbers: range, *, pause_s: float = 0) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers(user.settings.kafka_url))
    await producer.start()
    try:
        for number in numbers:
            topic = user.settings.topic_prefix + user.topic
            await producer.send(topic, user.value(number), key=b"%d" % number)
            await asyncio.sleep(pause_s)
        await producer.flush()
    finally:
        await producer.stop()


@asynccontextmanager
async def running(user: User) -> AsyncIterator[asyncio.Task[None]]:
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(user.run(stop=stop, on_ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert ready.is_set(), "not ready"
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE_S)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110 - what keeps effects tells nobody
            await asyncio.sleep(0.05)


@asynccontextmanager
async def in_the_group(user: User) -> AsyncIterator[tuple[Any, list[TopicPartition]]]:
    """A client that sees and sets the group's offsets in Kafka."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers(user.settings.kafka_url),
        group_id=group_of(user.reading.group, user.settings),
        enable_auto_commit=False,
    )
    await consumer.start()
    topic = user.settings.topic_prefix + user.topic
    partitions = [TopicPartition(topic, n) for n in range(user.settings.topic_partitions)]
    consumer.assign(partitions)
    try:
        yield consumer, partitions
    finally:
        await consumer.stop()


def once(count: int) -> Counter[str]:
    return Counter(str(number) for number in range(count))


async def test_what_is_kept_beside_the_effects_says_where_to_go_on_not_kafka(user: User) -> None:
    await send(user, range(50))
    # Kafka is told that all was read: a lie, as after a crash between its commit and ours.
    async with in_the_group(user) as (consumer, partitions):
        await consumer.commit(await consumer.end_offsets(partitions))
    async with running(user):
        await until(lambda: user.kept() == once(50))


async def test_a_restart_goes_on_and_kafka_is_told_how_far_it_is(user: User) -> None:
    await send(user, range(50))
    async with running(user):
        await until(lambda: user.kept() == once(50))
    async with running(user):
        await send(user, range(50, 80))
        await until(lambda: user.kept() == once(80))
    async with in_the_group(user) as (consumer, partitions):
        assert sum([await consumer.committed(one) or 0 for one in partitions]) == 80


async def test_partitions_are_shared_and_handed_over_without_loss_or_repetition(user: User) -> None:
    async with running(user):
        sending = asyncio.create_task(send(user, range(400), pause_s=0.005))
        await until(lambda: len(user.kept()) > 20)
        async with running(user):
            await until(lambda: len(user.kept()) > 150)
        await sending
        await until(lambda: len(user.kept()) == 400)
    assert user.kept() == once(400)


async def test_a_member_without_partitions_takes_over_when_the_other_leaves(
    of_one_partition: User,
) -> None:
    user = of_one_partition
    async with running(user):
        pass
    stop, ready = asyncio.Event(), asyncio.Event()
    async with running(user):
        second = asyncio.create_task(user.run(stop=stop, on_ready=ready.set))
        # Whichever of the two has the partition: both are ready, and one has none.
        await asyncio.wait_for(ready.wait(), PATIENCE_S)
    await send(user, range(20))
    await until(lambda: user.kept() == once(20))
    stop.set()
    await asyncio.wait_for(second, PATIENCE_S)


async def test_one_that_was_replaced_unnoticed_joins_again_and_loses_nothing(
    of_one_partition: User, caplog: pytest.LogCaptureFixture
) -> None:
    user = of_one_partition
    async with running(user):
        # As if the group had given the partition to another, who writes it.
        await asyncio.to_thread(user.replace)
        await send(user, range(20))
        await until(lambda: user.kept() == once(20))
    assert "joining the group again" in caplog.text


async def test_an_outage_is_waited_for_and_told_once(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    waits, goes_on = f"{user.reading.name} waits: ", f"{user.reading.name} goes on"
    async with running(user):
        await send(user, range(1))
        await until(lambda: user.kept() == once(1))
        await asyncio.to_thread(user.be_away, away=True)
        await send(user, range(1, 20))
        await until(lambda: waits in caplog.text)
        await asyncio.sleep(0.5)
        await send(user, range(20, 40))
        await asyncio.to_thread(user.be_away, away=False)
        await until(lambda: goes_on in caplog.text)
        await until(lambda: user.kept() == once(40))
    assert caplog.text.count(waits) == 1
    assert caplog.text.count(goes_on) == 1


async def test_stopping_in_an_outage_loses_nothing_and_skips_nothing(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(user):
        await asyncio.to_thread(user.be_away, away=True)
        # Several batches, so that a later one must not be written without the first.
        for batch in range(4):
            await send(user, range(batch * 20, batch * 20 + 20))
            await asyncio.sleep(0.3)
        await until(lambda: f"{user.reading.name} waits" in caplog.text)
    await asyncio.to_thread(user.be_away, away=False)
    assert not user.kept()
    async with running(user):
        await until(lambda: user.kept() == once(80))


async def test_one_that_starts_first_makes_the_topics_as_all_others_need_them(
    make: Callable[[Settings], User], settings: Settings
) -> None:
    """The broker would make them of 4 partitions for a consumer."""
    user = make(settings)
    async with running(user):
        await ensure_topics(settings)
        await send(user, range(20))
        await until(lambda: user.kept() == once(20))


async def test_topics_of_another_partition_count_end_it(
    make: Callable[[Settings], User], settings: Settings
) -> None:
    user = make(replace(settings, topic_partitions=3))
    await ensure_topics(settings)
    with pytest.raises(TopicMismatchError, match="TRACKSTREAM_TOPIC_PARTITIONS is 3"):
        await user.run(stop=asyncio.Event(), on_ready=_nothing)


async def test_what_kafka_deleted_unread_is_told_and_the_rest_goes_on(
    of_one_partition: User, caplog: pytest.LogCaptureFixture
) -> None:
    user = of_one_partition
    await send(user, range(10))
    async with running(user):
        await until(lambda: user.kept() == once(10))
    await send(user, range(10, 30))
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(user.settings.kafka_url))
    await admin.start()
    partition = TopicPartition(user.settings.topic_prefix + user.topic, 0)
    await admin.delete_records({partition: RecordsToDelete(before_offset=20)})
    await admin.close()
    async with running(user):
        await until(lambda: user.kept() == once(30) - Counter(str(n) for n in range(10, 20)))
    assert "deleted the messages from 10 to 19 before they were written" in caplog.text


async def test_kafka_may_be_away_at_the_start_and_later(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = EmbeddedKafka(tmp_path)
    await asyncio.to_thread(broker.start)
    stop = asyncio.Event()
    try:
        settings = replace(settings, kafka_url=broker.url)
        await ensure_topics(settings)
        users = [make(settings) for make in USERS.values()]
        await asyncio.to_thread(broker.stop)
        tasks = [asyncio.create_task(one.run(stop=stop, on_ready=_nothing)) for one in users]
        waits = [f"{user.reading.name} waits for Kafka" for user in users]
        await until(lambda: all(said in caplog.text for said in waits))
        for round_ in range(2):
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in tasks)
            await asyncio.to_thread(broker.start)
            for user in users:
                await send(user, range(round_, round_ + 1))
            for user in users:
                await until(partial(_all_are_kept, user, round_ + 1))
            await asyncio.to_thread(broker.stop)
        began_s = time.monotonic()
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)
        assert time.monotonic() - began_s < PATIENCE_S / 2
    finally:
        await asyncio.to_thread(broker.stop)


def _nothing() -> None:
    pass


def _all_are_kept(user: User, count: int) -> bool:
    # By number: two of them read the same topic, to which both send.
    return user.kept().keys() == once(count).keys()


def test_the_group_is_one_for_each_prefix() -> None:
    assert group_of("trackstream-warehouse", Settings()) == "trackstream-warehouse"
    ours = Settings(topic_prefix="test.")
    assert group_of("trackstream-warehouse", ours) == "test.trackstream-warehouse"
