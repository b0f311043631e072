"""Avro's binary encoding, read straight into our structs: what `trackstream.avro` writes.

fastavro reads a record into a dict, looking up what each field is as it goes; converting that makes
the struct. Here that is known beforehand, and what is absent, as most fields are, costs a look at a
byte. What is broken raises some exception, or ends beyond the data: the caller compares.
Source: Apache Avro 1.11 specification, "Binary Encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

__all__ = ["Read", "compiled"]

Read = Callable[[bytes, int], tuple[Any, int]]
"""Reads a value that begins there; where the next begins."""
Classes = Mapping[str, type[msgspec.Struct]]
_Take = Callable[[dict[str, Any], tuple[str, ...], Read, bytes, int], int]
"""Reads values of fields of these names that follow each other; where the next field begins."""

_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")
_LONGEST_BITS = 70
_ABSENT, _PRESENT = 0, 2
"""Numbers of a union's branches."""
_SHORT = tuple(None if byte & 0x81 else byte >> 1 for byte in range(256))
"""Lengths of a byte; None: it is not the only one, or the length is negative."""


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first, then zigzag."""
    byte = data[at]
    at += 1
    value = byte & 0x7F
    bits = 7
    while byte > 0x7F:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << bits
        bits += 7
    if bits > _LONGEST_BITS:
        raise ValueError("a number of more than 64 bits")
    return (value >> 1) ^ -(value & 1), at


def _length(data: bytes, at: int) -> tuple[int, int]:
    length, at = _long(data, at)
    if length < 0:
        raise ValueError(f"a length of {length}")
    return length, at


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _length(data, at)
    end = at + length
    return data[at:end], end


def _string(data: bytes, at: int) -> tuple[str, int]:
    value, at = _bytes(data, at)
    return value.decode(), at


def _boolean(data: bytes, at: int) -> tuple[bool, int]:
    return data[at] != 0, at + 1


def _double(data: bytes, at: int) -> tuple[float, int]:
    return _DOUBLE.unpack_from(data, at)[0], at + _DOUBLE.size


def _float(data: bytes, at: int) -> tuple[float, int]:
    return _FLOAT.unpack_from(data, at)[0], at + _FLOAT.size


_PRIMITIVES: dict[str, Read] = {
    "boolean": _boolean,
    "int": _long,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _string,
}


def compiled(schema: Any, classes: Classes) -> Read:
    """A function that reads a value of this schema from bytes that begin somewhere.

    Args:
        schema: An Avro schema as parsed JSON; unions must be of null, which comes first, and one
            other type.
        classes: What records are read into, by their names without namespaces. What the schema
            does not have keeps its default; what the class does not have is dropped.

    Raises:
        ValueError: The schema uses something else.
    """
    return _compile(schema, classes, {})


def _compile(schema: Any, classes: Classes, named: dict[str, Read]) -> Read:
    match schema:
        case str():
            known = _PRIMITIVES.get(schema) or named.get(schema.rpartition(".")[2])
            if known is None:
                raise ValueError(f"no type {schema!r}")
            return known
        case ["null", other]:
            return _optional(_compile(other, classes, named))
        case {"type": "record"}:
            name = schema["name"].rpartition(".")[2]
            read = _record(schema["fields"], classes[name], classes, named)
            named[name] = read
            return read
        case {"type": "array", "items": items}:
            return _array(_compile(items, classes, named))
        case {"type": "map", "values": values}:
            return _map(_compile(values, classes, named))
        case {"type": str() as name} if name in _PRIMITIVES:
            return _PRIMITIVES[name]
        case _:
            raise ValueError(f"cannot read {schema!r}")


def _optional(inner: Read) -> Read:
    def read(data: bytes, at: int) -> tuple[Any, int]:
        branch = data[at]
        if branch == _ABSENT:
            return None, at + 1
        if branch != _PRESENT:
            raise _no_branch(branch)
        return inner(data, at + 1)

    return read


def _no_branch(branch: int) -> ValueError:
    return ValueError(f"no such branch of a union: {branch}")


def _record(
    fields: list[dict[str, Any]],
    cls: type[msgspec.Struct],
    classes: Classes,
    named: dict[str, Read],
) -> Read:
    """Fields of the same kind that follow each other are read together."""
    defaults = {one.name: one.default for one in msgspec.structs.fields(cls)}
    steps = [(*_step(one["type"], classes, named), one["name"]) for one in fields]
    runs = tuple(
        (take, inner, tuple(name for _, _, name in run))
        for (take, inner), run in groupby(steps, key=itemgetter(0, 1))
    )
    # What is absent is left to the class, unless that has something else for it.
    always = {
        name: None
        for take, _, name in steps
        if take in {_optional_texts, _optional_values} and defaults.get(name) is not None
    }
    dropped = [name for _, _, name in steps if name not in defaults]

    def read(data: bytes, at: int) -> tuple[Any, int]:
        found: dict[str, Any] = always.copy()
        for take, inner, names in runs:
            at = take(found, names, inner, data, at)
        for name in dropped:
            found.pop(name, None)
        return cls(**found), at

    return read


def _step(schema: Any, classes: Classes, named: dict[str, Read]) -> tuple[_Take, Read]:
    """How fields of this type are taken, and how such a value is read."""
    match schema:
        case "string":
            return _texts, _string
        case ["null", "string"]:
            return _optional_texts, _string
        case ["null", other]:
            return _optional_values, _compile(other, classes, named)
        case other:
            return _values, _compile(other, classes, named)


def _texts(found: dict[str, Any], names: tuple[str, ...], _: Read, data: bytes, at: int) -> int:
    for name in names:
        length = _SHORT[data[at]]
        at += 1
        if length is None:
            length, at = _length(data, at - 1)
        end = at + length
        found[name] = data[at:end].decode()
        at = end
    return at


def _optional_texts(
    found: dict[str, Any], names: tuple[str, ...], _: Read, data: bytes, at: int
) -> int:
    for name in names:
        branch = data[at]
        at += 1
        if branch == _ABSENT:
            continue
        if branch != _PRESENT:
            raise _no_branch(branch)
        length = _SHORT[data[at]]
        at += 1
        if length is None:
            length, at = _length(data, at - 1)
        end = at + length
        found[name] = data[at:end].decode()
        at = end
    return at


def _values(
    found: dict[str, Any], names: tuple[str, ...], inner: Read, data: bytes, at: int
) -> int:
    for name in names:
        found[name], at = inner(data, at)
    return at


def _optional_values(
    found: dict[str, Any], names: tuple[str, ...], inner: Read, data: bytes, at: int
) -> int:
    for name in names:
        branch = data[at]
        at += 1
        if branch == _PRESENT:
            found[name], at = inner(data, at)
        elif branch != _ABSENT:
            raise _no_branch(branch)
    return at


def _array(inner: Read) -> Read:
    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        count, at = _count(data, at)
        while count:
            for _ in range(count):
                one, at = inner(data, at)
                found.append(one)
            count, at = _count(data, at)
        return found, at

    return read


def _map(inner: Read) -> Read:
    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        count, at = _count(data, at)
        while count:
            for _ in range(count):
                key, at = _string(data, at)
                found[key], at = inner(data, at)
            count, at = _count(data, at)
        return found, at

    return read


def _count(data: bytes, at: int) -> tuple[int, int]:
    """How many a block has; a negative number is followed by the block's size in bytes."""
    count, at = _long(data, at)
    if count >= 0:
        return count, at
    _, at = _length(data, at)
    return -count, at
