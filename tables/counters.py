"""Counters: rows that a message changes once, however often it is replayed.

They are partial per partition: a row is in the partition of the message that was counted, and
readers add up all partitions. A row has one writer, the agent of one topic, so that the offset in
it says which messages it has counted.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec.structs import astuple

from tables.store import NotOwnedError
from trackstream.core.money import within_64_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tables.base import StateTable

__all__ = ["add", "plus", "rows_here", "sum_of"]

R = TypeVar("R")
S = TypeVar("S", bound=msgspec.Struct)


def plus(row: S, change: S) -> S:
    """Both together, numbers and maps of numbers alike; `applied` is the row's.

    Sums stay at the bounds of 64 bits, see `within_64_bits`.
    """
    return _together(row, change, row.applied)  # type: ignore[attr-defined] # every counter has it


def add(row: S | None, change: S, *, offset: int) -> S:
    """The row with a change counted, unless the message at `offset` was counted before."""
    old = row if row is not None else type(change)()
    applied: int = old.applied  # type: ignore[attr-defined] # every counter has it
    return old if offset <= applied else _together(old, change, offset)


def rows_here(table: StateTable[Any], rows_of: Callable[[int], Iterable[R]]) -> list[R]:
    """Rows of every partition that is on this worker; the other workers have the others'."""
    found: list[R] = []
    for partition in table.store.open_partitions():
        # One that has just gone to another worker is counted there.
        with suppress(NotOwnedError):
            found += list(rows_of(partition))
    return found


def sum_of(kind: type[S], rows: Iterable[S]) -> S:
    """All together."""
    found = kind()
    for row in rows:
        found = plus(found, row)
    return found


def _together(row: S, change: S, applied: int) -> S:
    fields = zip(row.__struct_fields__, astuple(row), astuple(change), strict=True)
    return type(row)(
        *[
            applied
            if name == "applied"
            else (a if not b else _sum(a, b))  # most changes are of one field or two
            for name, a, b in fields
        ]
    )


def _sum(a: Any, b: Any) -> Any:
    if not isinstance(a, dict):
        return within_64_bits(a + b)
    both = dict(a)
    for name, number in b.items():
        both[name] = within_64_bits(both.get(name, 0) + number)
    return {name: number for name, number in both.items() if number}
