"""Kafka's primitive types and the declaration of message layouts.

A layout is declared once, with the versions in which each field exists, and compiled per
version into a reader and a writer. Decoded messages are plain dicts; fields that a version
lacks have their default, so that handlers need not know versions. Encoding drops fields that
the version lacks and defaults those that the handler left out.

Source of the rules: https://kafka.apache.org/protocol (types) and KIP-482 (flexible versions:
compact lengths and tagged fields; we skip all tags that we read, and write none).
"""

from __future__ import annotations

import struct
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Decoded = dict[str, Any]
ReadFunction = Callable[["Reader"], Any]
WriteFunction = Callable[[bytearray, Any], None]

LATEST = 99
"""A version above all that exist: "still there"."""


class MalformedMessageError(ValueError):
    """The bytes do not have the layout that they claim to have."""


class Reader:
    """A cursor over one request. Every method raises `MalformedMessageError` at the end."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes | memoryview, position: int = 0) -> None:
        self.data = memoryview(data)
        self.position = position

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.position

    def fixed(self, layout: struct.Struct) -> Any:
        """Read one number of a fixed size."""
        try:
            (value,) = layout.unpack_from(self.data, self.position)
        except struct.error:
            raise MalformedMessageError("message ends inside a number") from None
        self.position += layout.size
        return value

    def uvarint(self) -> int:
        """Read an unsigned number of 7 bits a byte, at most five bytes."""
        value = 0
        for shift in range(0, 35, 7):
            if self.position >= len(self.data):
                raise MalformedMessageError("message ends inside a varint")
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise MalformedMessageError("varint longer than five bytes")

    def take(self, size: int) -> memoryview:
        """Read `size` bytes without copying them."""
        if size < 0 or size > self.remaining:
            raise MalformedMessageError("message ends inside a value")
        view = self.data[self.position : self.position + size]
        self.position += size
        return view

    def skip_tags(self) -> None:
        """Read over the tagged fields of a flexible structure."""
        for _ in range(self.uvarint()):
            self.uvarint()
            self.take(self.uvarint())


def write_uvarint(out: bytearray, value: int) -> None:
    """Append an unsigned number of 7 bits a byte."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


class WireType(ABC):
    """A type of the protocol: how it is read and written in one version."""

    default: Any = None

    @abstractmethod
    def reader(self, version: int, *, flexible: bool) -> ReadFunction:
        """Return the function that reads one value."""

    @abstractmethod
    def writer(self, version: int, *, flexible: bool) -> WriteFunction:
        """Return the function that appends one value."""


class _Number(WireType):
    def __init__(self, code: str, default: Any = 0) -> None:
        self._layout = struct.Struct(">" + code)
        self.default = default

    def reader(self, version: int, *, flexible: bool) -> ReadFunction:
        del version, flexible
        layout = self._layout
        return lambda reader: reader.fixed(layout)

    def writer(self, version: int, *, flexible: bool) -> WriteFunction:
        del version, flexible
        pack = self._layout.pack

        def write(out: bytearray, value: Any) -> None:
            out += pack(value)

        return write


class _Uuid(WireType):
    default = uuid.UUID(int=0)

    def reader(self, version: int, *, flexible: bool) -> ReadFunction:
        del version, flexible
        return lambda reader: uuid.UUID(bytes=bytes(reader.take(16)))

    def writer(self, version: int, *, flexible: bool) -> WriteFunction:
        del version, flexible

        def write(out: bytearray, value: uuid.UUID) -> None:
            out += value.bytes

        return write


_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")


def _length_reader(prefix: struct.Struct, *, flexible: bool) -> ReadFunction:
    """Lengths: -1 is null; flexible versions write length + 1, with 0 for null."""
    if flexible:
        return lambda reader: reader.uvarint() - 1
    return lambda reader: reader.fixed(prefix)


def _length_writer(prefix: struct.Struct, *, flexible: bool) -> WriteFunction:
    if flexible:
        return lambda out, length: write_uvarint(out, length + 1)

    def write(out: bytearray, length: int) -> None:
        out += prefix.pack(length)

    return write


