"""Records survive the wire; broken bytes are told, whatever they are."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from trackstream.codec import UndecodableError, decode, encode
from trackstream.core import records

KINDS = [getattr(records, one.record) for one in schemas.load().schemas]


def instances(kind: type[records.Record]) -> st.SearchStrategy[Any]:
    return st.builds(
        kind,
        **{
            field.name: st.from_type(field.type).filter(bounded)
            for field in msgspec.structs.fields(kind)
        },
    )


def bounded(value: object) -> bool:
    return not isinstance(value, float) or value == value  # noqa: PLR0124 - NaN is not itself


texts = st.text(st.characters(codec="utf-8"), max_size=8)
st.register_type_strategy(str, texts)
st.register_type_strategy(int, st.integers(-(2**31), 2**31 - 1))
st.register_type_strategy(float, st.floats(allow_nan=False))
for record in vars(records).values():
    if isinstance(record, type) and issubclass(record, records.Record):
        st.register_type_strategy(record, instances)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_what_is_encoded_is_decoded(kind: type[records.Record], data: st.DataObject) -> None:
    one = data.draw(instances(kind))
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
