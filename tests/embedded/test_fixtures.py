"""What the shared fixtures of `tests/conftest.py` promise to every test."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.xdist_group("embedded_servers")


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_database(database_url: str, turn: int) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE mine (turn int)")
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_cache(redis_url: str, turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("mine", turn)


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_topics_of_its_own(
    kafka_url: str, kafka_bootstrap: str, topic_prefix: str, turn: int
) -> None:
    assert kafka_url == f"kafka://{kafka_bootstrap}"
    topic = f"{topic_prefix}mine"
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    producer.produce(topic, str(turn).encode())
    assert producer.flush(20) == 0
    topics = AdminClient({"bootstrap.servers": kafka_bootstrap}).list_topics(
        topic, timeout=PATIENCE_S
    )
    assert len(topics.topics[topic].partitions) == 4
