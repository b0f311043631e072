"""Where addresses are not to be kept, none is in what a worker publishes, nor in PostgreSQL."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import psycopg2
import pytest
from psycopg2 import sql

from tests.agents.running import Log, Worker, click, now_ms
from tests.storage.warehoused import write
from trackstream.core.identifiers import fingerprint
from trackstream.core.records import Attribution, Envelope, RawEvent, Session, Touch
from trackstream.core.segment import parse_message
from trackstream.core.validation import ParsedEvent
from trackstream.storage.database import make_engine
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.rules import RulesStore
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trackstream.settings import Settings

ADDRESS = "203.0.113.77"
NETWORK = "203.0.113."
FINGERPRINT = fingerprint(ADDRESS, "Android") or ""
APPS = {"whole": "full", "cut": "truncated", "none": "dropped"}


@pytest.fixture
def running(
    make_settings: Callable[[], Settings], database_url: str, folder: Path
) -> Iterator[Worker]:
    migrate(database_url)
    engine = make_engine(database_url)
    registry, store = Registry(engine, MasterKey(bytes(32))), RulesStore(engine)
    for app_id, privacy in APPS.items():
        registry.create_app(app_id)
        at_ms = store.set(app_id, f'ip_privacy = "{privacy}"\n').effective_at_ms
    engine.dispose()
    worker = Worker(replace(make_settings(), postgres_url=database_url), folder)
    try:
        worker.start()
        time.sleep(max(0, at_ms - now_ms()) / 1000 + 0.1)
        yield worker
    finally:
        assert worker.stop() == 0


def touch(app_id: str) -> Touch:
    return msgspec.structs.replace(
        click(f"c-{app_id}"),
        app_id=app_id,
        identifiers=[f"click:c-{app_id}", FINGERPRINT],
        ip=ADDRESS,
        os_name="Android",
        os_version="14",
        device_model="Pixel 8",
        language="de-AT",
        timezone="Europe/Vienna",
        country="AT",
    )


def install(app_id: str) -> Envelope:
    """As Segment's library for Android sends it, with an address that is none."""
    message = {
        "type": "track",
        "event": "Application Installed",
        "messageId": f"m-{app_id}",
        "anonymousId": f"a-{app_id}",
        "timestamp": now_ms(),
        "ip": ADDRESS,
        "context": {
            "ip": f"{ADDRESS}:51234",
            "os": {"name": "Android", "version": "14"},
            "device": {"id": f"d-{app_id}", "model": "Pixel 8", "ip_address": ADDRESS},
            "locale": "de-AT",
            "timezone": "Europe/Vienna",
            "network": {"wifi": True, "clientIp": ADDRESS},
            "odd": 1,
        },
    }
    parsed = parse_message(
        message, kind=None, received_at_ms=now_ms(), sent_at_ms=None, new_id=lambda: "new"
    ).result
    assert isinstance(parsed, ParsedEvent), parsed
    return posted(app_id, parsed.event)


def posted(app_id: str, event: RawEvent) -> Envelope:
    return Envelope(
        app_id=app_id,
        subject=f"{app_id}|device:d-{app_id}",
        received_at_ms=now_ms(),
        ip=ADDRESS,
        user_agent="Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)",
        events=[event],
    )


def texts(url: str, app_id: str) -> str:
    """Everything that any column of any table has of an app, as text."""
    found: list[str] = []
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT c.table_name FROM information_schema.columns c"
            " JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'"
            " AND c.column_name = 'app_id'"
        )
        for (table,) in cursor.fetchall():
            query = sql.SQL("SELECT t::text FROM {} t WHERE app_id = %s")
            cursor.execute(query.format(sql.Identifier(table)), (app_id,))
            found += [row for (row,) in cursor.fetchall()]
    return "\n".join(found)


async def test_no_topic_and_no_table_has_an_address_that_is_not_to_be_kept(
    running: Worker, database_url: str
) -> None:
    async with Log(running.settings) as log:
        for app_id in APPS:
            await log.touch(touch(app_id))
            await log.post(install(app_id))

        def decided(log: Log) -> dict[str, Attribution] | None:
            found = {
                one.app_id: one
                for one in log.of(Attribution)
                if one.kind == "install" and one.method == "click_probabilistic"
            }
            closed = {one.app_id for one in log.of(Session) if one.status == "closed"}
            return found if found.keys() == closed == APPS.keys() else None

        await log.until(decided)
        for app_id in APPS:
            buys = RawEvent(
                event_id=f"b-{app_id}",
                event="purchase",
                timestamp_ms=now_ms(),
                device_id=f"d-{app_id}",
                properties='{"revenue": 5, "currency": "EUR"}',
            )
            await log.post(posted(app_id, buys))
        await log.until(
            lambda log: (
                {one.app_id for one in log.of(Attribution) if one.method == "inherited"}
                == APPS.keys()
            )
        )
        await log.all_so_far()
        records = [one for held in log.records.values() for one in held]
    assert not log.records["rejected"]
    write(database_url, *records)
    for app_id, privacy in APPS.items():
        own = [one for one in records if getattr(one, "app_id", None) == app_id]
        for said in (msgspec.json.encode(own).decode(), texts(database_url, app_id)):
            assert f"m-{app_id}" in said
            assert ("51234" in said, "clientIp" in said) == (False, False)
            if privacy == "full":
                assert ADDRESS in said
                assert FINGERPRINT in said
            else:
                assert ADDRESS not in said
                assert FINGERPRINT not in said
                assert (NETWORK in said) is (privacy == "truncated")