class _Sized(WireType):
    """Text or bytes behind a length; `data` values are read as views on the request."""

    def __init__(self, prefix: struct.Struct, *, text: bool, nullable: bool) -> None:
        self._prefix = prefix
        self._text = text
        self._nullable = nullable
        self.default = None if nullable else "" if text else b""

    def reader(self, version: int, *, flexible: bool) -> ReadFunction:
        del version
        read_length = _length_reader(self._prefix, flexible=flexible)
        text, nullable = self._text, self._nullable

        def read(reader: Reader) -> Any:
            length = read_length(reader)
            if length == -1 and nullable:
                return None
            view = reader.take(length)
            if not text:
                return view
            try:
                return str(view, "utf-8")
            except UnicodeDecodeError:
                raise MalformedMessageError("text is not UTF-8") from None

        return read

    def writer(self, version: int, *, flexible: bool) -> WriteFunction:
        del version
        write_length = _length_writer(self._prefix, flexible=flexible)

        def write(out: bytearray, value: Any) -> None:
            if value is None:
                write_length(out, -1)
                return
            data = value.encode() if isinstance(value, str) else value
            write_length(out, len(data))
            out += data

        return write


INT8 = _Number("b")
INT16 = _Number("h")
INT32 = _Number("i")
INT64 = _Number("q")
BOOL = _Number("?", default=False)
UUID = _Uuid()
STRING = _Sized(_INT16, text=True, nullable=False)
NULLABLE_STRING = _Sized(_INT16, text=True, nullable=True)
BYTES = _Sized(_INT32, text=False, nullable=False)
NULLABLE_BYTES = _Sized(_INT32, text=False, nullable=True)


class Array(WireType):
    """A list of one type, or of a structure given by its fields."""

    def __init__(self, *of: WireType | Field, nullable: bool = False) -> None:
        first = of[0]
        self._of: WireType = first if isinstance(first, WireType) else Struct(*of)
        self._nullable = nullable
        self.default = None if nullable else ()

    def reader(self, version: int, *, flexible: bool) -> ReadFunction:
        """See `WireType`."""
        read_length = _length_reader(_INT32, flexible=flexible)
        read_item = self._of.reader(version, flexible=flexible)
        nullable = self._nullable

        def read(reader: Reader) -> Any:
            length = read_length(reader)
            if length == -1 and nullable:
                return None
            # Every item takes a byte at least: a larger count is a lie, not a reason to loop.
            if length < 0 or length > reader.remaining:
                raise MalformedMessageError("array longer than its message")
            return [read_item(reader) for _ in range(length)]

        return read

    def writer(self, version: int, *, flexible: bool) -> WriteFunction:
        """See `WireType`."""
        write_length = _length_writer(_INT32, flexible=flexible)
        write_item = self._of.writer(version, flexible=flexible)

        def write(out: bytearray, value: Any) -> None:
            if value is None:
                write_length(out, -1)
                return
            write_length(out, len(value))
            for item in value:
                write_item(out, item)

        return write


_TYPE_DEFAULT = object()


@dataclass(frozen=True, slots=True)
class Field:
    """A named value of a structure, present in the versions `since` to `until`."""

    name: str
    type: WireType
    since: int = 0
    until: int = LATEST
    default: Any = _TYPE_DEFAULT

    @property
    def fallback(self) -> Any:
        """The value where a version or a handler has none."""
        return self.type.default if self.default is _TYPE_DEFAULT else self.default

    def present(self, version: int) -> bool:
        """Whether `version` has this field."""
        return self.since <= version <= self.until


class Struct(WireType):
    """Fields in the order of the wire."""

    def __init__(self, *fields: WireType | Field) -> None:
        self._fields = [field for field in fields if isinstance(field, Field)]

    def reader(self, version: int, *, flexible: bool) -> ReadFunction:
        """See `WireType`."""
        present = [
            (field.name, field.type.reader(version, flexible=flexible))
            for field in self._fields
            if field.present(version)
        ]
        absent = {
            field.name: field.fallback for field in self._fields if not field.present(version)
        }

        def read(reader: Reader) -> Decoded:
            value = {name: read_field(reader) for name, read_field in present}
            value.update(absent)
            if flexible:
                reader.skip_tags()
            return value

        return read

    def writer(self, version: int, *, flexible: bool) -> WriteFunction:
        """See `WireType`."""
        present = [
            (field.name, field.fallback, field.type.writer(version, flexible=flexible))
            for field in self._fields
            if field.present(version)
        ]

        def write(out: bytearray, value: Decoded) -> None:
            for name, fallback, write_field in present:
                write_field(out, value.get(name, fallback))
            if flexible:
                out.append(0)

        return write
