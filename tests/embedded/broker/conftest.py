"""The brokers that the tests run on."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from tests.embedded.broker.child import BrokerProcess
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator


_numbers = itertools.count()


@dataclass(frozen=True)
class Kafka:
    """A broker under test; `session_timeout_ms` is the shortest that it lets members have."""

    bootstrap: str
    is_ours: bool
    session_timeout_ms: int
    _admins: list[AdminClient] = field(default_factory=list)

    @property
    def admin(self) -> AdminClient:
        """An administrator."""
        if not self._admins:
            self._admins.append(AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}))
        return self._admins[0]

    def new_name(self, prefix: str) -> str:
        """Return a name that no other test uses."""
        return f"{prefix}-{os.getpid()}-{next(_numbers)}"

    def new_topic(self, partitions: int = 1, **config: object) -> str:
        """Create a topic (`retention_ms=1` for `retention.ms`) and return its name."""
        name = self.new_name("topic")
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        topic = NewTopic(name, partitions, 1, config=settings)
        self.admin.create_topics([topic])[name].result(PATIENCE_S)
        if not self.is_ours:
            self._wait_for_leaders(name, partitions)
        return name

    def _wait_for_leaders(self, name: str, partitions: int) -> None:
        """Apache Kafka answers before the partitions can be used."""
        spec: Any = OffsetSpec  # untyped
        places = {TopicPartition(name, number): spec.latest() for number in range(partitions)}
        deadline_s = time.monotonic() + PATIENCE_S
        # Asked for too early, librdkafka remembers for half a minute that there is no leader.
        while name not in self.admin.list_topics(timeout=PATIENCE_S).topics:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        while True:
            try:
                for found in self.admin.list_offsets(places).values():
                    found.result(PATIENCE_S)
            except KafkaException:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.02)
            else:
                return


@pytest.fixture(
    scope="session",
    params=["embedded", pytest.param("apache", marks=pytest.mark.apache_kafka)],
)
def kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kafka]:
    if request.param == "apache":
        bootstrap = os.environ.get("TRACKSTREAM_TEST_APACHE_KAFKA")
        if not bootstrap:
            pytest.skip("TRACKSTREAM_TEST_APACHE_KAFKA=host:port names no Apache Kafka")
        yield Kafka(bootstrap, is_ours=False, session_timeout_ms=6000)
        return
    arguments = ["--group-min-session-timeout-ms", "500", "--maintenance-interval-ms", "200"]
    arguments += ["--group-initial-rebalance-delay-ms", "50"]
    with BrokerProcess(tmp_path_factory.mktemp("broker") / "data", *arguments) as broker:
        yield Kafka(broker.bootstrap, is_ours=True, session_timeout_ms=500)
        assert "Traceback" not in broker.log
