"""What we write is, byte for byte, what fastavro writes."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from trackstream import avro, codec
from trackstream.core import records

_NAMES = sorted({one.record for one in schemas.load().schemas})
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "string": _TEXT,
    "bytes": st.binary(max_size=20),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
}


def _values(  # noqa: PLR0911 - one for each kind of schema
    schema: Any, named: dict[str, Any]
) -> st.SearchStrategy[Any]:
    match schema:
        case str() if schema in _PRIMITIVES:
            return _PRIMITIVES[schema]
        case str():
            return _values(named[schema.rpartition(".")[2]], named)
        case list():
            return st.one_of(
                *(st.none() if one == "null" else _values(one, named) for one in schema)
            )
        case {"type": "record", "name": name, "fields": fields}:
            named[name.rpartition(".")[2]] = schema
            return st.fixed_dictionaries({f["name"]: _values(f["type"], named) for f in fields})
        case {"type": "array", "items": items}:
            return st.lists(_values(items, named), max_size=2)
        case {"type": "map", "values": values}:
            return st.dictionaries(_TEXT, _values(values, named), max_size=2)
        case {"type": str() as name}:
            return _PRIMITIVES[name]
    raise AssertionError(schema)


@pytest.mark.parametrize("name", _NAMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_record_is_written_as_fastavro_writes_it(name: str, data: st.DataObject) -> None:
    published = schemas.load().latest(name)
    plain = codec._without_logical_types(published.schema)
    value = data.draw(_values(plain, {}))
    record = msgspec.convert(value, getattr(records, name))
    expected = io.BytesIO()
    schemaless_writer(expected, parse_schema(plain), value)

    written = codec.encode(record)

    assert written[5:] == expected.getvalue()
    assert codec.decode(written) == record


@pytest.mark.parametrize("length", [0, 1, 31, 32, 4095, 4096, 8191, 8192, 100_000])
def test_lengths_of_every_size_are_written(length: int) -> None:
    out, expected = list[bytes](), io.BytesIO()
    schemaless_writer(expected, "string", "é" * length)

    avro.compiled("string")(out, "é" * length)

    assert b"".join(out) == expected.getvalue()


def test_what_does_not_fit_is_refused() -> None:
    for value in (2**63, -(2**63) - 1, 2**70):
        with pytest.raises(OverflowError):
            avro.compiled("long")([], value)
    tick = records.Tick(at_ms=None)  # type: ignore[arg-type] # that is the point
    with pytest.raises(TypeError):
        codec.encode(tick)
    for schema in (["string", "null"], {"type": "fixed", "size": 4, "name": "f"}, "nothing"):
        with pytest.raises(ValueError, match=r"cannot write|no type"):
            avro.compiled(schema)
