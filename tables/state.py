"""State as bytes: version, day of writing, msgpack. Registered with Faust as a codec per table."""

from __future__ import annotations

import time
from typing import Any, Generic, TypeVar

import msgspec
from faust.serializers import codecs

__all__ = ["StateCodec", "UnknownStateVersionError", "today", "written_day"]

S = TypeVar("S", bound=msgspec.Struct)

_DAY_S = 86_400
_HEADER_BYTES = 3


def today() -> int:
    """Days since 1970, by this machine's clock."""
    return int(time.time()) // _DAY_S


def written_day(data: bytes) -> int:
    """The day on which a state's bytes were made, told without decoding it."""
    return int.from_bytes(data[1:_HEADER_BYTES])


class UnknownStateVersionError(ValueError):
    """State written by another version of the program, which this one cannot read."""


class StateCodec(codecs.Codec, Generic[S]):
    """Between a table's state and its bytes, in the changelog and in RocksDB alike.

    Args:
        state_type: The class of the state.
        version: Written before each value; counted up when the class changes in a way that
            msgpack does not absorb (fields are only ever appended, with defaults).
    """

    def __init__(self, state_type: type[S], version: int) -> None:
        super().__init__(state_type=state_type, version=version)
        self._version = version
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(state_type)

    def encode(self, state: S) -> bytes:
        """The version, two bytes of today, so that what is old can be forgotten, and the state."""
        return bytes((self._version, *today().to_bytes(2))) + self._encoder.encode(state)

    def decode(self, data: bytes) -> S:
        """The state.

        Raises:
            UnknownStateVersionError: Another version byte than ours.
        """
        if not data or data[0] != self._version:
            raise UnknownStateVersionError(
                f"state of version {data[0] if data else None}; this program reads {self._version}"
            )
        return self._decoder.decode(memoryview(data)[_HEADER_BYTES:])

    def register(self, name: str) -> str:
        """Make it known to Faust, as the serializer `name`; returns the name."""
        codecs.register(name, self)
        return name

    def _dumps(self, s: Any) -> bytes:
        return self.encode(s)

    def _loads(self, s: bytes) -> Any:
        return self.decode(s)
