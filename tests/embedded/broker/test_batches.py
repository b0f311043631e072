"""Record batches: what is built can be read, what is damaged is noticed, by us as by aiokafka."""

from __future__ import annotations

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from trackstream.embedded.broker.storage import batches, compression

_RECORDS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.binary(max_size=40)),
        st.one_of(st.none(), st.binary(max_size=200)),
        st.integers(-(10**6), 10**6),
    ),
    min_size=1,
    max_size=20,
)
_CODECS = [codec for codec in compression.Codec if compression.available(codec)]


def _build(
    records: list[tuple[bytes | None, bytes | None, int]], codec: int, base_offset: int = 0
) -> bytes:
    return batches.build(
        [
            batches.encode_record(number, key, value, timestamp_delta=delta)
            for number, (key, value, delta) in enumerate(records)
        ],
        attributes=codec,
        base_offset=base_offset,
        base_timestamp=10**12,
        max_timestamp=10**12 + max(delta for _, _, delta in records),
    )


@given(records=_RECORDS, codec=st.sampled_from(_CODECS), base_offset=st.integers(0, 2**40))
def test_aiokafka_reads_what_we_build(
    records: list[tuple[bytes | None, bytes | None, int]], codec: int, base_offset: int
) -> None:
    built = _build(records, codec, base_offset)
    read = MemoryRecords(built).next_batch()
    assert read is not None
    assert read.validate_crc()
    assert [(item.key, item.value, item.timestamp - 10**12, item.offset) for item in read] == [
        (key, value, delta, base_offset + number)
        for number, (key, value, delta) in enumerate(records)
    ]


@given(records=_RECORDS, codec=st.sampled_from(_CODECS))
def test_we_read_what_we_build(
    records: list[tuple[bytes | None, bytes | None, int]], codec: int
) -> None:
    built = _build(records, codec)
    header = batches.parse_header(built)
    batches.check_crc(built, header)
    assert header.size == len(built)
    assert header.record_count == header.last_offset_delta + 1 == len(records)
    read = list(batches.records(built, header))
    assert [(item.key, item.is_tombstone, item.timestamp_delta) for item in read] == [
        (key, value is None, delta) for key, value, delta in records
    ]
    rebuilt = batches.build(
        [item.raw for item in read],
        attributes=codec,
        base_timestamp=header.base_timestamp,
        max_timestamp=header.max_timestamp,
    )
    assert batches.parse_header(rebuilt)._replace(crc=0, length=0) == header._replace(
        crc=0, length=0
    )
    assert [item.raw for item in batches.records(rebuilt, batches.parse_header(rebuilt))] == [
        item.raw for item in read
    ]


@given(
    records=_RECORDS,
    place=st.floats(0, 1, exclude_max=True),
    flip=st.integers(1, 255),
)
def test_any_changed_byte_behind_the_offset_is_noticed(
    records: list[tuple[bytes | None, bytes | None, int]], place: float, flip: int
) -> None:
    built = bytearray(_build(records, 0))
    # Base offset and leader epoch are the broker's to set: no checksum covers them.
    covered = [*range(8, 12), *range(16, len(built))]
    built[covered[int(place * len(covered))]] ^= flip
    with pytest.raises((batches.CorruptBatchError, batches.UnsupportedFormatError)):
        batches.check_crc(built, batches.parse_header(built))


@given(data=st.binary(max_size=300))
def test_bytes_that_are_no_batch_are_refused(data: bytes) -> None:
    with pytest.raises((batches.CorruptBatchError, batches.UnsupportedFormatError)):
        batches.check_crc(data, batches.parse_header(data))


@given(payload=st.binary(max_size=60), count=st.integers(1, 5))
def test_payloads_that_are_no_records_are_refused(payload: bytes, count: int) -> None:
    built = bytearray(batches.build([payload] * count))
    header = batches.parse_header(built)
    try:
        read = list(batches.records(built, header))
    except batches.CorruptBatchError:
        return
    assert b"".join(record.raw for record in read) == payload * count


def test_placing_keeps_the_checksum() -> None:
    built = bytearray(_build([(b"k", b"v", 0)], 0))
    batches.place(built, 2**40, 3)
    header = batches.parse_header(built)
    batches.check_crc(built, header)
    assert (header.base_offset, header.leader_epoch) == (2**40, 3)


def test_the_append_time_is_for_all_records() -> None:
    built = bytearray(_build([(b"k", b"v", 0), (b"k", b"v", 5)], 0))
    batches.stamp_append_time(built, batches.parse_header(built), 1234)
    batches.check_crc(built, batches.parse_header(built))
    read = MemoryRecords(bytes(built)).next_batch()
    assert read is not None
    assert [item.timestamp for item in read] == [1234, 1234]


@pytest.mark.parametrize("commit", [True, False])
def test_aiokafka_understands_our_markers(*, commit: bool) -> None:
    marker = batches.control_batch(7, 2, commit=commit, now_ms=1)
    header = batches.parse_header(marker)
    batches.check_crc(marker, header)
    assert header.is_control
    assert header.is_transactional
    assert batches.is_commit(marker, header) is commit
    read = MemoryRecords(bytes(marker)).next_batch()
    assert read is not None
    assert read.is_control_batch
    (record,) = read
    assert record.key == bytes([0, 0, 0, 1 if commit else 0])


def test_older_formats_are_named() -> None:
    old = bytearray(_build([(b"k", b"v", 0)], 0))
    old[16] = 1
    with pytest.raises(batches.UnsupportedFormatError, match="1"):
        batches.parse_header(old)


def test_a_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = compression.compress(compression.Codec.GZIP, b"\0" * 100_000)
    assert len(compression.decompress(compression.Codec.GZIP, packed)) == 100_000
    monkeypatch.setattr(compression, "MAX_INFLATED_BYTES", 1000)
    with pytest.raises(compression.CompressionError):
        compression.decompress(compression.Codec.GZIP, packed)


@given(value=st.integers(-(2**63), 2**63 - 1))
def test_varints(value: int) -> None:
    written = batches.write_varint(value)
    assert batches._varint(written, 0) == (value, len(written))
