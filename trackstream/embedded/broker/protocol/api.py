"""One API of the protocol: its key, the versions that we speak, its request and response."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from trackstream.embedded.broker.protocol.wire import (
    LATEST,
    NULLABLE_STRING,
    Decoded,
    MalformedMessageError,
    Reader,
    ReadFunction,
    Struct,
    WriteFunction,
)

_HEADER = struct.Struct(">hhi")
_SIZE = struct.Struct(">i")
_read_client_id = NULLABLE_STRING.reader(0, flexible=False)


class RequestHeader(NamedTuple):
    """What precedes every request."""

    api_key: int
    version: int
    correlation_id: int
    client_id: str
    end: int
    """Where the header ends, before the tagged fields that flexible versions add."""


def read_header(frame: bytes) -> RequestHeader:
    """Read the header of a request, or raise `MalformedMessageError`."""
    if len(frame) < _HEADER.size:
        raise MalformedMessageError("request shorter than its header")
    api_key, version, correlation_id = _HEADER.unpack_from(frame)
    reader = Reader(frame, _HEADER.size)
    client_id = _read_client_id(reader) or ""
    return RequestHeader(api_key, version, correlation_id, client_id, reader.position)


@dataclass(frozen=True, slots=True)
class Api:
    """The layouts of one API.

    `oldest` and `newest` are the versions that we answer; `advertised_oldest` is what ApiVersions
    says, where clients need to hear of versions that they will not use.
    """

    key: int
    name: str
    oldest: int
    newest: int
    request: Struct
    response: Struct
    flexible_since: int = LATEST
    advertised_oldest: int | None = None
    _readers: dict[int, ReadFunction] = field(default_factory=dict)
    _writers: dict[int, WriteFunction] = field(default_factory=dict)

    def supports(self, version: int) -> bool:
        """Whether we answer this version."""
        return self.oldest <= version <= self.newest

    def decode_request(self, version: int, frame: bytes, position: int) -> Decoded:
        """Decode the body that starts behind the header's client id.

        Raises:
            MalformedMessageError: the bytes are no such request.
        """
        flexible = version >= self.flexible_since
        read = self._readers.get(version)
        if read is None:
            read = self._readers[version] = self.request.reader(version, flexible=flexible)
        reader = Reader(frame, position)
        if flexible:
            reader.skip_tags()
        decoded: Decoded = read(reader)
        return decoded

    def encode_response(self, version: int, correlation_id: int, body: Decoded) -> bytearray:
        """Encode a whole response, with its size before it."""
        flexible = version >= self.flexible_since
        write = self._writers.get(version)
        if write is None:
            write = self._writers[version] = self.response.writer(version, flexible=flexible)
        out = bytearray(4)
        out += _SIZE.pack(correlation_id)
        # ApiVersions keeps the old response header: its caller does not know our versions yet.
        if flexible and self.key != 18:
            out.append(0)
        write(out, body)
        _SIZE.pack_into(out, 0, len(out) - 4)
        return out
