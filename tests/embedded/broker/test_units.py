"""The small parts: sequences, transactions of a partition, journals, the wire, configuration."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.embedded.broker.coordination.offsets import Committed, Offsets
from trackstream.embedded.broker.coordination.transaction import State, Transaction
from trackstream.embedded.broker.coordination.transactions import Transactions
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.registry import APIS
from trackstream.embedded.broker.protocol.wire import (
    INT32,
    NULLABLE_STRING,
    Array,
    Field,
    MalformedMessageError,
    Reader,
    Struct,
    write_uvarint,
)
from trackstream.embedded.broker.storage import batches, index
from trackstream.embedded.broker.storage.journal import Journal
from trackstream.embedded.broker.storage.partition import Partition
from trackstream.embedded.broker.storage.producers import REMEMBERED_BATCHES, Producers
from trackstream.embedded.broker.storage.transaction_index import TransactionIndex
from trackstream.embedded.broker.topic_config import ConfigError, parse_topic_config

if TYPE_CHECKING:
    from pathlib import Path


def _header(
    base_offset: int = 0,
    *,
    producer: int = 1,
    epoch: int = 0,
    sequence: int = 0,
    count: int = 1,
    attributes: int = 0,
) -> batches.BatchHeader:
    return batches.parse_header(
        batches.build(
            [batches.encode_record(number, b"k", b"v") for number in range(count)],
            base_offset=base_offset,
            producer_id=producer,
            producer_epoch=epoch,
            base_sequence=sequence,
            attributes=attributes,
        )
    )


class TestProducers:
    def test_sequences_wrap_after_the_largest_number(self) -> None:
        producers = Producers()
        producers.note(_header(0, sequence=2**31 - 3, count=3), 0)
        assert producers.check(_header(3, sequence=0)).error == ErrorCode.NONE
        producers.note(_header(3, sequence=0), 0)
        over = _header(0, sequence=2**31 - 1, count=3)
        wrapping = Producers()
        wrapping.note(over, 0)
        assert wrapping.check(_header(3, sequence=2)).error == ErrorCode.NONE
        assert (
            wrapping.check(_header(3, sequence=3)).error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        )

    def test_as_many_duplicates_are_known_as_may_be_in_flight(self) -> None:
        producers = Producers()
        for number in range(10):
            producers.note(_header(number, sequence=number), 0)
        for number in range(10):
            verdict = producers.check(_header(sequence=number))
            if number < 10 - REMEMBERED_BATCHES:
                assert verdict.error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
            else:
                assert verdict.duplicate is not None
                assert verdict.duplicate.base_offset == number

    def test_a_marker_of_a_newer_epoch_fences_the_older(self) -> None:
        producers = Producers()
        producers.note(_header(0, sequence=0), 0)
        marker = batches.parse_header(batches.control_batch(1, 1, commit=False, now_ms=0))
        producers.note(marker, 0)
        older = producers.check(_header(2, sequence=1))
        assert older.error == ErrorCode.INVALID_PRODUCER_EPOCH
        assert producers.check(_header(2, epoch=1, sequence=0)).error == ErrorCode.NONE

    def test_state_survives_being_saved(self) -> None:
        producers = Producers()
        for number in range(3):
            producers.note(_header(number, sequence=number), 5)
        again = Producers()
        again.restore(json.loads(json.dumps(producers.dump())))
        assert again.dump() == producers.dump()
        verdict = again.check(_header(sequence=1))
        assert verdict.duplicate is not None
        assert verdict.duplicate.base_offset == 1

    def test_idle_producers_are_forgotten_but_not_in_transactions(self) -> None:
        producers = Producers()
        for producer in (1, 2, 3):
            producers.note(_header(producer=producer), now_ms=producer * 100)
        producers.forget_idle(250, keep=[1])
        assert sorted(item[0] for item in producers.dump()) == [1, 3]


def test_transactions_of_a_partition() -> None:
    found = TransactionIndex()
    transactional = batches.TRANSACTIONAL
    marker = batches.TRANSACTIONAL | batches.CONTROL
    found.note(_header(0, producer=1, attributes=transactional))
    found.note(_header(1, producer=2, attributes=transactional))
    found.note(_header(2, producer=1, attributes=transactional))
    assert found.last_stable_offset(3) == 0
    found.note_marker(_header(3, producer=1, attributes=marker), commit=False)
    assert found.last_stable_offset(4) == 1
    found.note_marker(_header(4, producer=2, attributes=marker), commit=True)
    assert found.last_stable_offset(5) == 5
    # A marker without a transaction changes nothing.
    found.note_marker(_header(5, producer=1, attributes=marker), commit=False)
    assert found.aborted == [(1, 0, 3)]
    assert found.aborted_between(3, 9) == [(1, 0, 3)]
    assert not found.aborted_between(4, 9)
    again = TransactionIndex()
    again.restore(json.loads(json.dumps(found.dump())))
    assert again.aborted == found.aborted
    found.forget_aborted(4)
    assert not found.aborted


class TestJournal:
    def _journal(self, path: Path, records: list[Any]) -> Journal:
        return Journal(path, lambda: records, lambda _: None)

    def test_records_come_back(self, tmp_path: Path) -> None:
        journal = self._journal(tmp_path / "j", [])
        assert list(journal.load()) == []
        for record in (["a", 1], {"b": "ü"}, None):
            journal.append(record)
        journal.close()
        assert list(self._journal(tmp_path / "j", []).load()) == [["a", 1], {"b": "ü"}, None]

    def test_a_torn_record_is_cut_off_and_a_damaged_one_skipped(self, tmp_path: Path) -> None:
        path = tmp_path / "j"
        journal = self._journal(path, [])
        list(journal.load())
        for number in range(3):
            journal.append([number])
        journal.close()
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(lines[0] + lines[1].replace(b"1]", b"9]") + lines[2] + lines[2][:-2])
        again = self._journal(path, [])
        assert list(again.load()) == [[0], [2]]
        again.append([3])
        again.close()
        assert list(self._journal(path, []).load()) == [[0], [2], [3]]

    def test_what_a_failed_append_left_is_gone_before_the_next(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The system calls are replaced: a disk that fills up half-way is hard to come by."""
        journal = self._journal(tmp_path / "j", [])
        list(journal.load())
        journal.append(["before"])

        def half(file: int, data: bytes) -> int:
            if len(data) < 10:
                raise OSError(28, "No space left on device")
            return write(file, bytes(data[:10]))

        def no_cut(_file: int, _size: int) -> None:
            raise OSError(5, "Input/output error")

        write = os.write
        with monkeypatch.context() as broken:
            broken.setattr(os, "write", half)
            with pytest.raises(OSError, match="No space"):
                journal.append(["x"])
            broken.setattr(os, "ftruncate", no_cut)
            with pytest.raises(OSError, match="Input"):
                journal.append(["y"])
        journal.append(["after"])
        journal.close()
        assert list(self._journal(tmp_path / "j", []).load()) == [["before"], ["after"]]

    def test_it_is_rewritten_when_it_grows(self, tmp_path: Path) -> None:
        path = tmp_path / "j"
        journal = self._journal(path, [["now"]])
        list(journal.load())
        for _ in range(1500):
            journal.append(["x" * 1000])
        assert path.stat().st_size < 1_000_000
        journal.append(["last"])
        journal.close()
        records = list(self._journal(path, []).load())
        assert records[0] == ["now"]
        assert records[-1] == ["last"]


