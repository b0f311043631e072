"""Counters: rows that a message changes once, however often it is replayed.

They are partial per partition: a row is in the partition of the message that was counted, and
readers add up all partitions. A row has one writer, the agent of one topic, so that the offset in
it says which messages it has counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["add", "plus", "sum_of"]

S = TypeVar("S", bound=msgspec.Struct)


def plus(row: S, change: S) -> S:
    """Both together, numbers and maps of numbers alike; `applied` is the row's."""
    return type(row)(
        *(
            mine if name == "applied" else _sum(mine, getattr(change, name))
            for name in row.__struct_fields__
            for mine in (getattr(row, name),)
        )
    )


def add(row: S | None, change: S, *, offset: int) -> S:
    """The row with a change counted, unless the message at `offset` was counted before."""
    old = row if row is not None else type(change)()
    applied: int = old.applied  # type: ignore[attr-defined] # every counter has it
    return old if offset <= applied else msgspec.structs.replace(plus(old, change), applied=offset)


def sum_of(kind: type[S], rows: Iterable[S]) -> S:
    """All together."""
    found = kind()
    for row in rows:
        found = plus(found, row)
    return found


def _sum(a: Any, b: Any) -> Any:
    if not isinstance(a, dict):
        return a + b
    both = dict(a)
    for name, number in b.items():
        both[name] = both.get(name, 0) + number
    return {name: number for name, number in both.items() if number}
