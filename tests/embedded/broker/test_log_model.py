"""The log on disk does what a list does, through rolls, retention, crashes and restarts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from trackstream.embedded.broker.storage import batches
from trackstream.embedded.broker.storage.log import Log
from trackstream.embedded.broker.topic_config import parse_topic_config

_NOW_MS = 10**12


class LogModel(RuleBasedStateMachine):
    """`model` is the list of records; a record's index is its offset."""

    @initialize(
        segment_bytes=st.sampled_from(["400", "2000", "20000"]),
        retention_bytes=st.sampled_from(["-1", "1500"]),
    )
    def begin(self, segment_bytes: str, retention_bytes: str) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.config = parse_topic_config(
            {
                "segment.bytes": segment_bytes,
                "retention.bytes": retention_bytes,
                "retention.ms": "1000000",
            }
        )
        self.log = Log(self.directory, self.config)
        self.log.open()
        self.model: list[tuple[bytes, int]] = []
        self.start = 0

    @rule(
        values=st.lists(st.binary(max_size=120), min_size=1, max_size=5),
        time_ms=st.integers(_NOW_MS, _NOW_MS + 9),
        repeat=st.integers(1, 40),
    )
    def append(self, values: list[bytes], time_ms: int, repeat: int) -> None:
        self._append(values, time_ms)
        # Then others, of other sizes and times, so that segments fill.
        for number in range(repeat):
            self._append([b"%d" % number * (number % 30)], _NOW_MS + (time_ms + number) % 7)

    def _append(self, values: list[bytes], time_ms: int) -> None:
        if values:
            batch = bytearray(
                batches.build(
                    [batches.encode_record(n, None, value) for n, value in enumerate(values)],
                    base_timestamp=time_ms,
                    max_timestamp=time_ms,
                )
            )
            batches.place(batch, self.log.end_offset, 0)
            self.log.append(batch, batches.parse_header(batch))
            self.model += [(value, time_ms) for value in values]

    def _read(self, offset: int, max_bytes: int, end: int) -> list[tuple[int, bytes]]:
        data = self.log.read(offset, max_bytes, end)
        read = []
        consumed = 0
        for position, header in batches.iterate_headers(data):
            batch = data[position : position + header.size]
            batches.check_crc(batch, header)
            assert header.base_offset < end
            consumed = position + header.size
            for record in batches.records(batch, header):
                value = record.raw[-1 - _value_length(record.raw) : -1]
                read.append((header.base_offset + record.offset_delta, value))
        assert consumed == len(data)
        return read

    @precondition(lambda self: len(self.model) > self.start)
    @rule(
        places=st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5),
        max_bytes=st.integers(1, 5000),
        limit=st.floats(0, 1),
    )
    def read(self, places: list[float], max_bytes: int, limit: float) -> None:
        for place in places:
            offset = self.start + int(place * (len(self.model) - self.start))
            end = offset + int(limit * (len(self.model) - offset))
            for up_to in (len(self.model), end):
                read = self._read(offset, max_bytes, up_to)
                if up_to > offset:
                    assert read[0][0] <= offset <= read[-1][0]
                assert read == [
                    (number, self.model[number][0])
                    for number in range(read[0][0] if read else 0, read[-1][0] + 1 if read else 0)
                ]

    @rule()
    def find_times(self) -> None:
        for time_ms in range(_NOW_MS - 1, _NOW_MS + 11):
            expected = next(
                (
                    (number, self.model[number][1])
                    for number in range(self.start, len(self.model))
                    if self.model[number][1] >= time_ms
                ),
                None,
            )
            assert self.log.find_time(time_ms) == expected

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule(late=st.sampled_from([False, False, False, True]))
    def retain(self, *, late: bool) -> None:
        now_ms = _NOW_MS + (2_001_001 if late else 0)
        size_before = self.log.size
        count = self.log.expired_segments(now_ms)
        if count:
            self.log.delete_oldest(count)
        self.start = self.log.segments[0].base_offset
        if late:
            assert self.start == len(self.model)
        elif self.config.retention_bytes < 0:
            assert count == 0
        else:
            assert self.log.size >= min(size_before, self.config.retention_bytes)

    @rule(
        how=st.sampled_from(["stop", "crash", "crash in a write", "crash and no indexes"]),
        garbage=st.binary(min_size=1, max_size=150),
    )
    def restart(self, how: str, garbage: bytes) -> None:
        path = self.log.active.path
        self.log.close(save_index=how == "stop")
        if how == "crash in a write":
            with path.open("ab") as file:
                file.write(garbage)
        if how == "crash and no indexes":
            for index_path in self.directory.glob("*.index"):
                index_path.unlink()
        self._reopen()

    def _reopen(self) -> None:
        self.log = Log(self.directory, self.config)
        self.log.open()

    @invariant()
    def same_ends(self) -> None:
        if hasattr(self, "log"):
            assert self.log.end_offset == len(self.model)
            assert self.log.start_offset == self.start

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
            shutil.rmtree(self.directory)


def _value_length(raw: bytes) -> int:
    """Read a record's value length: behind length, attributes, two deltas and a null key."""
    _, position = batches._varint(raw, 0)
    position += 1
    for _ in range(3):
        _, position = batches._varint(raw, position)
    return batches._varint(raw, position)[0]


TestLogModel = LogModel.TestCase
TestLogModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
