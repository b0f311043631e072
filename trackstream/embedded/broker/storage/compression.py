"""The codecs of record batches, as far as this Python has them.

gzip is always there; snappy, lz4 and zstd where `cramjam` is installed. The broker needs them
only to look inside batches (compaction, lookups by timestamp); it stores and serves any batch.
"""

from __future__ import annotations

import zlib
from enum import IntEnum

from aiokafka import codec as aiokafka_codec

MAX_INFLATED_BYTES = 256 * 1024 * 1024
"""What one gzip batch may grow to: beyond, it is an attack, not a batch."""


class Codec(IntEnum):
    """The lowest three bits of a batch's attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


class CompressionError(ValueError):
    """The payload is not of its codec, or grows beyond all bounds."""


def available(codec: int) -> bool:
    """Whether payloads of this codec can be read and written here."""
    if codec in {Codec.NONE, Codec.GZIP}:
        return True
    return codec in {Codec.SNAPPY, Codec.LZ4, Codec.ZSTD} and aiokafka_codec.has_zstd()


def decompress(codec: int, payload: bytes) -> bytes:
    """Return the records of a batch.

    Raises:
        CompressionError: not of this codec, too large, or the codec is not `available`.
    """
    try:
        if codec == Codec.NONE:
            return payload
        if codec == Codec.GZIP:
            return _inflate(payload)
        if codec == Codec.SNAPPY:
            return bytes(aiokafka_codec.snappy_decode(payload))
        if codec == Codec.LZ4:
            return bytes(aiokafka_codec.lz4_decode(payload))
        if codec == Codec.ZSTD:
            return bytes(aiokafka_codec.zstd_decode(payload))
    except CompressionError:
        raise
    except Exception as error:
        raise CompressionError(f"{Codec(codec).name.lower()}: {error}") from error
    raise CompressionError(f"unknown codec {codec}")


def compress(codec: int, records: bytes) -> bytes:
    """Return the payload of a batch whose codec is `available`."""
    if codec == Codec.GZIP:
        return bytes(aiokafka_codec.gzip_encode(records, compresslevel=6))
    if codec == Codec.SNAPPY:
        return bytes(aiokafka_codec.snappy_encode(records))
    if codec == Codec.LZ4:
        return bytes(aiokafka_codec.lz4_encode(records))
    if codec == Codec.ZSTD:
        return bytes(aiokafka_codec.zstd_encode(records))
    return records


def _inflate(payload: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    records = inflater.decompress(payload, MAX_INFLATED_BYTES)
    if not inflater.eof:
        raise CompressionError("gzip: incomplete, or larger than a batch may be")
    return records
