"""Record batches, format 2: read and check the header, walk the records, rebuild.

The header is fixed; `crc` covers everything from `attributes` on, so base offset and leader epoch
can be set without touching it. Layout: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.record.util import calc_crc32c

from trackstream.embedded.broker.storage import compression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_SIZE = _HEADER.size
LENGTH_PREFIX = 12
"""Bytes before those that a batch's length counts: base offset and the length itself."""

_CRC_START = 21
_OFFSET_AND_LENGTH = struct.Struct(">qi")
_PARTITION_LEADER_EPOCH = struct.Struct(">i")
_CONTROL_KEY = struct.Struct(">hh")

CODEC_MASK = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20

NO_PRODUCER = -1
ABORT_MARKER = 0
COMMIT_MARKER = 1


class CorruptBatchError(ValueError):
    """The bytes are no whole, undamaged batch."""


class UnsupportedFormatError(ValueError):
    """A message set of the formats before 2, which no client of ours writes."""


class BatchHeader(NamedTuple):
    """The fixed head of a batch, as it stands on disk."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.length + LENGTH_PREFIX

    @property
    def last_offset(self) -> int:
        """Offset of the last record that the batch had when it was written."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """The offset after the batch."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        """How the records are compressed."""
        return self.attributes & CODEC_MASK

    @property
    def is_transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        """Whether the batch is a transaction marker."""
        return bool(self.attributes & CONTROL)


class Record(NamedTuple):
    """One record inside a batch, with the slice of the inflated payload that is it."""

    raw: bytes
    offset_delta: int
    timestamp_delta: int
    key: bytes | None
    is_tombstone: bool


def parse_header(data: bytes | bytearray | memoryview, position: int = 0) -> BatchHeader:
    """Read the header at `position`.

    Raises:
        CorruptBatchError: there are too few bytes, or the fields cannot be.
        UnsupportedFormatError: the magic byte is of an older format.
    """
    try:
        header = BatchHeader._make(_HEADER.unpack_from(data, position))
    except struct.error:
        raise CorruptBatchError("shorter than a batch header") from None
    if header.magic in {0, 1}:
        raise UnsupportedFormatError(f"message format {header.magic}")
    if (
        header.magic != 2
        or header.size < HEADER_SIZE
        or header.last_offset_delta < 0
        or header.record_count < 0
        or header.base_offset < 0
    ):
        raise CorruptBatchError("impossible batch header")
    return header


def check_crc(batch: bytes | bytearray | memoryview, header: BatchHeader) -> None:
    """Raise `CorruptBatchError` unless `batch` is what its checksum says."""
    if len(batch) != header.size:
        raise CorruptBatchError("batch cut short")
    if calc_crc32c(memoryview(batch)[_CRC_START:]) != header.crc:
        raise CorruptBatchError("checksum differs")


def place(batch: bytearray, base_offset: int, leader_epoch: int) -> None:
    """Give a batch its offset in the log; the checksum stays as it is."""
    struct.pack_into(">q", batch, 0, base_offset)
    _PARTITION_LEADER_EPOCH.pack_into(batch, LENGTH_PREFIX, leader_epoch)


def stamp_append_time(batch: bytearray, header: BatchHeader, now_ms: int) -> None:
    """Make `now_ms` the time of all records (`message.timestamp.type=LogAppendTime`)."""
    struct.pack_into(">h", batch, 21, header.attributes | LOG_APPEND_TIME)
    struct.pack_into(">q", batch, 35, now_ms)
    struct.pack_into(">I", batch, 17, calc_crc32c(batch[_CRC_START:]))


def iterate_headers(
    data: bytes | memoryview, position: int = 0
) -> Iterator[tuple[int, BatchHeader]]:
    """Walk the whole batches in `data`: (position, header). A cut last batch ends the walk."""
    while position + HEADER_SIZE <= len(data):
        header = parse_header(data, position)
        if position + header.size > len(data):
            return
        yield position, header
        position += header.size


def records(batch: bytes | bytearray | memoryview, header: BatchHeader) -> Iterator[Record]:
    """Walk the records of one batch.

    Raises:
        CorruptBatchError: the payload is not `record_count` whole records.
        compression.CompressionError: the payload cannot be inflated.
    """
    payload = compression.decompress(header.codec, bytes(batch[HEADER_SIZE : header.size]))
    position = 0
    try:
        for _ in range(header.record_count):
            record, position = _record(payload, position)
            yield record
    except IndexError:
        raise CorruptBatchError("batch ends inside a record") from None
    if position != len(payload):
        raise CorruptBatchError("bytes behind the last record")


def _record(payload: bytes, start: int) -> tuple[Record, int]:
    length, position = _varint(payload, start)
    end = position + length
    if length < 0 or end > len(payload):
        raise CorruptBatchError("record longer than its batch")
    timestamp_delta, position = _varint(payload, position + 1)
    offset_delta, position = _varint(payload, position)
    key_length, position = _varint(payload, position)
    key = None
    if key_length >= 0:
        key = payload[position : position + key_length]
        position += key_length
    value_length, position = _varint(payload, position)
    if position + max(value_length, 0) > end:
        raise CorruptBatchError("value longer than its record")
    raw = payload[start:end]
    return Record(raw, offset_delta, timestamp_delta, key, value_length < 0), end


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a zigzag varint: (value, next position)."""
    byte = data[position]
    position += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), position
    value = byte & 0x7F
    shift = 7
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
        shift += 7
        if shift > 63:
            raise CorruptBatchError("number longer than 64 bits")


