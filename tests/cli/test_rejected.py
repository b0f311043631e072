"""`trackstream rejected` on a warehouse, a collector and a log: from a refusal to its end."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner

from tests.http.served import registered_key, running
from tests.ports import free_port
from tests.storage.warehoused import write
from trackstream import codec
from trackstream.cli import main
from trackstream.cli.rejected_replay import why_not
from trackstream.core.records import Envelope, RawEvent, Rejected
from trackstream.core.resending import inflated, resendable
from trackstream.settings import Settings
from trackstream.storage.migrations import migrate
from trackstream.storage.rejections import Kept
from trackstream.storage.topics import bootstrap_servers, ensure_topics

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from click.testing import Result

    from trackstream.core.records import Record

AT_MS = 1_752_148_800_000
HOUR_MS = 3_600_000


def refused(rejected_id: str, payload: bytes, **other: Any) -> Rejected:
    values: dict[str, Any] = {
        "rejected_id": rejected_id,
        "app_id": "shop",
        "stage": "collector",
        "reasons": ["missing_field"],
        "detail": "timestamp is missing",
        "payload": payload,
        "received_at_ms": AT_MS,
        "version": "1",
        "origin": "/v1/event",
    }
    return Rejected(**{**values, **other})


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["rejected", *arguments])
    assert "Traceback" not in result.output
    return result


def rows(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(invoke(*arguments, "--json").stdout)
    return found


async def written(settings: Settings, topic: str) -> list[Record]:
    """All that is in the topic."""
    name = settings.topic_prefix + topic
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers(settings.kafka_url), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        places = [TopicPartition(name, number) for number in range(settings.topic_partitions)]
        consumer.assign(places)
        left = sum((await consumer.end_offsets(places)).values())
        found: list[Record] = []
        while len(found) < left:
            for messages in (await consumer.getmany(timeout_ms=200)).values():
                found += [codec.decode(one.value) for one in messages]
        return found
    finally:
        await consumer.stop()


def test_what_was_refused_is_listed_shown_and_replayed_once(  # noqa: PLR0915 - one story
    database_url: str,
    kafka_url: str,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        postgres_url=database_url,
        kafka_url=kafka_url,
        topic_prefix=topic_prefix,
        topic_partitions=2,
        collector_port=free_port(),
    )
    key = registered_key(settings)
    asyncio.run(ensure_topics(settings))
    envelope = codec.encode(
        Envelope(
            app_id="shop",
            subject="shop|device:d1",
            received_at_ms=AT_MS,
            events=[RawEvent(event_id="e-raw", event="view", timestamp_ms=AT_MS, device_id="d1")],
        )
    )
    now_ms = int(time.time() * 1000)
    good = {"event": "view", "user_id": "u1", "timestamp": AT_MS, "sent_at": AT_MS}
    bad = b'{"event": "view"}'
    write(
        database_url,
        refused("r-good", json.dumps(good).encode(), ip="203.0.113.9", user_agent="agent"),
        refused("r-bad", bad, reasons=["missing_field", "no_identifier"]),
        refused("r-other", bad, app_id="other", received_at_ms=now_ms),
        refused(
            "raw-0-7", envelope, stage="enrich", reasons=["internal"], origin="raw", key="shop|x"
        ),
        refused("r-bot", b'{"kind": "click"}', reasons=["bot"], origin=None),
        refused("r-hex", b"\x00\xff", stage="warehouse", reasons=["undecodable"], origin=None),
    )
    for name, value in settings.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRACKSTREAM_COLLECTOR_URL", f"http://127.0.0.1:{settings.collector_port}")
    monkeypatch.setenv("TRACKSTREAM_KEY_ID", key.key_id)
    monkeypatch.setenv("TRACKSTREAM_SECRET", key.secret or "")

    assert {one["rejected_id"] for one in rows("list")} == {
        *("r-good", "r-bad", "r-other", "raw-0-7", "r-hex", "r-bot"),
    }
    assert [one["rejected_id"] for one in rows("list", "--reason", "bot")] == ["r-bot"]
    assert [one["rejected_id"] for one in rows("list", "--reason", "bot", "--waiting")] == ["r-bot"]
    assert '"kind": "click"' in invoke("show", "r-bot").stdout
    assert [one["rejected_id"] for one in rows("list", "--limit", "1")] == ["r-other"]
    assert [one["rejected_id"] for one in rows("list", "--reason", "no_identifier")] == ["r-bad"]
    assert [one["rejected_id"] for one in rows("list", "--stage", "enrich")] == ["raw-0-7"]
    assert [one["rejected_id"] for one in rows("list", "--since", "2025-08-01")] == ["r-other"]
    for since, found in (("14:00:00+02:00", 6), ("12:00:00Z", 6), ("12:00:00.001Z", 1)):
        assert len(rows("list", "--since", f"2025-07-10T{since}")) == found
    assert "missing_field, no_identifier" in invoke("list", "--app", "shop").stdout
    assert invoke("list", "--reason", "bad_mood").exit_code == 2
    assert '"user_id": "u1"' in invoke("show", "r-good").stdout
    assert '"event_id": "e-raw"' in invoke("show", "raw-0-7").stdout
    assert invoke("show", "r-hex").stdout.endswith("\n\n00ff\n")
    assert "nothing rejected has the id r-none" in invoke("show", "r-none").stderr

    with running(settings):
        asked = CliRunner().invoke(main, ["rejected", "replay"], input="n\n")
        waiting_rows = [one for one in rows("list") if one["rejected_id"] != "r-bot"]
        assert (asked.exit_code, rows("list", "--waiting")) == (1, waiting_rows)
        done = invoke("replay", "--yes", "--json")
        assert done.exit_code == 1
        totals = {one["result"]: one["count"] for one in json.loads(done.stdout)}
        assert totals == {"accepted": 1, "refused": 1, "sent": 1, "left": 2}
        assert "r-other: left: it is other's" in done.stderr
        assert "r-hex: left" in done.stderr
        waiting = {one["rejected_id"] for one in rows("list", "--waiting")}
        assert waiting == {"r-other", "r-hex"}
        assert "Nothing such waits" in invoke("replay", "r-good", "--yes").stderr
        for which in (["r-bot"], ["--reason", "bot"]):
            told = invoke("replay", *which, "--yes")
            assert (told.exit_code, told.stdout.split()[-2:]) == (1, ["left", "1"])
            assert "r-bot: left: it is a robot's" in told.stderr
        once_more = invoke("replay", "r-good", "--again", "--yes")
        assert (once_more.exit_code, once_more.stdout.split()[-2:]) == (0, ["accepted", "1"])

    envelopes = [one for one in asyncio.run(written(settings, "raw")) if isinstance(one, Envelope)]
    posted = [one for one in envelopes if one.events[0].event_id == "rejected:r-good"]
    assert len(posted) == 2
    assert {(one.ip, one.user_agent) for one in posted} == {("203.0.113.9", "agent")}
    assert all(one.received_at_ms - (one.sent_at_ms or 0) < HOUR_MS for one in posted)
    assert [one.events[0].event_id for one in envelopes if one not in posted] == ["e-raw"]
    (again,) = asyncio.run(written(settings, "rejected"))
    assert isinstance(again, Rejected)
    assert json.loads(again.payload) == {"event": "view", "event_id": "rejected:r-bad"}
    assert again.origin == "/v1/event"


def resent(document: object, origin: str, **seen: str | None) -> Any:
    body = resendable(
        json.dumps(document).encode(),
        origin=origin,
        received_at_ms=AT_MS,
        now_ms=AT_MS + HOUR_MS,
        **{"ip": None, "user_agent": None, **seen},
    )
    return json.loads(body)


def test_a_body_that_comes_later_keeps_the_devices_clock_and_address() -> None:
    event = {"event": "x", "sent_at": AT_MS - 5, "context": {"ip": "192.0.2.1"}}
    assert resent({"sent_at": AT_MS, "events": [event, 7]}, "/v1/batch", ip="192.0.2.9") == {
        "sent_at": AT_MS + HOUR_MS,
        "events": [{**event, "sent_at": AT_MS - 5 + HOUR_MS}, 7],
    }
    call = {"userId": "u", "sentAt": "2025-07-10T12:00:00Z"}
    assert resent(call, "/v1/track", ip="192.0.2.9", user_agent="a") == {
        "userId": "u",
        "sentAt": AT_MS + HOUR_MS,
        "timestamp": "2025-07-10T12:00:00Z",
        "context": {"ip": "192.0.2.9", "userAgent": "a"},
    }
    assert resent({"userId": "u"}, "/v1/track") == {"userId": "u", "timestamp": AT_MS}
    assert resent({"batch": [call]}, "/v1/batch")["batch"][0]["sentAt"] == AT_MS + HOUR_MS
    assert resent({"sent_at": "soon", "event": "x"}, "/v1/event")["sent_at"] == "soon"
    assert resent([1], "/v1/event") == [1]


def test_a_compressed_body_is_read_and_a_broken_one_left() -> None:
    assert inflated(gzip.compress(b"{}")) == b"{}"
    assert inflated(zlib.compress(b"{}")) == b"{}"
    broken = gzip.compress(b"{}")[:-9]
    assert inflated(broken) == broken
    assert inflated(b"x") == b"x"


def test_a_long_original_is_left_only_if_it_was_cut() -> None:
    request = Kept(
        rejected_id="r", app_id="shop", stage="collector", reasons=[], detail="", content_type=None,
        version="1", origin="/v1/batch", key=None, ip=None, user_agent=None, replay_result=None,
        received_at_ms=AT_MS, replayed_at_ms=None, payload_bytes=256 * 1024,
    )  # fmt: skip
    assert "cut off" in why_not(request)
    spooled = msgspec.structs.replace(request, rejected_id="spool:raw:1", origin="raw")
    assert why_not(spooled) == ""
    assert why_not(msgspec.structs.replace(spooled, origin=None))


def test_a_terminal_shows_nothing_that_a_sender_has_put_in_to_steer_it(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path, postgres_url=database_url)
    migrate(database_url)
    payload = b'{"event": "\\ud800", "properties": {"\x7f\xc2\x9b2J": "\\u001b[2J"}}'
    write(database_url, refused("r-odd", payload, detail="properties.\x1b[2J is not defined"))
    for name, value in settings.environ().items():
        monkeypatch.setenv(name, value)
    for arguments in (
        ("list",),
        ("show", "r-odd"),
        ("list", "--json"),
        ("show", "r-odd", "--json"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 0, result.output
        steering = {one for one in result.stdout if not one.isprintable()} - {"\n"}
        assert not steering
    assert "properties.\ufffd[2J" in invoke("show", "r-odd").stdout
