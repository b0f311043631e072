"""The whole service on one machine, as somebody meets it who has just installed it."""

from __future__ import annotations

import json
import re
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.cli.upped import (
    Up,
    eventually,
    get,
    install,
    method_of,
    query,
    started,
    trackstream,
)
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("up")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that is ready, for the tests that only use it."""
    with started(tmp_path_factory.mktemp("up") / "data", "--json") as up:
        up.line('"ready"')
        yield up


@pytest.fixture(scope="module")
def ready(up: Up) -> dict[str, Any]:
    """Its one line."""
    (line,) = up.out
    found: dict[str, Any] = json.loads(line)
    return found


def test_the_one_line_says_where_everything_is(ready: dict[str, Any]) -> None:
    assert list(ready) == [
        "ready",
        "collector_url",
        "worker_url",
        "kafka",
        "postgres",
        "redis",
        "app_id",
        "key_id",
        "secret",
        "write_key",
        "archive",
    ]
    assert ready["ready"] is True
    assert ready["archive"] is None
    assert ready["app_id"] == "demo"
    assert get(f"{ready['collector_url']}/health/ready")[0] == 200
    assert get(f"{ready['worker_url']}/health/ready")[0] == 200


def test_files_with_secrets_are_the_owners(up: Up, ready: dict[str, Any]) -> None:
    assert ready
    for name in ("running.json", "credentials.json", "master.key"):
        assert stat.S_IMODE((up.data_dir / name).stat().st_mode) == 0o600


def test_a_click_then_an_install_is_attributed_everywhere(up: Up, ready: dict[str, Any]) -> None:
    status, location = get(f"{ready['collector_url']}/c/demo-hello?device_id=phone-1")
    assert status == 302
    assert location.startswith("https://shop.example.com/?trackstream_click_id=")
    install(ready, "install-1", "phone-1")
    assert method_of(ready, "install-1") == ("click_deterministic", "demo-hello")

    record = on_the_topic(ready, "demo:install-1")
    assert record["method"] == "click_deterministic"
    assert record["touch"]["campaign_id"] == "demo-hello"

    line = eventually(lambda: next((one for one in up.err if "demo:install-1" in one), None))
    assert line.split()[2:] == [
        "demo",
        "install",
        "click_deterministic",
        "demo-hello",
        "demo:install-1",
    ]
    assert len(up.out) == 1

    told = trackstream(up.data_dir, "explain", "demo:install-1")
    assert told.returncode == 0, told.stderr
    assert "brought by a click of campaign demo-hello" in told.stdout
    assert re.search(r"click +demo-hello +click_deterministic +device:phone-1 +chosen", told.stdout)
    (as_json,) = json.loads(trackstream(up.data_dir, "explain", "install-1", "--json").stdout)
    assert as_json["revisions"][-1]["candidates"][0]["verdict"] == "chosen"


def on_the_topic(ready: dict[str, Any], conversion_id: str) -> dict[str, Any]:
    """The attribution as another team reads it, with nothing of ours but the URLs."""
    topic = "trackstream.attributions"
    registry = SchemaRegistryClient({"url": ready["collector_url"]})
    deserialize = AvroDeserializer(registry)
    consumer = Consumer(
        {
            "bootstrap.servers": ready["kafka"].removeprefix("kafka://"),
            "group.id": "another-team",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                context = SerializationContext(topic, MessageField.VALUE)
                record: dict[str, Any] = deserialize(message.value(), context)
                if record["conversion_id"] == conversion_id:
                    return record
    finally:
        consumer.close()
        registry.close()
    raise AssertionError(f"{conversion_id} is not on {topic}")


def test_an_organic_install_is_explained(up: Up, ready: dict[str, Any]) -> None:
    # of another system than the phones that click in other tests, from this same address
    install(ready, "install-2", "phone-2", context={"os": {"name": "iOS"}})
    assert method_of(ready, "install-2") == ("organic", None)
    told = trackstream(up.data_dir, "explain", "install-2").stdout
    assert "Organic: it came by itself" in told
    assert "device:phone-2" in told


def test_apps_keys_and_links_are_made_and_used(up: Up, ready: dict[str, Any]) -> None:
    made = trackstream(up.data_dir, "apps", "create", "shop", "--name", "The shop")
    assert made.returncode == 0, made.stderr
    again = trackstream(up.data_dir, "apps", "create", "shop")
    assert (again.returncode, again.stderr) == (1, "trackstream: app shop exists\n")
    apps = json.loads(trackstream(up.data_dir, "apps", "list", "--json").stdout)
    assert {"app_id": "shop", "name": "The shop"} in apps

    arguments = ["keys", "create", "--app", "shop", "--kind", "write", "--json"]
    (key,) = json.loads(trackstream(up.data_dir, *arguments).stdout)
    arguments = ["links", "create", "spring", "--app", "shop", "--json"]
    arguments += ["--web", "https://shop.example.com/spring", "--slug", "spring"]
    (link,) = json.loads(trackstream(up.data_dir, *arguments).stdout)
    assert link["url"] == f"{ready['collector_url']}/c/spring"

    eventually(lambda: get(link["url"])[0] == 302)
    assert trackstream(up.data_dir, "keys", "revoke", key["key_id"]).returncode == 0
    listed = json.loads(trackstream(up.data_dir, "keys", "list", "--app", "shop", "--json").stdout)
    assert [one["key_id"] for one in listed] == [key["key_id"]]
    assert listed[0]["revoked_at"]


def test_topics_are_listed(up: Up, ready: dict[str, Any]) -> None:
    assert ready
    assert trackstream(up.data_dir, "migrate").returncode == 0
    assert trackstream(up.data_dir, "topics", "create").returncode == 0
    rows = json.loads(trackstream(up.data_dir, "topics", "list", "--json").stdout)
    assert {row["topic"].removeprefix("trackstream.") for row in rows} >= {"raw", "attributions"}
    assert all(row["partitions"] == 8 for row in rows)


def test_an_imported_log_counts_once(up: Up, ready: dict[str, Any], tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(
        "".join(
            f"192.0.2.{number % 7} - - [17/May/2015:10:05:{number:02} +0000] "
            f'"GET /page/{number} HTTP/1.1" 200 203 "-" "Mozilla/5.0 (X11) Firefox/127.0"\n'
            for number in range(60)
        )
        + "this is no request\n"
    )
    for _ in range(2):
        done = trackstream(up.data_dir, "import", "access-log", str(log), "--batch", "7", "--json")
        assert done.returncode == 0, done.stderr
        (totals,) = json.loads(done.stdout)
        assert (totals["lines"], totals["events"], totals["malformed"]) == (61, 60, 1)
        assert totals["visitors"] == 7
    # What comes after them has been written after them.
    install(ready, "install-3", "phone-3")
    method_of(ready, "install-3")
    sql = "SELECT count(*), count(DISTINCT person) FROM fact_events WHERE event_id LIKE 'log-%%'"
    eventually(lambda: query(ready, sql) == [(60, 7)])


def test_simulated_people_come_out_as_is_true(up: Up, ready: dict[str, Any]) -> None:
    assert ready
    done = trackstream(
        up.data_dir, "simulate", "--users", "40", "--seed", "3", "--wait", "300", "--json"
    )
    assert done.returncode == 0, done.stderr + done.stdout
    rows = json.loads(done.stdout)
    assert len(rows) == 16
    assert rows[-1]["journey"] == "all"
    assert rows[-1]["users"] == 40
    assert rows[-1]["as expected"] == rows[-1]["expected"] > 40


def test_outcomes_that_are_not_there_yet_are_missing(up: Up, ready: dict[str, Any]) -> None:
    assert ready
    done = trackstream(up.data_dir, "simulate", "--users", "15", "--wait", "0", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)[-1]["missing"] > 0
    assert "are not as expected" in done.stderr


def test_a_second_up_on_the_directory_is_refused(up: Up, ready: dict[str, Any]) -> None:
    assert ready
    done = trackstream(up.data_dir, "up")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "`trackstream up` is already running on" in done.stderr
    assert "TRACKSTREAM_DATA_DIR" in done.stderr
