"""The catalogue of topics: durable, with each topic's partitions and configuration."""

from __future__ import annotations

import logging
import re
import shutil
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.storage.journal import Journal
from trackstream.embedded.broker.storage.partition import Partition
from trackstream.embedded.broker.topic_config import (
    ConfigError,
    TopicConfig,
    parse_topic_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trackstream.embedded.broker.storage.flusher import Flusher
    from trackstream.embedded.broker.storage.segment import Segment

log = logging.getLogger(__name__)

MAX_PARTITIONS = 10_000
"""Of one topic: each holds a file open."""

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_TRASH = "deleted"


class TopicError(Exception):
    """A request concerning topics that is refused: the code and the reason for the client."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Topic:
    """A topic; `overrides` is what its creator configured, `config` the result."""

    name: str
    id: uuid.UUID
    partitions: list[Partition]
    overrides: dict[str, str]
    config: TopicConfig


class Topics:
    """All topics under one directory.

    `defaults` are the broker's values for topics that do not say otherwise. Changes are in the
    operating system's hands when a method returns; where the disk refuses, `OSError` is raised
    and nothing is changed.
    """

    def __init__(self, directory: Path, defaults: Mapping[str, str], flusher: Flusher) -> None:
        self.defaults = dict(defaults)
        self._directory = directory / "topics"
        self._trash = directory / _TRASH
        self._flusher = flusher
        self._topics: dict[str, Topic] = {}
        self._journal = Journal(
            directory / "topics.journal", self._records, lambda journal: flusher.add(journal, _log)
        )

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def __contains__(self, name: str) -> bool:
        return name in self._topics

    def open(self) -> None:
        """Read the catalogue and recover every partition."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._trash.mkdir(exist_ok=True)
        known: dict[str, tuple[str, int, dict[str, str]]] = {}
        for record in self._journal.load():
            match record:
                case ["topic", name, topic_id, count, overrides]:
                    known[name] = (topic_id, count, overrides)
                case ["deleted", name]:
                    known.pop(name, None)
        wanted = {
            f"{name}-{index}" for name, (_, count, _) in known.items() for index in range(count)
        }
        for path in self._directory.iterdir():
            if path.name not in wanted:
                self._throw_away(path)
        for name, (topic_id, count, overrides) in known.items():
            topic = self._make(name, uuid.UUID(topic_id), overrides)
            self._add_partitions(topic, count)
            self._topics[name] = topic
        self.empty_trash()

    def _records(self) -> Iterator[Any]:
        return (_record(topic) for topic in self)

    def get(self, name: str) -> Topic | None:
        """Return a topic, if it exists."""
        return self._topics.get(name)

    def by_id(self, topic_id: uuid.UUID) -> Topic | None:
        """Return the topic with this id, if it exists."""
        return next((topic for topic in self if topic.id == topic_id), None)

    def partition(self, name: str, index: int) -> Partition | None:
        """Return a partition, if it exists."""
        topic = self._topics.get(name)
        if topic is None or not 0 <= index < len(topic.partitions):
            return None
        return topic.partitions[index]

    def partitions(self) -> list[Partition]:
        """Return all partitions of all topics."""
        return [partition for topic in self for partition in topic.partitions]

    def check_new(self, name: str, count: int, overrides: Mapping[str, str]) -> None:
        """Raise `TopicError` unless such a topic can be created."""
        if not _NAME.fullmatch(name) or name in {".", ".."}:
            raise TopicError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name {name!r} is invalid")
        if name in self._topics:
            raise TopicError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        if not 1 <= count <= MAX_PARTITIONS:
            raise TopicError(
                ErrorCode.INVALID_PARTITIONS,
                f"Number of partitions must be between 1 and {MAX_PARTITIONS}",
            )
        self._parse(overrides)

    def create(self, name: str, count: int, overrides: Mapping[str, str]) -> Topic:
        """Create a topic with `count` partitions, or raise `TopicError`."""
        self.check_new(name, count, overrides)
        topic = self._make(name, uuid.uuid4(), dict(overrides))
        self._add_partitions(topic, count)
        self._journal.append(_record(topic))
        self._topics[name] = topic
        log.info("created topic %s with %d partitions", name, count)
        return topic

    def delete(self, name: str) -> Topic:
        """Delete a topic, or raise `TopicError`; its files go with `empty_trash`."""
        topic = self._require(name)
        self._journal.append(["deleted", name])
        del self._topics[name]
        for partition in topic.partitions:
            for segment in partition.log.segments:
                self._flusher.discard(segment)
            partition.close(save=False)
            self._throw_away(partition.log.directory)
        log.info("deleted topic %s", name)
        return topic

    def grow(self, name: str, count: int, *, validate_only: bool = False) -> None:
        """Give a topic more partitions, or raise `TopicError`."""
        topic = self._require(name)
        if not len(topic.partitions) < count <= MAX_PARTITIONS:
            raise TopicError(
                ErrorCode.INVALID_PARTITIONS,
                f"Topic {name} has {len(topic.partitions)} partitions; {count} are not more",
            )
        if validate_only:
            return
        before = len(topic.partitions)
        self._add_partitions(topic, count)
        try:
            self._journal.append(_record(topic))
        except OSError:
            del topic.partitions[before:]
            raise

    def configure(
        self, name: str, overrides: Mapping[str, str], *, validate_only: bool = False
    ) -> None:
        """Replace what a topic's creator configured, or raise `TopicError`."""
        topic = self._require(name)
        config = self._parse(overrides)
        if validate_only:
            return
        before, topic.overrides = topic.overrides, dict(overrides)
        try:
            self._journal.append(_record(topic))
        except OSError:
            topic.overrides = before
            raise
        topic.config = config
        for partition in topic.partitions:
            partition.log.config = config

    def empty_trash(self) -> None:
        """Remove the files of deleted topics."""
        for path in self._trash.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Close all partitions, so that the next start is fast."""
        for partition in self.partitions():
            partition.close()
        self._journal.close()

    def _require(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise TopicError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Topic '{name}' does not exist."
            )
        return topic

    def _parse(self, overrides: Mapping[str, str]) -> TopicConfig:
        try:
            return parse_topic_config(overrides, self.defaults)
        except ConfigError as error:
            raise TopicError(ErrorCode.INVALID_CONFIG, str(error)) from None

    def _make(self, name: str, topic_id: uuid.UUID, overrides: dict[str, str]) -> Topic:
        return Topic(name, topic_id, [], overrides, self._parse(overrides))

    def _add_partitions(self, topic: Topic, count: int) -> None:
        for index in range(len(topic.partitions), count):
            directory = self._directory / f"{topic.name}-{index}"
            partition = Partition(topic.name, index, directory, topic.config, self._on_append)
            partition.open()
            topic.partitions.append(partition)

    def _on_append(self, partition: Partition, segment: Segment) -> None:
        self._flusher.add(segment, partition.fail)

    def _throw_away(self, path: Path) -> None:
        if path.exists():
            path.replace(self._trash / f"{path.name}.{uuid.uuid4().hex}")


def _record(topic: Topic) -> list[Any]:
    return ["topic", topic.name, str(topic.id), len(topic.partitions), topic.overrides]


def _log(reason: str) -> None:
    log.error("the catalogue of topics could not be synced: %s", reason)
