"""Ranges, plans and files, without Kafka; died at every step."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.storage.records import AT_MS, DAY_MS, a_full_event, a_session, an_event
from trackstream.archive import contents
from trackstream.archive.columns import SCHEMA, table
from trackstream.archive.place import Directory, Place, open_place
from trackstream.archive.ranges import Message, PartitionRanges
from trackstream.archive.verification import verify
from trackstream.codec import encode
from trackstream.core.records import Context
from trackstream.storage.errors import InvalidValueError, WriterFencedError

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.core.records import Event

TOPIC = "t.events"


@pytest.fixture(params=["directory", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "a") if request.param == "directory" else f"memory://{uuid4().hex}/a"


@pytest.fixture
def place(url: str) -> Place:
    return open_place(url)


def messages(first: int, count: int, *, apps: int = 2, days: int = 2) -> list[Message]:
    return [
        Message(
            number,
            encode(
                an_event(
                    f"e{number}",
                    app_id=f"app{number % apps}",
                    timestamp_ms=AT_MS + number // apps % days * DAY_MS,
                )
            ),
        )
        for number in range(first, first + count)
    ]


def loaded(place: Place, partition: int = 3) -> PartitionRanges:
    ranges = PartitionRanges(place, TOPIC, partition)
    ranges.load()
    return ranges


def rows(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in place.files():
        if path.endswith(".parquet"):
            found += pq.read_table(io.BytesIO(place.read(path))).to_pylist()
    return found


def offsets(place: Place) -> list[int]:
    return sorted(row["log_offset"] for row in rows(place))


def test_a_range_is_a_file_for_each_app_and_day_named_by_partition_and_offsets(
    place: Place,
) -> None:
    loaded(place).append(messages(5, 8))
    names = [path for path in place.files() if path.endswith(".parquet")]
    name = "t.events-00003-00000000000000000005-00000000000000000012.parquet"
    assert names == [f"app=app{app}/day=2025-07-{day}/{name}" for app in (0, 1) for day in (10, 11)]
    assert offsets(place) == list(range(5, 13))
    (found,), strangers = verify(place)
    assert (found.first_offset, found.last_offset, found.rows) == (5, 12, 8)
    assert not found.problems
    assert not strangers


def test_an_app_may_be_called_anything(place: Place) -> None:
    names = ["../../x", "a/b", "ü %", "."]
    sent = [encode(an_event(str(n), app_id=name)) for n, name in enumerate(names)]
    loaded(place).append([Message(n, value) for n, value in enumerate(sent)])
    assert [row["app_id"] for row in sorted(rows(place), key=lambda row: row["log_offset"])] == (
        names
    )
    assert len({path.count("/") for path in place.files() if path.startswith("app=")}) == 1


def test_the_next_range_begins_after_the_last(place: Place) -> None:
    assert loaded(place).next_offset is None
    loaded(place).append(messages(0, 4))
    again = loaded(place)
    assert (again.next_offset, again.unfinished) == (4, None)
    again.append(messages(4, 4))
    again.append(messages(8, 1))
    assert offsets(place) == list(range(9))
    assert verify(place)[0][0].rows == 9


class Dying:
    """A place whose process dies before its n-th write."""

    def __init__(self, place: Place, writes: int) -> None:
        self._place = place
        self._left = writes

    def __getattr__(self, name: str) -> Any:
        if name in {"write", "create"}:
            if self._left == 0:
                raise RuntimeError("killed")
            self._left -= 1
        return getattr(self._place, name)


# A plan, four files, and the mark.
@pytest.mark.parametrize("writes", range(6))
def test_killed_before_any_write_and_started_again_every_row_is_there_once(
    place: Place, writes: int
) -> None:
    loaded(place).append(messages(0, 8))
    dying: Any = Dying(place, writes)
    with pytest.raises(RuntimeError):
        loaded(dying).append(messages(8, 8))
    again = loaded(place)
    assert (again.unfinished is None) == (writes == 0)
    # It has read more by now than its predecessor had.
    ours = messages(0, 30) if again.unfinished else messages(8, 22)
    assert again.finish(ours) == []
    assert again.next_offset is not None
    again.append([one for one in ours if one.offset >= again.next_offset])
    assert offsets(place) == list(range(30))
    (found,), strangers = verify(place)
    assert (found.rows, found.unfinished, found.problems, strangers) == (30, 0, [], [])


def test_a_file_that_is_written_again_is_the_same_to_the_byte(place: Place) -> None:
    dying: Any = Dying(place, 3)
    with pytest.raises(RuntimeError):
        loaded(dying).append(messages(0, 8))
    before = {path: place.read(path) for path in place.files() if path.endswith(".parquet")}
    assert len(before) == 2
    loaded(place).finish(messages(0, 8))
    assert before == {path: place.read(path) for path in before}


def test_of_two_who_believe_that_a_partition_is_theirs_one_is_told(place: Place) -> None:
    one, other = loaded(place), loaded(place)
    one.append(messages(0, 5))
    with pytest.raises(WriterFencedError):
        other.append(messages(0, 7))
    assert offsets(place) == list(range(5))
    other.load()
    other.append(messages(5, 2))
    assert offsets(place) == list(range(7))


def test_what_is_no_event_is_counted_and_has_no_row(place: Place) -> None:
    mixed = messages(0, 3)
    mixed[1:2] = [Message(1, b"nonsense")]
    mixed += [
        Message(3, None),
        Message(4, encode(a_session())),
        Message(5, encode(an_event("far", timestamp_ms=2**60))),
    ]
    loaded(place).append(mixed)
    assert offsets(place) == [0, 2]
    (found,), _ = verify(place)
    assert (found.rows, found.unreadable, found.problems) == (2, 4, [])


def test_a_record_that_no_column_takes_is_put_aside_and_the_rest_is_written(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    mixed = messages(0, 8)
    context = Context(screen_width=2**40)
    wide = [an_event("wide", app_id="app0", context=context), an_event("w", context=context)]
    mixed[2] = Message(2, encode(wide[0]))
    # Of a file that has nothing else.
    mixed[5] = Message(5, encode(wide[1]))
    loaded(place).append(mixed)
    assert offsets(place) == [0, 1, 3, 4, 6, 7]
    (found,), strangers = verify(place)
    assert (found.rows, found.unreadable, found.problems, strangers) == (6, 2, [], [])
    assert "offset 2, has no row" in caplog.text
    # It is put aside in what is carried out again, too.
    dying: Any = Dying(place, 2)
    with pytest.raises(RuntimeError):
        loaded(dying).append([Message(one.offset + 8, one.value) for one in mixed])
    again = loaded(place)
    assert again.finish([Message(one.offset + 8, one.value) for one in mixed]) == []
    assert offsets(place) == [0, 1, 3, 4, 6, 7, 8, 9, 11, 12, 14, 15]


def some_repeated() -> list[Message]:
    """Eight messages, of which 3, 5 and 7 were there before."""
    found = messages(0, 8)
    found[3] = Message(3, found[0].value)
    # With another time: a device's clock was corrected meanwhile.
    moved = an_event("e1", app_id="app1", timestamp_ms=AT_MS + 5 * DAY_MS)
    found[5] = Message(5, encode(moved))
    # Of another app, and of another subject, it is another event.
    found[6] = Message(6, encode(an_event("e0", app_id="app1")))
    found[4] = Message(4, encode(an_event("e0", app_id="app0", subject="app0|device:other")))
    found[7] = found[6]._replace(offset=7)
    return found


# The whole range, and every way to die in it.
@pytest.mark.parametrize("writes", [None, 1, 2, 3, 4])
def test_of_an_event_that_comes_again_in_a_range_the_first_is_kept(
    place: Place, writes: int | None
) -> None:
    ours: Any = place if writes is None else Dying(place, writes)
    if writes is None:
        loaded(ours).append(some_repeated())
    else:
        with pytest.raises(RuntimeError):
            loaded(ours).append(some_repeated())
        assert loaded(place).finish(some_repeated()) == []
    assert offsets(place) == [0, 1, 2, 4, 6]
    (found,), strangers = verify(place)
    assert (found.rows, found.repeats, found.unfinished) == (5, 3, 0)
    assert not found.problems
    assert not strangers


def test_where_the_first_can_be_no_row_the_next_has_it(place: Place) -> None:
    wide = an_event("e0", context=Context(screen_width=2**40))
    sent = [encode(wide), encode(an_event("e0")), encode(an_event("e0"))]
    loaded(place).append([Message(n, value) for n, value in enumerate(sent)])
    assert offsets(place) == [1]
    (found,), _ = verify(place)
    assert (found.rows, found.unreadable, found.repeats, found.problems) == (1, 1, 1, [])


def test_nothing_is_planned_that_cannot_be_carried_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise LookupError("a fault of ours")

    monkeypatch.setattr(contents, "table", broken)
    with pytest.raises(LookupError):
        loaded(place).append(messages(0, 8))
    assert place.files() == []


def test_messages_that_kafka_has_deleted_before_are_told(place: Place) -> None:
    loaded(place).append(messages(0, 2))
    loaded(place).append(messages(7, 2))
    (found,), _ = verify(place)
    assert found.problems == [
        "5 offsets from 2 on were gone from Kafka when they were to be archived"
    ]


def test_messages_that_kafka_has_deleted_amid_a_range_are_told_and_files_stay(
    place: Place,
) -> None:
    dying: Any = Dying(place, 3)
    with pytest.raises(RuntimeError):
        loaded(dying).append(messages(0, 8))
    again = loaded(place)
    lost = again.finish([])
    assert len(lost) == 2
    assert len(offsets(place)) == 4
    (found,), _ = verify(place)
    assert len(found.problems) == 2
    assert "the file is not there" in found.problems[0]


@pytest.mark.parametrize("harm", ["removed", "cut", "another's", "copied"])
def test_harm_is_found(tmp_path: Path, harm: str) -> None:
    place = Directory(tmp_path)
    loaded(place).append(messages(0, 8))
    first, second = [one for one in place.files() if one.endswith(".parquet")][:2]
    match harm:
        case "removed":
            (tmp_path / first).unlink()
            says = "the file is not there"
        case "cut":
            (tmp_path / first).write_bytes(place.read(first)[:-10])
            says = "cannot be read"
        case "another's":
            event = an_event("x")
            out = io.BytesIO()
            pq.write_table(table([event], partition=3, offsets=[0]), out)
            (tmp_path / first).write_bytes(out.getvalue())
            says = "2 rows were written, 1 are there"
        case _:
            (tmp_path / first).with_name("again.parquet").write_bytes(place.read(second))
            says = "is in no manifest"
    (found,), strangers = verify(place)
    assert len(found.problems) + len(strangers) == 1
    assert says in [*found.problems, *strangers][0]


def test_a_range_under_way_is_no_problem(place: Place) -> None:
    loaded(place).append(messages(0, 2))
    dying: Any = Dying(place, 2)
    with pytest.raises(RuntimeError):
        loaded(dying).append(messages(2, 8))
    (found,), strangers = verify(place)
    assert (found.rows, found.unfinished, found.problems, strangers) == (2, 8, [], [])


def test_what_a_killed_process_has_half_written_goes(tmp_path: Path) -> None:
    place = Directory(tmp_path)
    half = tmp_path / "_temporary" / f"{TOPIC}-00003" / "0123"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"PAR")
    other = tmp_path / "_temporary" / f"{TOPIC}-00004" / "0123"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"PAR")
    assert place.files() == []
    loaded(place)
    assert not half.exists()
    # That is somebody else's, who may be writing it.
    assert other.exists()


def test_everything_that_is_said_of_an_event_is_in_its_row() -> None:
    event = a_full_event()
    made = table([event, an_event("bare")], partition=1, offsets=[10, 11])
    out = io.BytesIO()
    pq.write_table(made, out)
    read = pq.read_table(io.BytesIO(out.getvalue()))
    assert read.schema.equals(SCHEMA)
    full, bare = read.to_pylist()
    assert full["revenue"] == Decimal("49.990001")
    assert full["timestamp"].timestamp() * 1000 == pytest.approx(AT_MS)
    assert full["timestamp"].utcoffset().total_seconds() == 0
    assert full["referral"]["install_begin_at"].timestamp() * 1000 == pytest.approx(AT_MS - 5)
    assert full["campaign"]["click_ids"] == [("gclid", "g1")]
    assert full["context"]["consent"] == [("ads", False)]
    assert full["properties"] == event.properties
    assert (full["asn"], full["log_partition"], full["log_offset"]) == (3320, 1, 10)
    assert bare["campaign"] is None
    assert bare["revenue"] is None


def test_the_columns_are_those_of_the_avro_schema() -> None:
    kinds = {field.name: field.type for field in SCHEMA}
    expected = {
        name.removesuffix("_ms").removesuffix("_micros") for name in _fields(an_event())
    } | {"log_partition", "log_offset"}
    assert set(kinds) == expected
    for name in ("timestamp", "client_timestamp", "received_at"):
        assert kinds[name] == pa.timestamp("ms", tz="UTC")
    assert kinds["revenue"] == pa.decimal128(20, 6)
    assert not SCHEMA.field("event_id").nullable
    assert SCHEMA.field("user_id").nullable


def test_every_autonomous_system_has_room() -> None:
    """RFC 6793: their numbers have 32 bits, and no sign."""
    made = table([an_event(asn=2**32 - 1)], partition=0, offsets=[0])
    assert made["asn"].to_pylist() == [2**32 - 1]


@pytest.mark.parametrize("micros", [2**63 - 1, -(2**63), 0, 1])
def test_money_is_exact(micros: int) -> None:
    made = table([an_event(revenue_micros=micros)], partition=0, offsets=[0])
    assert made["revenue"].to_pylist() == [Decimal(micros).scaleb(-6)]


def test_a_url_that_nothing_writes_to_is_told() -> None:
    with pytest.raises(InvalidValueError, match="TRACKSTREAM_ARCHIVE_URL"):
        open_place("nonsense://x")


def _fields(event: Event) -> tuple[str, ...]:
    return event.__struct_fields__
