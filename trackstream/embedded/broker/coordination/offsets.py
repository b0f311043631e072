"""The offsets that consumer groups committed: durable, by group, topic and partition."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from trackstream.embedded.broker.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

Place = tuple[str, int]
"""A topic and the number of a partition."""


class Committed(NamedTuple):
    """How far a group has come; `at_ms` is when it said so."""

    offset: int
    leader_epoch: int
    metadata: str
    at_ms: int


class Offsets:
    """All groups' offsets, in memory and in a journal.

    Every change is in the operating system's hands before it is seen; where the disk refuses,
    `OSError` is raised and nothing is changed.
    """

    def __init__(self, path: Path, on_append: Callable[[Journal], None]) -> None:
        self._groups: dict[str, dict[Place, Committed]] = {}
        self._journal = Journal(path, self._records, on_append)

    def open(self) -> None:
        """Read the journal."""
        for record in self._journal.load():
            match record:
                case ["commit", group, items]:
                    self._apply(group, [((t, p), Committed(*rest)) for t, p, *rest in items])
                case ["delete", group, places]:
                    self._remove(group, [(topic, partition) for topic, partition in places])

    def _records(self) -> Iterator[Any]:
        for group, offsets in self._groups.items():
            yield ["commit", group, [[*place, *committed] for place, committed in offsets.items()]]

    def groups(self) -> list[str]:
        """Return the groups that have offsets."""
        return list(self._groups)

    def of(self, group: str) -> dict[Place, Committed]:
        """Return a group's offsets; not to be changed."""
        return self._groups.get(group, {})

    def commit(self, group: str, items: Iterable[tuple[Place, Committed]]) -> None:
        """Store offsets of one group, all of them or none."""
        kept = list(items)
        if kept:
            self._journal.append(
                ["commit", group, [[*place, *committed] for place, committed in kept]]
            )
            self._apply(group, kept)

    def delete(self, group: str, places: Iterable[Place]) -> None:
        """Forget offsets of one group."""
        known = self.of(group)
        gone = [place for place in places if place in known]
        if gone:
            self._journal.append(["delete", group, gone])
            self._remove(group, gone)

    def delete_group(self, group: str) -> None:
        """Forget all offsets of a group."""
        self.delete(group, list(self.of(group)))

    def delete_topic(self, topic: str) -> None:
        """Forget all offsets in a topic that is deleted."""
        for group in self.groups():
            self.delete(group, [place for place in self.of(group) if place[0] == topic])

    def newest_commit_ms(self, group: str) -> int:
        """Return when a group last committed, or 0."""
        return max((committed.at_ms for committed in self.of(group).values()), default=0)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _apply(self, group: str, items: list[tuple[Place, Committed]]) -> None:
        self._groups.setdefault(group, {}).update(items)

    def _remove(self, group: str, places: list[Place]) -> None:
        offsets = self._groups.get(group, {})
        for place in places:
            offsets.pop(place, None)
        if not offsets:
            self._groups.pop(group, None)