def test_offsets_come_back(tmp_path: Path) -> None:
    offsets = Offsets(tmp_path / "o", lambda _: None)
    offsets.open()
    kept = Committed(5, 0, "note", 100)
    offsets.commit("g", [(("t", 0), kept), (("t", 1), kept), (("u", 0), kept)])
    offsets.commit("h", [(("t", 0), kept)])
    offsets.delete("g", [("t", 1), ("never", 0)])
    offsets.delete_topic("u")
    offsets.delete_group("h")
    offsets.close()
    again = Offsets(tmp_path / "o", lambda _: None)
    again.open()
    assert again.of("g") == {("t", 0): kept}
    assert again.groups() == ["g"]
    assert again.newest_commit_ms("g") == 100
    again.close()


def test_a_transaction_comes_back() -> None:
    transaction = Transaction(
        "id",
        4,
        2,
        1000,
        State.COMMITTING,
        50,
        {("t", 1), ("t", 0)},
        {"g"},
        {"g": {("t", 0): Committed(1, -1, "", 2)}},
    )
    dumped = json.loads(json.dumps(transaction.dump()))
    assert Transaction.restore("id", dumped) == transaction


def test_a_decided_transaction_is_carried_out_by_the_next_start(tmp_path: Path) -> None:
    partition = Partition("t", 0, tmp_path / "t-0", parse_topic_config({}), lambda *_: None)
    partition.open()
    offsets = Offsets(tmp_path / "o", lambda _: None)
    offsets.open()

    def started() -> Transactions:
        transactions = Transactions(
            tmp_path / "x",
            lambda _: None,
            partition=lambda _topic, _index: partition,
            offsets=offsets,
            max_timeout_ms=10_000,
        )
        transactions.open()
        return transactions

    before = started()
    _, producer, epoch = before.begin_session("id", 1000, -1, -1)
    before.add_partitions("id", producer, epoch, [("t", 0)])
    before.add_group("id", producer, epoch, "g")
    before.commit_offsets("id", producer, epoch, "g", {("t", 0): Committed(9, -1, "", 1)})
    batch = batches.build(
        [batches.encode_record(0, b"k", b"v")],
        attributes=batches.TRANSACTIONAL,
        producer_id=producer,
        producer_epoch=epoch,
        base_sequence=0,
    )
    partition.produce(memoryview(batch), lambda header: before.check_batch(header, ("t", 0)))
    # The decision is made, but the partition's disk refuses the marker.
    partition.failed = True
    assert before.end("id", producer, epoch, commit=True) == ErrorCode.NONE
    assert before.end("id", producer, epoch, commit=True) == ErrorCode.CONCURRENT_TRANSACTIONS
    before.close()
    partition.failed = False
    assert partition.last_stable_offset == 0
    assert not offsets.of("g")
    after = started()
    assert partition.last_stable_offset == 2
    assert offsets.of("g")["t", 0].offset == 9
    assert after.end("id", producer, epoch, commit=True) == ErrorCode.NONE
    after.close()
    offsets.close()
    partition.close()


