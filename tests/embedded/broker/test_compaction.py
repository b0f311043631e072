"""Compaction keeps the newest record of each key, where it was, and nothing it should not."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.storage import batches, compaction, compression
from trackstream.embedded.broker.storage.partition import Partition
from trackstream.embedded.broker.topic_config import parse_topic_config

Records = list[tuple[bytes, bytes | None]]

_DAY_MS = 86_400_000
_KEYS = [b"a", b"b", b"a key that is longer than sixteen bytes"]
_APPENDS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(_KEYS), st.one_of(st.none(), st.binary(max_size=30))),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from([codec for codec in compression.Codec if compression.available(codec)]),
        st.sampled_from(["plain", "commit", "abort"]),
    ),
    max_size=25,
)


def _partition(directory: Path, **config: str) -> Partition:
    settings_ = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0",
        "segment.bytes": "300",
        "delete.retention.ms": "0",
    } | {name.replace("_", "."): value for name, value in config.items()}
    partition = Partition(
        "topic", 0, directory / "topic-0", parse_topic_config(settings_), lambda *_: None
    )
    partition.open()
    return partition


def _append(partition: Partition, records: Records, *, codec: int = 0, producer: int = -1) -> None:
    now_ms = int(time.time() * 1000)
    batch = batches.build(
        [batches.encode_record(n, key, value) for n, (key, value) in enumerate(records)],
        attributes=codec | (batches.TRANSACTIONAL if producer >= 0 else 0),
        base_timestamp=now_ms,
        max_timestamp=now_ms,
        producer_id=producer,
        producer_epoch=0 if producer >= 0 else -1,
    )
    appended = partition.produce(memoryview(batch), lambda _: ErrorCode.NONE)
    assert appended.error == ErrorCode.NONE


def _values(partition: Partition, *, committed_only: bool = True) -> dict[int, Records]:
    """Read as a client of committed records does: offset → [(key, value)]."""
    found: dict[int, Records] = {}
    offset = partition.log.start_offset
    end = partition.last_stable_offset if committed_only else partition.log.end_offset
    while offset < end:
        fetched = partition.fetch(offset, 10_000, committed_only=committed_only)
        assert fetched.error == ErrorCode.NONE
        assert fetched.records, "a reader must always get further"
        aborted = [
            (item.producer_id, item.first_offset, item.last_offset)
            for item in fetched.aborted or ()
        ]
        for position, header in batches.iterate_headers(fetched.records):
            batch = fetched.records[position : position + header.size]
            batches.check_crc(batch, header)
            offset = header.next_offset
            skipped = header.is_control or (
                header.is_transactional
                and any(
                    producer == header.producer_id and first <= header.base_offset < last
                    for producer, first, last in aborted
                )
            )
            if not skipped:
                for record in batches.records(batch, header):
                    assert record.key is not None
                    found[header.base_offset + record.offset_delta] = [
                        (record.key, b"" if not record.is_tombstone else None)
                    ]
    return found


@settings(max_examples=40, deadline=None)
@given(appends=_APPENDS, passes=st.integers(1, 3), reopen=st.booleans())
def test_a_reader_ends_with_the_same_state(
    appends: list[tuple[Records, int, str]], passes: int, *, reopen: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        partition = _partition(Path(directory))
        model: dict[int, tuple[bytes, bytes | None]] = {}
        for number, (records, codec, kind) in enumerate(appends):
            base = partition.log.end_offset
            producer = -1 if kind == "plain" else number
            _append(partition, records, codec=codec, producer=producer)
            if kind != "plain":
                partition.end_transaction(producer, 0, commit=kind == "commit")
            if kind != "abort":
                model |= {base + n: record for n, record in enumerate(records)}
            if number % (len(appends) // passes + 1) == 0:
                asyncio.run(compaction.compact(partition))
        end = partition.log.end_offset
        asyncio.run(compaction.compact(partition))
        if reopen:
            # Without the saved state everything is learnt from what compaction has left.
            partition.close(save=False)
            (partition.log.directory / "state.json").unlink(missing_ok=True)
            for path in partition.log.directory.glob("*.index"):
                path.unlink()
            partition = _partition(Path(directory))
            assert partition.last_stable_offset == end
            for segment, following in itertools.pairwise(partition.log.segments):
                assert segment.next_offset == following.base_offset
        assert partition.log.end_offset == end
        _same_state(model, _values(partition), partition.log.segments[-1].base_offset)
        partition.close()


def _same_state(
    model: dict[int, tuple[bytes, bytes | None]], found: dict[int, Records], closed: int
) -> None:
    newest = {key: offset for offset, (key, _) in model.items()}
    for key, offset in newest.items():
        if model[offset][1] is not None:
            assert found[offset][0][0] == key, "every key's newest record is there"
        elif offset < closed:
            older = [at for at, ((other, _),) in found.items() if other == key and at < offset]
            assert not older, "a key that is gone does not come back"
    for offset, ((key, value),) in found.items():
        assert model[offset][0] == key, "nothing is there that never was, or was aborted"
        assert (model[offset][1] is None) == (value is None)


def _fill(partition: Partition, count: int, keys: int = 5) -> None:
    for number in range(count):
        _append(partition, [(b"key %d" % (number % keys), b"%d" % number)])


def test_old_versions_go_and_small_segments_are_put_together(tmp_path: Path) -> None:
    partition = _partition(tmp_path)
    _fill(partition, 200)
    segments, size = len(partition.log.segments), partition.log.size
    assert asyncio.run(compaction.compact(partition))
    assert partition.log.size < size / 10
    assert len(partition.log.segments) < segments / 10
    assert not asyncio.run(compaction.compact(partition)), "nothing is dirty any more"
    _fill(partition, 50)
    assert asyncio.run(compaction.compact(partition))
    assert len(_values(partition)) < 20
    partition.close()


@pytest.mark.parametrize("ending", ["marker", "tombstone"])
def test_a_reader_reaches_the_end_although_the_last_record_says_nothing(
    tmp_path: Path, ending: str
) -> None:
    partition = _partition(tmp_path)
    _fill(partition, 20)
    if ending == "marker":
        _append(partition, [(b"key 0", b"x")], producer=3)
        partition.end_transaction(3, 0, commit=False)
    else:
        _append(partition, [(b"key 0", None)])
    partition.log.roll()
    assert asyncio.run(compaction.compact(partition))
    # `_values` fails where a reader would be stuck before the end.
    assert len(_values(partition)) >= 4
    assert partition.last_stable_offset == partition.log.end_offset
    partition.close()


def test_tombstones_stay_for_their_time(tmp_path: Path) -> None:
    partition = _partition(tmp_path, delete_retention_ms=str(_DAY_MS))
    _append(partition, [(b"gone", b"value")])
    _append(partition, [(b"gone", None)])
    _fill(partition, 10)
    asyncio.run(compaction.compact(partition))
    assert _values(partition)[1] == [(b"gone", None)]
    assert 0 not in _values(partition)
    # A day later: what matters is when the segment was first compacted.
    for segment in partition.log.segments[:-1]:
        segment.cleaned_at_ms -= 2 * _DAY_MS
    _fill(partition, 10)
    asyncio.run(compaction.compact(partition))
    assert 1 not in _values(partition)
    partition.close()


def test_what_is_recent_or_open_is_left_alone(tmp_path: Path) -> None:
    partition = _partition(tmp_path, min_compaction_lag_ms="60000")
    _fill(partition, 50)
    assert not asyncio.run(compaction.compact(partition))
    partition.close()
    partition = _partition(tmp_path)
    end = partition.log.end_offset
    _append(partition, [(b"key 0", b"open")], producer=9)
    _fill(partition, 50)
    assert asyncio.run(compaction.compact(partition))
    offsets = _values(partition, committed_only=False)
    assert set(range(end, end + 51)) <= set(offsets), "nothing behind an open transaction moves"
    partition.close()


def test_batches_of_a_codec_that_is_missing_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = _partition(tmp_path)
    for _ in range(30):
        _append(partition, [(b"k", b"packed")], codec=compression.Codec.GZIP)
        _append(partition, [(b"k", b"plain")])
    monkeypatch.setattr(compression, "available", lambda codec: codec == 0)
    asyncio.run(compaction.compact(partition))
    monkeypatch.undo()
    closed = partition.log.segments[-1].base_offset
    kept = [offset for offset in _values(partition) if offset < closed - 1]
    packed = list(range(0, closed - 1, 2))
    assert kept[: len(packed) - 1] == packed[:-1], "the packed ones are at even offsets"
    assert len(kept) <= len(packed) + 1, "and of the others only the newest"
    partition.close()


def test_a_crash_between_the_steps_is_made_good(tmp_path: Path) -> None:
    partition = _partition(tmp_path)
    _fill(partition, 60)
    expected = dict(itertools.islice(reversed(_values(partition).items()), 5))
    log = partition.log
    todo = compaction.plan(log, log.end_offset, int(time.time() * 1000))
    assert todo is not None
    newest, known_until = compaction.learn(todo.dirty, {})
    rules = compaction.Rules(newest, known_until, {}, 0, 0, log.end_offset - 1)
    swap, _ = compaction.rewrite(todo.all, rules, 1_000_000)
    assert swap.exists()
    (swap.parent / "00000000000000000000.cleaned").write_bytes(b"half")
    files_before = len(list(swap.parent.glob("*.log")))
    partition.close(save=False)
    # Killed here: the next start finishes what was decided, and drops what was not.
    partition = _partition(tmp_path)
    assert not swap.exists()
    assert not list(swap.parent.glob("*.cleaned"))
    assert len(list(swap.parent.glob("*.log"))) < files_before
    assert partition.log.end_offset == 60
    found = _values(partition)
    assert expected.items() <= found.items()
    assert len(found) < 20
    partition.close()


def test_compaction_stops_when_the_topic_goes(tmp_path: Path) -> None:
    async def both(partition: Partition) -> bool:
        compacting = asyncio.create_task(compaction.compact(partition))
        await asyncio.sleep(0)
        partition.close(save=False)
        partition.log.directory.rename(tmp_path / "trash")
        return await compacting

    partition = _partition(tmp_path)
    _fill(partition, 300)
    assert not asyncio.run(both(partition))
