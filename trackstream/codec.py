"""Records to bytes and back: Avro in Confluent framing (0x00, four-byte schema id, body).

Source: Confluent Schema Registry, "Wire format". Logical types are left out of the schemas used
here: times stay integers, which is what the core works with and what makes this fast; readers
elsewhere get the schemas as published, logical types included.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import msgspec
from fastavro import parse_schema, schemaless_reader

import schemas
from trackstream.avro import compiled
from trackstream.core import records
from trackstream.outlines import Outlines

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UndecodableError", "decode", "encode", "outlines"]

_HEADER = struct.Struct(">bI")
_MAGIC = 0


class UndecodableError(ValueError):
    """The bytes are not one of our records: wrong framing, unknown schema id, or a broken body."""


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        if "logicalType" in schema:
            return schema["type"]
        return {key: _without_logical_types(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_without_logical_types(one) for one in schema]
    return schema


_PARSED: dict[int, tuple[type[records.Record], Any]] = {
    one.id: (getattr(records, one.record), parse_schema(_without_logical_types(one.schema)))
    for one in schemas.load().schemas
}
_NEWEST = [schemas.load().latest(name) for name in {one.record for one in schemas.load().schemas}]
_BODIES = {getattr(records, one.record): _without_logical_types(one.schema) for one in _NEWEST}
_HEADERS = {getattr(records, one.record): _HEADER.pack(_MAGIC, one.id) for one in _NEWEST}
_WRITERS = {cls: (_HEADERS[cls], compiled(schema)) for cls, schema in _BODIES.items()}
"""By class: the header, and what writes the body."""


def encode(record: records.Record) -> bytes:
    """The record as framed Avro. Raises KeyError for a class that has no schema of its own."""
    header, write = _WRITERS[type(record)]
    out = [header]
    write(out, record)
    return b"".join(out)


def outlines(cls: type[records.Record], gaps: Sequence[str]) -> Outlines:
    """What encodes records of this class that are alike but for these fields; see `Outlines`."""
    return Outlines(_BODIES[cls], gaps, header=_HEADERS[cls])


def decode(data: bytes | None) -> records.Record:
    """The record in these bytes, of whichever class its schema id names.

    Raises:
        UndecodableError: no bytes, wrong framing, unknown schema id, truncated or trailing bytes.
    """
    if data is None or len(data) < _HEADER.size:
        raise UndecodableError("no record: shorter than its header")
    magic, schema_id = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise UndecodableError(f"not in Confluent framing: first byte is {magic}")
    if schema_id not in _PARSED:
        raise UndecodableError(f"schema id {schema_id} is not in the manifest")
    cls, schema = _PARSED[schema_id]
    body = io.BytesIO(data)
    body.seek(_HEADER.size)
    try:
        record = msgspec.convert(schemaless_reader(body, schema, None), cls)
    except Exception as error:  # fastavro raises many kinds on broken bytes
        raise UndecodableError(f"broken {cls.__name__}: {error}") from error
    if body.tell() != len(data):
        raise UndecodableError(f"{len(data) - body.tell()} bytes after the record")
    return record
