"""What fastavro writes is read, and what no schema of ours has yet, too; what is broken is told."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from trackstream import avro_reading


class _Inner(msgspec.Struct):
    text: str


class _Kept(msgspec.Struct):
    name: str
    inner: _Inner | None = None
    word: str | None = "as before"
    count: int | None = 7
    added: float = 0.5


_CLASSES: dict[str, type[msgspec.Struct]] = {"Kept": _Kept, "Inner": _Inner}
_INNER = {"type": "record", "name": "a.Inner", "fields": [{"name": "text", "type": "string"}]}
_SCHEMA = {
    "type": "record",
    "name": "a.Kept",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "gone", "type": "string"},
        {"name": "inner", "type": ["null", _INNER]},
        {"name": "gone_too", "type": {"type": "map", "values": "a.Inner"}},
        {"name": "word", "type": ["null", "string"]},
        {"name": "count", "type": ["null", "long"]},
    ],
}


def _written(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(schema), value)
    return out.getvalue()


def test_a_class_that_differs_from_the_schema_has_its_defaults_and_drops_the_rest() -> None:
    read = avro_reading.compiled(_SCHEMA, _CLASSES)
    value: dict[str, Any] = {
        "name": "n",
        "gone": "g",
        "inner": {"text": "t"},
        "gone_too": {"a": {"text": "b"}},
        "word": None,
        "count": None,
    }
    data = _written(_SCHEMA, value)

    # Null is what was written: it is no reason for the class's own default.
    assert read(data, 0) == (_Kept("n", _Inner("t"), None, None, 0.5), len(data))


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=3))
def test_every_number_is_read_where_it_stands(number: int, before: bytes) -> None:
    data = before + _written("long", number)

    assert avro_reading.compiled("long", {})(data, len(before)) == (number, len(data))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9)))
def test_blocks_that_say_their_size_are_read(texts: list[str]) -> None:
    items = [_written("string", one) for one in texts]
    blocks = b"".join(_written("long", -1) + _written("long", len(one)) + one for one in items)
    array = {"type": "array", "items": "string"}

    assert avro_reading.compiled(array, {})(blocks + b"\x00", 0) == (texts, len(blocks) + 1)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 8191, 8192])
@pytest.mark.parametrize("schema", ["string", ["null", "string"]])
def test_texts_of_every_length_are_read(length: int, schema: Any) -> None:
    field = {"type": "record", "name": "Inner", "fields": [{"name": "text", "type": schema}]}
    data = _written(field, {"text": "x" * length})

    assert avro_reading.compiled(field, _CLASSES)(data, 0) == (_Inner("x" * length), len(data))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("float", 0.5),
        (["null", "double"], 0.1),
        (["null", "double"], None),
        ("boolean", False),
        (["null", "boolean"], True),
        ("bytes", b"\x00"),
        ({"type": "map", "values": "long"}, {"a": 1, "b": -1}),
    ],
)
def test_values_of_other_types_are_read(schema: Any, value: Any) -> None:
    data = _written(schema, value)

    assert avro_reading.compiled(schema, {})(data, 0) == (value, len(data))


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ("long", b"\xff" * 11),  # without end
        ("long", b"\x80" * 10 + b"\x01"),  # more than 64 bits
        ("string", b"\x01"),  # a length of -1, which would be read again and again
        (_INNER, b"\x01"),
        (["null", "string"], b"\x04\x00"),  # a branch that is not there
        ({**_INNER, "fields": [{"name": "text", "type": ["null", "string"]}]}, b"\x04\x02a"),
        ({**_INNER, "fields": [{"name": "text", "type": ["null", "long"]}]}, b"\x04\x02"),
        ({"type": "array", "items": "long"}, b"\x01\x01"),
        (_INNER, b"\x02\xff"),  # not UTF-8
    ],
)
def test_what_is_broken_is_refused(schema: Any, data: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        avro_reading.compiled(schema, _CLASSES)(data, 0)


def test_data_that_ends_too_soon_is_not_passed_by() -> None:
    read = avro_reading.compiled(_INNER, _CLASSES)

    assert read(b"\x06ab", 0)[1] > len(b"\x06ab")


@pytest.mark.parametrize(
    "schema", ["nothing", ["string", "null"], {"type": "fixed", "size": 4, "name": "f"}]
)
def test_a_schema_that_is_not_understood_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot read|no type"):
        avro_reading.compiled(schema, {})