def test_an_index_that_is_damaged_is_not_believed(tmp_path: Path) -> None:
    entries = index.SparseIndex()
    for number in range(5):
        entries.add(number * 10, number * 5000, number)
    path = tmp_path / "0.index"
    index.save(path, entries, log_bytes=25_000, next_offset=50, newest_timestamp=9, cleaned_at_ms=3)
    loaded = index.load(path)
    assert loaded is not None
    assert loaded.entries.offsets == entries.offsets
    assert (loaded.log_bytes, loaded.next_offset, loaded.cleaned_at_ms) == (25_000, 50, 3)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:30] + b"\xff" + whole[31:], b"X" + whole[1:]):
        path.write_bytes(damaged)
        assert index.load(path) is None


class TestWire:
    layout = Struct(
        Field("name", NULLABLE_STRING),
        Field("items", Array(INT32, nullable=True)),
        Field("newer", INT32, since=2, default=-7),
    )

    @pytest.mark.parametrize("flexible", [False, True])
    @pytest.mark.parametrize("version", [1, 2])
    @given(
        name=st.one_of(st.none(), st.text(max_size=300)),
        items=st.one_of(st.none(), st.lists(st.integers(-(2**31), 2**31 - 1), max_size=200)),
    )
    def test_what_is_written_is_read(
        self, name: str | None, items: list[int] | None, version: int, *, flexible: bool
    ) -> None:
        out = bytearray()
        self.layout.writer(version, flexible=flexible)(out, {"name": name, "items": items})
        reader = Reader(bytes(out))
        read = self.layout.reader(version, flexible=flexible)(reader)
        assert read == {"name": name, "items": items, "newer": -7}
        assert reader.remaining == 0

    def test_unknown_tags_are_skipped(self) -> None:
        out = bytearray()
        self.layout.writer(2, flexible=True)(out, {"name": "x", "items": []})
        del out[-1]
        out += bytes([2, 0, 1, 99, 5, 2, 98, 97])
        reader = Reader(bytes(out))
        assert self.layout.reader(2, flexible=True)(reader)["name"] == "x"
        assert reader.remaining == 0

    @given(data=st.binary(max_size=100), flexible=st.booleans())
    def test_any_bytes_are_read_or_refused(self, data: bytes, *, flexible: bool) -> None:
        for api in APIS.values():
            reader = api.request.reader(api.newest, flexible=flexible)
            try:
                reader(Reader(data))
            except MalformedMessageError:
                continue

    @given(value=st.integers(0, 2**35 - 1))
    def test_uvarints(self, value: int) -> None:
        out = bytearray()
        write_uvarint(out, value)
        assert Reader(bytes(out)).uvarint() == value


class TestTopicConfig:
    def test_the_broker_s_defaults_stand_behind_the_topic_s_own(self) -> None:
        config = parse_topic_config(
            {"retention.ms": "5", "cleanup.policy": "compact,delete"},
            {"retention.ms": "7", "segment.bytes": "1000"},
        )
        assert (config.retention_ms, config.segment_bytes) == (5, 1000)
        assert config.is_compacted
        assert config.is_deleted

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("retention.ms", "-2"),
            ("retention.ms", "1.5"),
            ("segment.bytes", "13"),
            ("min.cleanable.dirty.ratio", "1.1"),
            ("cleanup.policy", "keep"),
            ("message.timestamp.type", "Never"),
            ("unknown", "1"),
        ],
    )
    def test_wrong_values_are_named(self, name: str, value: str) -> None:
        with pytest.raises(ConfigError, match=name):
            parse_topic_config({name: value})