def write_varint(value: int) -> bytes:
    """Return the zigzag varint of a 64-bit number."""
    number = (value << 1) ^ (value >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_record(
    offset_delta: int,
    key: bytes | None,
    value: bytes | None,
    *,
    timestamp_delta: int = 0,
) -> bytes:
    """Return one record without headers."""
    body = bytearray(b"\0")
    body += write_varint(timestamp_delta) + write_varint(offset_delta)
    for data in (key, value):
        body += write_varint(-1 if data is None else len(data)) + (data or b"")
    body += write_varint(0)
    return write_varint(len(body)) + bytes(body)


def build(
    raw_records: Iterable[bytes],
    *,
    base_offset: int = 0,
    last_offset_delta: int | None = None,
    attributes: int = 0,
    base_timestamp: int = 0,
    max_timestamp: int = 0,
    producer_id: int = NO_PRODUCER,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    leader_epoch: int = 0,
) -> bytes:
    """Return a batch of encoded records, compressed as `attributes` say."""
    kept = list(raw_records)
    delta = len(kept) - 1 if last_offset_delta is None else last_offset_delta
    payload = compression.compress(attributes & CODEC_MASK, b"".join(kept))
    head = struct.pack(
        ">hiqqqhii",
        attributes,
        delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        len(kept),
    )
    checked = head + payload
    prefix = _OFFSET_AND_LENGTH.pack(base_offset, len(checked) + _CRC_START - LENGTH_PREFIX)
    return prefix + struct.pack(">ibI", leader_epoch, 2, calc_crc32c(checked)) + checked


def control_batch(producer_id: int, producer_epoch: int, *, commit: bool, now_ms: int) -> bytearray:
    """Return the marker that ends a producer's transaction on a partition."""
    key = _CONTROL_KEY.pack(0, COMMIT_MARKER if commit else ABORT_MARKER)
    value = struct.pack(">hi", 0, 0)
    return bytearray(
        build(
            [encode_record(0, key, value)],
            attributes=TRANSACTIONAL | CONTROL,
            base_timestamp=now_ms,
            max_timestamp=now_ms,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
        )
    )


def is_commit(batch: bytes | bytearray | memoryview, header: BatchHeader) -> bool:
    """Whether a control batch commits (it aborts otherwise)."""
    for record in records(batch, header):
        if record.key is not None and len(record.key) >= _CONTROL_KEY.size:
            return bool(_CONTROL_KEY.unpack_from(record.key)[1] == COMMIT_MARKER)
    raise CorruptBatchError("control batch without a marker")
