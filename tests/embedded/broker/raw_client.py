"""A client that says exactly what a test wants, by the broker's own declarations of the protocol.

Run against Apache Kafka, it shows that the declarations are right.
"""

from __future__ import annotations

import asyncio
import struct
import time
from typing import TYPE_CHECKING, Any, Self

from trackstream.embedded.broker.protocol.wire import Reader
from trackstream.embedded.broker.storage import batches

if TYPE_CHECKING:
    from trackstream.embedded.broker.protocol.api import Api


class RawClient:
    """One connection; requests may be sent without waiting for the answers before."""

    def __init__(self, bootstrap: str) -> None:
        self._host, _, port = bootstrap.rpartition(":")
        self._port = int(port)
        self._sent = 0

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)

    async def call(self, api: Api, version: int, **body: Any) -> dict[str, Any]:
        """Send a request and return its answer."""
        self.send(api, version, **body)
        return await self.receive(api, version)

    def send(self, api: Api, version: int, **body: Any) -> None:
        """Send a request."""
        self._sent += 1
        flexible = version >= api.flexible_since
        out = bytearray(struct.pack(">hhih", api.key, version, self._sent, 3) + b"raw")
        if flexible:
            out.append(0)
        api.request.writer(version, flexible=flexible)(out, body)
        self.writer.write(struct.pack(">i", len(out)) + out)

    async def receive(self, api: Api, version: int) -> dict[str, Any]:
        """Return the next answer."""
        frame = await self.receive_frame()
        flexible = version >= api.flexible_since
        reader = Reader(frame, 4)
        if flexible and api.key != 18:
            reader.skip_tags()
        answer: dict[str, Any] = api.response.reader(version, flexible=flexible)(reader)
        assert reader.remaining == 0
        return answer

    async def receive_frame(self) -> bytes:
        """Return the next answer as bytes, from its correlation id on."""
        (size,) = struct.unpack(">i", await self.reader.readexactly(4))
        return await self.reader.readexactly(size)


def batch(
    *values: bytes,
    producer: tuple[int, int] = (-1, -1),
    sequence: int = -1,
    attributes: int = 0,
    key: bytes | None = b"k",
    timestamp_ms: int | None = None,
) -> bytes:
    """Return a batch of records with these values, of now unless another time is given."""
    time_ms = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    return batches.build(
        [batches.encode_record(number, key, value) for number, value in enumerate(values)],
        attributes=attributes,
        base_timestamp=time_ms,
        max_timestamp=time_ms,
        producer_id=producer[0],
        producer_epoch=producer[1],
        base_sequence=sequence,
    )
