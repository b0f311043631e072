"""Events as Arrow tables: the Avro schema's types, and two columns that say where one was read.

- `timestamp-millis` is `timestamp[ms, UTC]`, and its name loses `_ms`;
- millionths of money are `decimal128(20, 6)`, and the name loses `_micros`;
- records are structs, lists lists, maps maps; what may be null in Avro may be null here.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trackstream.core.records import Event

__all__ = ["SCHEMA", "table"]

_PLAIN = {
    "string": pa.string(),
    "bytes": pa.binary(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
}
_MOMENT = pa.timestamp("ms", tz="UTC")
_MONEY = pa.decimal128(20, 6)


def _same(value: Any) -> Any:
    return value


def _money(micros: int) -> Decimal:
    return Decimal(micros).scaleb(-6)


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _mapped(avro: Any, name: str) -> tuple[str, Any, Callable[[Any], Any], bool]:
    """Column name, Arrow type, what makes a record's value one of it, and whether it may be null.

    Raises:
        TypeError: Something of Avro that no schema of ours has had so far.
    """
    if isinstance(avro, list):
        if len(avro) != 2 or avro[0] != "null":
            raise TypeError(f"{name}: no union but with null is mapped: {avro}")
        column, kind, convert, _ = _mapped(avro[1], name)
        return column, kind, _optional(convert), True
    if isinstance(avro, dict) and avro.get("logicalType") == "timestamp-millis":
        return name.removesuffix("_ms"), _MOMENT, _same, False
    if avro == "long" and name.endswith("_micros"):
        return name.removesuffix("_micros"), _MONEY, _money, False
    if isinstance(avro, str) and avro in _PLAIN:
        return name, _PLAIN[avro], _same, False
    if isinstance(avro, dict):
        kind, convert = _nested(avro, name)
        return name, kind, convert, False
    raise TypeError(f"{name}: the Avro type {avro} is not mapped")


def _nested(avro: dict[str, Any], name: str) -> tuple[Any, Callable[[Any], Any]]:
    match avro["type"]:
        case "record":
            inside = [(one["name"], *_mapped(one["type"], one["name"])) for one in avro["fields"]]
            fields = [pa.field(column, kind, null) for _, column, kind, _, null in inside]
            steps = [(column, attrgetter(of), to) for of, column, _, to, _ in inside]
            return pa.struct(fields), lambda record: {
                column: to(get(record)) for column, get, to in steps
            }
        case "array":
            _, kind, convert, null = _mapped(avro["items"], name)
            return pa.list_(pa.field("item", kind, null)), lambda values: [
                convert(one) for one in values
            ]
        case "map":
            _, kind, convert, null = _mapped(avro["values"], name)
            return pa.map_(pa.string(), pa.field("value", kind, null)), lambda values: [
                (key, convert(one)) for key, one in values.items()
            ]
        case other:
            raise TypeError(f"{name}: the Avro type {other} is not mapped")


_COLUMNS = [
    (one["name"], *_mapped(one["type"], one["name"]))
    for one in schemas.load().latest("Event").schema["fields"]
]

SCHEMA = pa.schema(
    [
        *(pa.field(column, kind, null) for _, column, kind, _, null in _COLUMNS),
        pa.field("log_partition", pa.int32(), nullable=False),
        pa.field("log_offset", pa.int64(), nullable=False),
    ]
)
"""Of every file. The last two columns say where in the topic the event is."""


def table(events: Sequence[Event], *, partition: int, offsets: Sequence[int]) -> Any:
    """The events as a `pyarrow.Table`, in their order; `offsets` are theirs, one each."""
    arrays = [
        pa.array([convert(getattr(event, name)) for event in events], kind)
        for name, _, kind, convert, _ in _COLUMNS
    ]
    arrays.append(pa.array([partition] * len(events), pa.int32()))
    arrays.append(pa.array(offsets, pa.int64()))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
