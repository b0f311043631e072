"""Records survive the wire; broken bytes are told, whatever they are."""

from __future__ import annotations

import struct
import typing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import schemas
from trackstream.codec import UndecodableError, decode, encode
from trackstream.core import records

KINDS = [getattr(records, one.record) for one in schemas.load().schemas]


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(codec="utf-8"), max_size=8),
    bytes: st.binary(max_size=8),
    bool: st.booleans(),
    int: st.integers(-(2**31), 2**31 - 1),
    float: st.floats(allow_nan=False),
    type(None): st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    if kind in PLAIN:
        return PLAIN[kind]
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return st.lists(values(inside[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(values(inside[0]), values(inside[1]), max_size=2)
    if inside:
        return st.one_of([values(one) for one in inside])
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: values(hint) for name, hint in hints.items()})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_encoded_is_decoded(kind: type[records.Record], data: st.DataObject) -> None:
    one = data.draw(values(kind))
    assert decode(encode(one)) == one


TICK = encode(records.Tick(at_ms=1))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "shorter than its header"),
        (b"", "shorter than its header"),
        (b"\x00\x00", "shorter than its header"),
        (b"\x01" + TICK[1:], "not in Confluent framing"),
        (struct.pack(">bI", 0, 4_000_000_000) + TICK[5:], "not in the manifest"),
        (TICK[:-1], "broken Tick"),
        (TICK + b"x", "1 bytes after the record"),
    ],
)
def test_broken_bytes_are_told(data: bytes | None, said: str) -> None:
    with pytest.raises(UndecodableError, match=said):
        decode(data)


@given(st.sampled_from([one.id for one in schemas.load().schemas]), st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(schema_id: int, body: bytes) -> None:
    try:
        decode(struct.pack(">bI", 0, schema_id) + body)
    except UndecodableError:
        return
