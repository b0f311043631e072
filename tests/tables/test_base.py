from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from faust.types import TP

from tables.campaign_activity import (
    DECISIONS,
    MINUTE_MS,
    RETENTION_MS,
    TOUCHES,
    Activity,
    expired,
    row_key,
    rows_since,
)
from tables.counters import add
from tables.due import DueIndex
from tables.state import StateCodec, UnknownStateVersionError
from tables.store import NotOwnedError
from tests.core import visiting
from trackstream.core.visits import VisitorState

if TYPE_CHECKING:
    from faust.types import EventT

    from tables.base import StateTable
    from trackstream.application import Application

AT = 1_700_000_000_000 - 1_700_000_000_000 % MINUTE_MS


def put(table: StateTable[Activity], key: str, state: Activity | None, partition: int = 0) -> None:
    table.apply(partition, [(key, state, table.encode(state))], offset=7)


def test_a_state_is_read_where_it_was_written_and_nowhere_else(app: Application) -> None:
    visitors = app.state_tables.visitors
    state = VisitorState(app_id="demo", subject="demo|device:a")

    visitors.apply(1, [("demo|device:a", state, visitors.encode(state))], offset=41)

    assert visitors.load(1, "demo|device:a") == state
    assert visitors.load(0, "demo|device:a") is None
    assert list(visitors.scan(1)) == [("demo|device:a", state)]
    with pytest.raises(NotOwnedError, match="partition 5 of visitors"):
        visitors.load(5, "demo|device:a")


def test_the_changelog_offset_is_kept_with_the_states(app: Application) -> None:
    table = app.state_tables.campaign_activity
    put(table, "k", Activity(clicks=1))

    assert table.store.persisted_offset(TP(table.changelog_topic_name, 0)) == 7
    assert table.store.persisted_offset(TP(table.changelog_topic_name, 1)) is None
    put(table, "k", None)
    assert table.load(0, "k") is None


def test_a_revoked_partition_is_closed_and_can_be_opened_again(app: Application) -> None:
    table = app.state_tables.campaign_activity
    put(table, "k", Activity(clicks=1))
    half_way = table.scan(0)
    next(half_way)

    table.store.revoke_partitions(table, {TP(table.changelog_topic_name, 0)})

    assert table.store.open_partitions() == [1]
    del half_way
    table.store._db_for_partition(0)
    assert table.load(0, "k") == Activity(clicks=1)


def test_what_another_worker_has_written_meanwhile_is_due_here(app: Application) -> None:
    visitors = app.state_tables.visitors
    state, _ = visiting.apply(None, visiting.envelope(visiting.page(0, visiting.START)), 0)
    visitors.apply(0, [("mine", state, visitors.encode(state))], offset=1)
    assert visitors.take_due(0, 0, 10) == []
    written = SimpleNamespace(
        tp=TP(visitors.changelog_topic_name, 0),
        partition=0,
        offset=2,
        key=b"others",
        value=visitors.encode(state),
    )

    visitors.apply_changelog_batch([cast("EventT[Any]", SimpleNamespace(message=written))])

    assert visitors.load(0, "others") == state
    assert sorted(visitors.take_due(0, visiting.NOW, 10)) == ["mine", "others"]


def test_names_do_not_change(app: Application) -> None:
    names = {name: one.changelog_topic_name for name, one in app.state_tables.by_name().items()}

    assert names == {
        "visitors": "trackstream.worker-visitors-changelog",
        "touchpoints": "trackstream.worker-touchpoints-changelog",
        "conversions": "trackstream.worker-conversions-changelog",
        "campaign_activity": "trackstream.worker-campaign_activity-changelog",
        "app_activity": "trackstream.worker-app_activity-changelog",
        "funnel_activity": "trackstream.worker-funnel_activity-changelog",
    }
    assert set(app.agents) == {"enrich", "match", "attribute"}


def test_changelogs_are_compacted_and_take_large_states(app: Application) -> None:
    assert set(app.changelogs) == {
        table.changelog_topic_name for table in app.state_tables.by_name().values()
    }
    for config in app.changelogs.values():
        assert config["cleanup.policy"] == "compact"
        assert int(config["max.message.bytes"]) > 2**20


def test_a_state_of_another_version_is_refused() -> None:
    old, new = StateCodec(Activity, 1), StateCodec(Activity, 2)
    data = old.encode(Activity(clicks=3))

    assert old.decode(data) == Activity(clicks=3)
    with pytest.raises(UnknownStateVersionError, match="version 1; this program reads 2"):
        new.decode(data)
    with pytest.raises(UnknownStateVersionError):
        new.decode(b"")


def test_fields_appended_later_are_read_from_older_states() -> None:
    class Longer(msgspec.Struct, array_like=True):
        clicks: int = 0
        impressions: int = 0
        installs: int = 0
        conversions: int = 0
        revenue_micros: dict[str, int] = {}
        applied: int = -1
        added: str = "new"

    data = StateCodec(Activity, 1).encode(Activity(clicks=3))

    assert StateCodec(Longer, 1).decode(data).added == "new"


def test_due_keys_come_once_earliest_first() -> None:
    index = DueIndex[int](lambda due: due or None)
    index.put(0, "before", 1)
    index.build(0, [("late", 50), ("early", 10), ("never", 0)])
    index.put(0, "middle", 30)
    index.put(0, "middle", 40)
    index.put(0, "sooner", 90)
    index.put(0, "sooner", 20)
    index.put(0, "gone", 15)
    index.put(0, "gone", None)

    assert index.take(0, 9, 10) == []
    assert index.take(0, 35, 2) == ["early", "sooner"]
    assert index.take(0, 35, 10) == ["middle"]  # early by its first put: the taker looks again
    assert index.take(0, 99, 10) == ["late"]
    assert index.size() == 0
    index.forget(0)
    assert not index.is_built(0)


def test_a_message_counts_once_in_a_row() -> None:
    row = add(None, Activity(clicks=1, revenue_micros={"EUR": 5}), offset=3)
    row = add(row, Activity(clicks=1), offset=3)
    row = add(row, Activity(installs=1, revenue_micros={"EUR": -5, "USD": 2}), offset=4)

    assert row == Activity(clicks=1, installs=1, revenue_micros={"USD": 2}, applied=4)


def test_rows_are_found_by_time_and_dropped_by_age(app: Application) -> None:
    table = app.state_tables.campaign_activity
    old = row_key(TOUCHES, AT - RETENTION_MS - MINUTE_MS, "demo", "c|1")
    now = row_key(TOUCHES, AT + 999, "demo", "c|1")
    decided = row_key(DECISIONS, AT, "demo", None)
    for key in (old, now, decided):
        put(table, key, Activity(clicks=1))

    rows = list(rows_since(table, 0, AT))

    assert [(one.minute_ms, one.campaign_id) for one in rows] == [(AT, "c|1"), (AT, "")]
    assert expired(table, 0, TOUCHES, at_ms=AT) == [old]
    assert expired(table, 0, DECISIONS, at_ms=AT) == []
