from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extras
import pytest
from sqlalchemy import text

from tests.storage.records import (
    AT_MS,
    DAY_MS,
    a_full_event,
    a_rejected,
    a_session,
    a_touch,
    an_attribution,
    an_event,
)
from tests.storage.warehoused import today
from trackstream.codec import encode
from trackstream.core.records import Campaign, Context, Tick
from trackstream.storage.errors import (
    RowsRefusedError,
    StorageError,
    StorageUnavailableError,
    WriterFencedError,
)
from trackstream.storage.warehouse.batch import MAX_DAYS, Message, batches
from trackstream.storage.warehouse.writer import Writer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from trackstream.core.records import Record

_AT = datetime(2025, 7, 10, 12, 0, 0, 123_000, UTC)


class Warehouse:
    """Writes records as messages of one partition, and looks into the tables."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.writer = Writer(url, "g", today=today)
        self.epochs = {("t", 0): self.writer.claim([("t", 0)])["t", 0].epoch}
        self.offset = 0

    def write(self, *records: Record | bytes | None) -> Counter[str]:
        messages = []
        for record in records:
            value = (
                encode(record) if record is not None and not isinstance(record, bytes) else record
            )
            messages.append(Message("t", 0, self.offset, value))
            self.offset += 1
        [batch] = batches(messages, version="1.2.3")
        return self.writer.write(batch, self.epochs)

    def rows(self, query: str) -> list[dict[str, Any]]:
        factory = psycopg2.extras.RealDictCursor
        with (
            closing(psycopg2.connect(self.url)) as connection,
            connection.cursor(cursor_factory=factory) as cursor,
        ):
            cursor.execute(query)
            return [dict(row) for row in cursor.fetchall()]


@pytest.fixture
def warehouse(migrated_url: str) -> Iterator[Warehouse]:
    warehouse = Warehouse(migrated_url)
    yield warehouse
    warehouse.writer.close()


def test_an_event_is_kept_with_everything_it_says(warehouse: Warehouse) -> None:
    warehouse.write(a_full_event())
    [row] = warehouse.rows("SELECT * FROM fact_events")
    assert row == {
        "app_id": "demo",
        "event_id": "full",
        "event_day": date(2025, 7, 10),
        "event": "page",
        "event_at": _AT,
        "client_at": datetime(2025, 7, 10, 11, 59, 59, 623_000, UTC),
        "received_at": datetime(2025, 7, 10, 12, 0, 1, 123_000, UTC),
        "late": True,
        "person": "user:u1",
        "subject": "demo|device:d1",
        "session_id": "s1",
        "user_id": "u1",
        "device_id": "d1",
        "cookie_id": "c1",
        "properties": {"price": 49.99, "tags": ["a", "b"]},
        "revenue": Decimal("49.990001"),
        "currency": "EUR",
        "campaign_id": "cmp",
        "channel": "search",
        "utm_source": "s",
        "utm_medium": "m",
        "utm_campaign": "c",
        "utm_term": "t",
        "utm_content": "n",
        "click_ids": {"gclid": "g1"},
        "app_version": "1.2",
        "page_url": "https://a.example/ü?x=1",
        "page_referrer": "https://b.example/",
        "page_title": 'Say "hi", \\ all\nof\tyou',
        "context": {"os_name": "iOS", "consent": {"ads": False}, "extra": {"deep": [1, None]}},
        "referral": {"click_id": "k1", "install_begin_at_ms": AT_MS - 5, "server_times": False},
        "ip": "2001:db8::1",
        "user_agent": "Mozilla/5.0 (X11)",
        "browser": "Firefox",
        "browser_version": "128.0",
        "os_name": "Linux",
        "os_version": "6",
        "device_brand": "B",
        "device_model": "M",
        "form_factor": "desktop",
        "bot": True,
        "country": "DE",
        "region": "Berlin",
        "city": "Köln",
        "timezone": "Europe/Berlin",
        "asn": 3320,
        "asn_organization": "Deutsche Telekom AG",
        "referrer_type": "search",
        "referrer_name": "Google",
        "touch_id": "t1",
        "touch_kind": "click",
        "touched_at": datetime(2025, 7, 10, 12, 0, 0, 122_000, UTC),
        "touch_campaign_id": "spring",
        "touch_channel": "paid",
        "touch_network": "adnet",
        "touch_method": "click_probabilistic",
    }


def test_what_an_event_does_not_say_is_null(warehouse: Warehouse) -> None:
    warehouse.write(an_event(campaign=Campaign(), context=Context(page_title="")))
    [row] = warehouse.rows("SELECT * FROM fact_events")
    said = {name for name, value in row.items() if value is not None}
    assert said == {
        *("app_id", "event_id", "event_day", "event", "event_at", "client_at", "received_at"),
        *("late", "person", "subject", "session_id", "properties", "bot"),
    }


def test_an_event_counts_once_however_often_it_comes(warehouse: Warehouse) -> None:
    assert warehouse.write(an_event("a"), an_event("a"), an_event("b"))["fact_events"] == 2
    assert warehouse.write(an_event("a"), an_event("c"))["fact_events"] == 1
    assert warehouse.write(an_event("a", app_id="other"))["fact_events"] == 1
    # The same id on the same day is the same event, even if its clock was corrected meanwhile.
    assert warehouse.write(an_event("a", timestamp_ms=AT_MS + 7))["fact_events"] == 0
    assert len(warehouse.rows("SELECT * FROM fact_events")) == 4


@pytest.mark.parametrize("together", [False, True])
def test_an_id_that_is_another_subjects_is_refused_and_kept(
    warehouse: Warehouse, *, together: bool
) -> None:
    first = an_event("1", subject="demo|device:dA", person="device:dA")
    second = an_event("1", subject="demo|device:dB", person="device:dB", timestamp_ms=AT_MS + 7)
    other_app = an_event("1", app_id="other", subject="other|device:dB")
    if together:
        written = warehouse.write(first, first, an_event("2"), second, second, other_app, b"odd")
    else:
        warehouse.write(first)
        warehouse.write(first, an_event("2"), other_app, b"odd")
        written = warehouse.write(second)
    assert written["rejected"] == (2 if together else 1)
    again = warehouse.write(second, an_event("3"), first)
    assert (again["fact_events"], again["rejected"]) == (1, 0)
    events = warehouse.rows("SELECT subject FROM fact_events WHERE event_id = '1' ORDER BY 1")
    assert [row["subject"] for row in events] == ["demo|device:dA", "other|device:dB"]
    [row] = warehouse.rows("SELECT * FROM rejected WHERE reasons = '{event_id_taken}'")
    assert (row["app_id"], row["stage"], row["version"]) == ("demo", "warehouse", "1.2.3")
    assert bytes(row["payload"]) == encode(second)
    assert warehouse.rows("SELECT * FROM dim_users WHERE person = 'device:dB'") == []


def test_days_of_any_year_are_made_when_they_are_needed(warehouse: Warehouse) -> None:
    days = [
        *(date(1, 1, 1), date(1969, 12, 31), date(2015, 5, 17), date(2015, 5, 18)),
        *(date(2021, 12, 31), date(2022, 1, 1), date(2026, 12, 31), date(2027, 1, 1)),
        *(date(2200, 1, 1), date(9999, 12, 31)),
    ]
    for number, day in enumerate(days):
        at = datetime(day.year, day.month, day.day, 23, 59, 59, 999_000, UTC)
        at_ms = (at - datetime(1970, 1, 1, tzinfo=UTC)).days * DAY_MS + DAY_MS - 1
        warehouse.write(an_event(str(number), timestamp_ms=at_ms))
    rows = warehouse.rows(
        "SELECT tableoid::regclass::text AS part, event_day, "
        "event_at = event_day + interval '1 day - 1 millisecond' AS last "
        "FROM fact_events ORDER BY event_at"
    )
    assert [row["event_day"] for row in rows] == days
    assert [row["part"] for row in rows] == [
        *("fact_events_before_1970", "fact_events_before_1970"),
        *("fact_events_2015", "fact_events_2015", "fact_events_2021"),
        *("fact_events_20220101", "fact_events_20261231", "fact_events_2027"),
        *("fact_events_after_2199", "fact_events_after_2199"),
    ]
    assert all(row["last"] for row in rows)


def test_a_year_that_no_calendar_has_is_rejected(warehouse: Warehouse) -> None:
    warehouse.write(an_event("a", timestamp_ms=2**62), an_event("b", timestamp_ms=-(2**62)))
    rows = warehouse.rows("SELECT reasons, stage FROM rejected")
    assert rows == [{"reasons": ["timestamp_out_of_range"], "stage": "warehouse"}] * 2


def test_many_days_are_several_transactions_in_order() -> None:
    messages = [
        Message("t", 0, n, encode(an_event(str(n), timestamp_ms=AT_MS - n * DAY_MS)))
        for n in range(2 * MAX_DAYS + 1)
    ]
    prepared = list(batches(messages, version="1"))
    assert [len(one.days) for one in prepared] == [MAX_DAYS, MAX_DAYS, 1]
    assert [one.next_offsets["t", 0] for one in prepared] == [32, 64, 65]
    assert [message for one in prepared for message in one.messages] == messages


def test_a_partition_that_was_dropped_is_made_again(warehouse: Warehouse, engine: Engine) -> None:
    warehouse.write(an_event("a"))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE fact_events_20250710"))
    assert warehouse.write(an_event("b"))["fact_events"] == 1
    assert warehouse.rows("SELECT event_id FROM fact_events") == [{"event_id": "b"}]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (r'{"a":"x\u0000y"}', {"a": "x\ufffdy"}),
        (r'{"a":"\ud83d\ude00 \uD83D \udE00"}', {"a": "\U0001f600 \ufffd \ufffd"}),
        (r'{"a":"\\u0000 \\\u0000"}', {"a": "\\u0000 \\\ufffd"}),
        (r'{"a":"\u00e4\n"}', {"a": "ä\n"}),
    ],
)
def test_json_that_jsonb_cannot_hold_is_mended(
    warehouse: Warehouse, sent: str, kept: dict[str, str]
) -> None:
    warehouse.write(an_event(properties=sent))
    assert warehouse.rows("SELECT properties FROM fact_events") == [{"properties": kept}]


def test_nul_in_text_is_replaced(warehouse: Warehouse) -> None:
    warehouse.write(an_event(event="a\0b"))
    assert warehouse.rows("SELECT event FROM fact_events") == [{"event": "a\ufffdb"}]


@pytest.mark.parametrize("spiky", ["\\.", "\\N", '"', '""', ",", "a\rb", "\n", "' --", " x ", "😀"])
def test_no_text_breaks_out_of_its_field(warehouse: Warehouse, spiky: str) -> None:
    warehouse.write(an_event(event=spiky, person=spiky, city=spiky))
    [row] = warehouse.rows("SELECT event, person, city, bot FROM fact_events")
    assert row == {"event": spiky, "person": spiky, "city": spiky, "bot": False}


def test_of_a_session_the_newest_revision_is_kept(warehouse: Warehouse) -> None:
    campaign = Campaign(campaign_id="cmp", utm_source="s")
    warehouse.write(
        a_session("s", 2, event_count=5, status="closed", campaign=campaign), a_session("s", 1)
    )
    warehouse.write(a_session("s", 1), a_session("s", 2, event_count=99))
    [row] = warehouse.rows("SELECT * FROM fact_sessions")
    assert (row["revision"], row["event_count"], row["status"]) == (2, 5, "closed")
    assert (row["campaign_id"], row["utm_source"], row["started_at"]) == ("cmp", "s", _AT)
    warehouse.write(a_session("s", 3, revenue_micros={"EUR": 1}, form_factor="tv"))
    [row] = warehouse.rows("SELECT * FROM fact_sessions")
    assert row["form_factor"] == "tv"
    assert (row["revision"], row["revenue"], row["campaign_id"]) == (3, Decimal("0.000001"), None)


def test_a_sessions_amounts_in_two_currencies_are_not_added(warehouse: Warehouse) -> None:
    names = ["purchase", "sign_up"]
    warehouse.write(
        a_session("one", revenue_micros={"EUR": -12_500_000}, conversion_names=names),
        a_session("two", revenue_micros={"EUR": 1, "USD": 3 * 10**15, "": 7}, bounced=True),
        a_session("unknown", revenue_micros={"": 5_000_000}),
        a_session("none"),
    )
    rows = {one["session_id"]: one for one in warehouse.rows("SELECT * FROM sessions")}
    money = {key: (one["revenue"], one["currency"]) for key, one in rows.items()}
    assert money == {
        "one": (Decimal("-12.5"), "EUR"),
        "two": (None, None),
        "unknown": (5, None),
        "none": (0, None),
    }
    assert rows["two"]["revenues"] == {"EUR": 0.000001, "USD": 3 * 10**9, "": 0.000007}
    assert (rows["one"]["conversion_names"], rows["two"]["bounced"]) == (names, True)


def test_a_merged_session_is_kept_and_does_not_count(warehouse: Warehouse) -> None:
    warehouse.write(a_session("a"), a_session("b", status="merged", merged_into="a"))
    assert len(warehouse.rows("SELECT * FROM fact_sessions")) == 2
    assert [row["session_id"] for row in warehouse.rows("SELECT * FROM sessions")] == ["a"]


def test_of_an_attribution_all_revisions_are_kept_and_the_newest_counts(
    warehouse: Warehouse,
) -> None:
    warehouse.write(
        an_attribution("v", 1, touch=None, method="organic", candidates=[]),
        an_attribution("v", 3, previous_method="organic", previous_touch_id="t9"),
        an_attribution("v", 2, method="view_deterministic"),
    )
    warehouse.write(an_attribution("v", 1), an_attribution("v", 3))
    [row] = warehouse.rows("SELECT * FROM attributions")
    assert (row["revision"], row["method"], row["touch_id"]) == (3, "click_deterministic", "t1")
    assert (row["cost"], row["cost_currency"]) == (Decimal("0.120000"), "USD")
    assert (row["touched_at"], row["window_ms"]) == (
        datetime(2025, 7, 10, 11, 59, 0, 123_000, UTC),
        7 * DAY_MS,
    )
    revisions = warehouse.rows("SELECT * FROM attribution_revisions ORDER BY revision")
    assert [row["method"] for row in revisions] == [
        "organic",
        "view_deterministic",
        "click_deterministic",
    ]
    assert revisions[0]["touch"] is None
    assert revisions[0]["candidates"] == []
    assert [one["verdict"] for one in revisions[2]["candidates"]] == ["chosen", "older"]
    assert revisions[2]["unanswered"] == ['user:"x", y']
    assert revisions[2]["previous_touch_id"] == "t9"


def test_writers_beside_each_other_do_not_stand_in_each_others_way(
    warehouse: Warehouse,
) -> None:
    def write(number: int) -> None:
        writer = Writer(warehouse.url, "g")
        epochs = {one: claim.epoch for one, claim in writer.claim([("t", number)]).items()}
        days = range(12) if number % 2 else range(11, -1, -1)
        for offset, day in enumerate(days):
            # The same days, people and campaigns as the others, in another order.
            records = [
                an_event(
                    f"{number}-{day}-{n}",
                    timestamp_ms=AT_MS + day * DAY_MS,
                    person=f"user:{n * (1 if number % 2 else -1) % 50}",
                    campaign=Campaign(campaign_id=f"c{n % 7}"),
                )
                for n in range(50)
            ]
            messages = [
                Message("t", number, offset * 50 + n, encode(one)) for n, one in enumerate(records)
            ]
            for batch in batches(messages, version="1"):
                writer.write(batch, epochs)
        writer.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, number) for number in range(1, 5)]:
            done.result()
    assert warehouse.rows("SELECT count(*) FROM fact_events") == [{"count": 4 * 12 * 50}]
    assert warehouse.rows("SELECT count(*) FROM dim_users") == [{"count": 50}]


def test_what_was_rejected_is_kept_with_its_bytes_once(warehouse: Warehouse) -> None:
    warehouse.write(a_rejected(origin="/v1/event"), a_rejected())
    warehouse.write(a_rejected())
    [row] = warehouse.rows("SELECT * FROM rejected")
    assert bytes(row.pop("payload")) == b"\x00\xff{"
    assert row == {
        "rejected_id": "r1",
        "app_id": "demo",
        "stage": "collector",
        "reasons": ["malformed_body", "too_deep"],
        "detail": "no, really",
        "content_type": "application/json",
        "received_at": _AT,
        "version": "0.1.0",
        "origin": "/v1/event",
        **dict.fromkeys(("key", "ip", "user_agent", "replayed_at", "replay_result")),
    }


def test_what_cannot_be_decoded_is_rejected_once_and_the_rest_goes_on(
    warehouse: Warehouse,
) -> None:
    tick = encode(Tick(at_ms=1))
    warehouse.write(b"nonsense", an_event("a"), None, tick, encode(an_event("b"))[:-3])
    warehouse.offset = 0
    warehouse.write(b"nonsense")
    rows = warehouse.rows("SELECT * FROM rejected ORDER BY rejected_id")
    assert [row["rejected_id"] for row in rows] == [f"warehouse:t:0:{n}" for n in (0, 2, 3, 4)]
    assert {row["stage"] for row in rows} == {"warehouse"}
    assert {tuple(row["reasons"]) for row in rows} == {("undecodable",)}
    assert {row["version"] for row in rows} == {"1.2.3"}
    assert bytes(rows[0]["payload"]) == b"nonsense"
    assert len(warehouse.rows("SELECT * FROM fact_events")) == 1


def test_people_are_known_from_first_to_last(warehouse: Warehouse) -> None:
    warehouse.write(
        an_event("b", timestamp_ms=AT_MS, country="DE", user_id="u1"),
        an_event("c", timestamp_ms=AT_MS + 1000, country="FR"),
        an_event("x", person="device:d2"),
    )
    warehouse.write(an_event("a", timestamp_ms=AT_MS - DAY_MS, country="GB", os_name="iOS"))
    warehouse.write(an_event("a", timestamp_ms=AT_MS - DAY_MS, country="GB", os_name="iOS"))
    rows = warehouse.rows("SELECT * FROM dim_users ORDER BY person")
    assert [row["person"] for row in rows] == ["device:d2", "user:u1"]
    known = rows[1]
    assert known["first_seen_at"] == datetime(2025, 7, 9, 12, 0, 0, 123_000, UTC)
    assert known["last_seen_at"] == datetime(2025, 7, 10, 12, 0, 1, 123_000, UTC)
    assert (known["country"], known["os_name"]) == ("FR", "iOS")


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("together", [False, True])
def test_of_a_person_the_newest_that_is_known_counts_in_any_order(
    warehouse: Warehouse, order: tuple[int, ...], *, together: bool
) -> None:
    said: list[dict[str, Any]] = [
        {"country": "DE", "os_name": "iOS", "user_id": "u1"},
        {"country": "FR"},
        {},
    ]
    events = [an_event(str(n), timestamp_ms=AT_MS + n, **said[n]) for n in order]
    if together:
        warehouse.write(*events)
    else:
        for event in events:
            warehouse.write(event)
    [row] = warehouse.rows("SELECT user_id, country, os_name FROM dim_users")
    assert row == {"user_id": "u1", "country": "FR", "os_name": "iOS"}


def test_campaigns_are_known_from_events_and_from_touches(warehouse: Warehouse) -> None:
    warehouse.write(
        an_event("a", campaign=Campaign(campaign_id="cmp001", utm_source="s", channel="email")),
        an_event("b", campaign=Campaign(utm_campaign="summer")),
        an_event("c", campaign=Campaign(utm_source="nothing named")),
        an_attribution(touch=a_touch(channel=None)),
    )
    rows = warehouse.rows("SELECT * FROM dim_campaigns ORDER BY campaign")
    assert [row["campaign"] for row in rows] == ["cmp001", "summer"]
    assert (rows[0]["network"], rows[0]["utm_source"], rows[0]["channel"]) == (
        "google",
        "s",
        "email",
    )
    assert rows[0]["first_seen_at"] == datetime(2025, 7, 10, 11, 59, 0, 123_000, UTC)
    assert rows[0]["last_seen_at"] == _AT


def test_offsets_are_stored_with_the_rows_and_a_claim_tells_them(warehouse: Warehouse) -> None:
    warehouse.write(an_event("a"), an_event("b"))
    other = Writer(warehouse.url, "g")
    claims = other.claim([("t", 0), ("t", 1)])
    other.close()
    assert claims["t", 0] == (2, warehouse.epochs["t", 0] + 1)
    assert claims["t", 1] == (None, 1)


def test_a_writer_that_was_replaced_writes_nothing(warehouse: Warehouse) -> None:
    warehouse.write(an_event("a"))
    other = Writer(warehouse.url, "g")
    other.claim([("t", 0)])
    other.close()
    with pytest.raises(WriterFencedError, match="another writer owns"):
        warehouse.write(an_event("b"), a_session())
    assert warehouse.rows("SELECT event_id FROM fact_events") == [{"event_id": "a"}]
    assert warehouse.rows("SELECT * FROM fact_sessions") == []
    assert warehouse.rows("SELECT next_offset FROM consumer_offsets") == [{"next_offset": 1}]


def test_a_value_that_is_refused_leaves_nothing_of_its_batch(warehouse: Warehouse) -> None:
    with pytest.raises(RowsRefusedError):
        warehouse.write(an_event("a"), an_event("b", properties="{"))
    with pytest.raises(RowsRefusedError, match="index"):
        warehouse.write(an_event("".join(chr(0x4E00 + n) for n in range(9000))))
    assert warehouse.rows("SELECT * FROM fact_events") == []
    assert warehouse.rows("SELECT next_offset FROM consumer_offsets") == [{"next_offset": None}]
    warehouse.write(an_event("a"))


def test_a_lost_connection_is_unavailable_and_the_next_try_connects_anew(
    warehouse: Warehouse, engine: Engine
) -> None:
    warehouse.write(an_event("a"))
    with engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    with pytest.raises(StorageUnavailableError):
        warehouse.write(an_event("b"))
    warehouse.write(an_event("b"))
    assert len(warehouse.rows("SELECT * FROM fact_events")) == 2


def test_without_a_server_it_is_unavailable() -> None:
    with pytest.raises(StorageUnavailableError):
        Writer("postgresql://u@127.0.0.1:1/d", "g").claim([("t", 0)])


def test_a_database_that_is_not_migrated_is_an_error_of_its_own(database_url: str) -> None:
    with pytest.raises(StorageError, match="consumer_offsets") as raised:
        Writer(database_url, "g").claim([("t", 0)])
    assert not isinstance(raised.value, StorageUnavailableError)
