"""What a consumer is made of: plain functions that block, and know nothing of Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from trackstream.storage.errors import StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Claimed", "Message", "Partition", "Read", "Reading", "Steps", "Written"]

Partition = tuple[str, int]
"""Topic, with its prefix, and number."""

T = TypeVar("T")


class Message(NamedTuple):
    """A message as it was read."""

    topic: str
    partition: int
    offset: int
    value: bytes | None


class Read(NamedTuple):
    """What was read since the last time.

    Attributes:
        messages: Each once, in the order of offsets within a partition; there may be none.
        positions: For each partition that is ours, the offset up to which all is read that Kafka
            still has.
    """

    messages: list[Message]
    positions: Mapping[Partition, int]


class Claimed(NamedTuple):
    """A partition that is ours from now on.

    Attributes:
        read_from: The offset to go on from.
        written_to: The offset after all that was ever written.
    """

    read_from: int
    written_to: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Written(Generic[T]):
    """What became of something that was to be written.

    Attributes:
        next_offsets: By partition, up to which offset all is durable.
        instead: To be written now, before anything else: what it was divided into.
    """

    next_offsets: Mapping[Partition, int] = field(default_factory=dict)
    instead: Sequence[T] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What is read, and how much of it at once.

    Attributes:
        name: Of the consumer, as logs say it.
        group: Its group in an installation with the default prefix.
        topics: Without the prefix.
        most_messages: In one `Read`.
        gather_s: For how long messages wait for others, before they are prepared.
    """

    name: str
    group: str
    topics: tuple[str, ...]
    most_messages: int = 5000
    gather_s: float = 0.25


def _is_away(error: Exception) -> bool:
    return isinstance(error, StorageUnavailableError)


def _begin_anew(_: Partition, __: int, ___: int) -> None:
    """Effects are known by their ids: reading a topic from its start repeats nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps(Generic[T]):
    """What one membership in the group does; each is called in a thread, while the loop goes on.

    `claim` and `write` may be called again with the same arguments, and have to bear that; neither
    is called while the other, or itself, is under way. `prepare` is called beside `write`, so the
    two share nothing but what is handed over.

    Attributes:
        claim: Take partitions over: those that were ours before are not any more, and what was
            prepared and not written is void.
        prepare: Make of what was read things to be written, in this order; also called every now
            and then when nothing was read.
        write: Write one of these, and how far that is, in one step. Raises WriterFencedError if a
            partition has another owner now.
        rest: What is left to be written at the end.
        is_away: Whether an error of `claim` or `write` says that trying again may help.
        made_anew: Told of a partition that has fewer messages (up to the third argument) than were
            written of it (the second). It is read from its start, unless this raises.
        close: Called once, at the end of the membership.
        status: What was done so far, for the log.
    """

    claim: Callable[[Sequence[Partition]], Mapping[Partition, Claimed]]
    prepare: Callable[[Read], Sequence[T]]
    write: Callable[[T], Written[T]]
    rest: Callable[[], Sequence[T]] = tuple
    is_away: Callable[[Exception], bool] = _is_away
    made_anew: Callable[[Partition, int, int], None] = _begin_anew
    close: Callable[[], None] = lambda: None
    status: Callable[[], str] | None = None
