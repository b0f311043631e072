"""What an app has defined, at the collector: from the command to the answers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.http.service import EVENT, Registered, Service
from trackstream.cli import main
from trackstream.core.definitions_file import definitions_of_text
from trackstream.core.records import Envelope, Rejected
from trackstream.ports import App
from trackstream.storage.database import make_engine
from trackstream.storage.directory import CachedDirectory
from trackstream.storage.migrations import migrate
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
mode = "strict"
[events.view.properties]
level = { type = "integer", required = true }
"""
GOOD = {**EVENT, "properties": {"level": 3}}


@pytest.fixture
def defined(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A collector whose app has defined `view`, strictly."""
    _define(monkeypatch, FILE)
    return service


def _define(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    app = App(app_id="shop", name="shop", definitions=definitions_of_text(text))
    monkeypatch.setattr(Registered, "app", lambda *_: app)


async def test_strict_refuses_what_is_not_as_defined_with_all_reasons(defined: Service) -> None:
    assert (await defined.post("/v1/event", GOOD)).status == 201
    response = await defined.post("/v1/event", {"event": "view", "user_id": "u"})
    assert response.status == 422
    answer = await response.json()
    assert [one["reason"] for one in answer["errors"]] == ["missing_field", "invalid_property"]
    assert (await defined.post("/v1/event", {**EVENT, "event": "veiw"})).status == 422
    assert (await defined.post("/v1/event", {**EVENT, "event": "purchase"})).status == 201
    batch = await defined.post("/v1/batch", {"events": [GOOD, EVENT, {**EVENT, "event": "x"}]})
    verdicts = (await batch.json())["events"]
    assert [one.get("reasons") for one in verdicts] == [
        None,
        ["invalid_property"],
        ["unknown_event"],
    ]
    kept = [one for _, one in defined.sink.records("rejected") if isinstance(one, Rejected)]
    assert [one.reasons[-1] for one in kept] == [
        *("invalid_property", "unknown_event", "invalid_property", "unknown_event"),
    ]


async def test_segments_calls_are_judged_by_our_names(defined: Service) -> None:
    calls: list[dict[str, Any]] = [
        {"type": "identify", "userId": "u", "traits": {"level": 1}},
        {"type": "track", "userId": "u", "event": "Order Completed"},
        {"type": "track", "userId": "u", "event": "view", "properties": {"level": "x"}},
        {"type": "track", "userId": "u", "event": "nonsense"},
    ]
    calls = [{**one, "timestamp": EVENT["timestamp"]} for one in calls]
    answer = await (await defined.post("/v1/batch", {"batch": calls})).json()
    assert [one.get("reasons") for one in answer["events"]] == [
        *(None, None, ["invalid_property"], ["unknown_event"]),
    ]


async def test_lenient_accepts_and_marks(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    _define(monkeypatch, FILE.replace("strict", "lenient"))
    for event in (GOOD, EVENT, {**EVENT, "event": "x"}):
        assert (await service.post("/v1/event", event)).status == 201
    envelopes = [one for _, one in service.sink.records("raw") if isinstance(one, Envelope)]
    contexts = [one.events[0].context for one in envelopes]
    assert [json.loads(one.extra or "{}") if one else None for one in contexts] == [
        None,
        {"$definition": {"properties.level": "invalid_property"}},
        {"$definition": {"event": "unknown_event"}},
    ]
    shown = await (await service.client.get("/metrics")).text()
    assert 'definition_marks_total{reason="unknown_event"} 1' in shown
    assert 'definition_marks_total{reason="invalid_property"} 1' in shown


def test_a_file_is_checked_set_shown_and_known_to_collectors(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", database_url)
    monkeypatch.setenv("TRACKSTREAM_APP_ID", "shop")
    file = tmp_path / "events.toml"
    file.write_text(FILE, "utf-8")

    def events(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(main, ["events", *arguments])
        return result.exit_code, result.stdout, result.stderr

    assert events("check", str(file))[::2] == (
        *(0, "No problems. The mode is strict; standard events are known.\n"),
    )
    migrate(database_url)
    engine = make_engine(database_url)
    Registry(engine, MasterKey(bytes(32))).create_app("shop")
    directory = CachedDirectory(engine, MasterKey(bytes(32)))

    async def known() -> object:
        await directory.refresh()
        app = directory.app("shop")
        return app and app.definitions

    assert asyncio.run(known()) is None
    assert "defines no events" in events("show")[1]
    assert events("set", str(file))[0] == 0
    assert events("show")[1] == FILE
    assert json.loads(events("show", "--json")[1])[0]["property"] == "level"
    assert asyncio.run(known()) == definitions_of_text(FILE)
    assert events("set", str(file), "--app", "none") == (
        *(1, "", "trackstream: there is no app none: `trackstream apps create none` makes one\n"),
    )
    file.write_text("mode = 1", "utf-8")
    code, _, said = events("set", str(file))
    assert (code, said.startswith("trackstream: mode: ")) == (1, True)
    file.write_text("", "utf-8")
    assert events("set", str(file))[0] == 0
    assert asyncio.run(known()) is None
    engine.dispose()
