"""State as bytes: one version byte, then msgpack. Registered with Faust as a codec per table."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from faust.serializers import codecs

__all__ = ["StateCodec", "UnknownStateVersionError"]

S = TypeVar("S", bound=msgspec.Struct)


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
        self._prefix = bytes((version,))
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(state_type)

    def encode(self, state: S) -> bytes:
        """The version byte and the state."""
        return self._prefix + self._encoder.encode(state)

    def decode(self, data: bytes) -> S:
        """The state.

        Raises:
            UnknownStateVersionError: Another version byte than ours.
        """
        if not data or data[0] != self._version:
            raise UnknownStateVersionError(
                f"state of version {data[0] if data else None}; this program reads {self._version}"
            )
        return self._decoder.decode(memoryview(data)[1:])

    def register(self, name: str) -> str:
        """Make it known to Faust, as the serializer `name`; returns the name."""
        codecs.register(name, self)
        return name

    def _dumps(self, s: Any) -> bytes:
        return self.encode(s)

    def _loads(self, s: bytes) -> Any:
        return self.decode(s)
