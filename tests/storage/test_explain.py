from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.storage.records import an_attribution, an_event
from trackstream.codec import encode
from trackstream.core.records import Earlier
from trackstream.storage.errors import NotFoundError
from trackstream.storage.explain import explain
from trackstream.storage.warehouse.batch import Message, batches
from trackstream.storage.warehouse.writer import Writer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.core.records import Record


def _write(url: str, *records: Record) -> None:
    writer = Writer(url, "g")
    epochs = {one: claim.epoch for one, claim in writer.claim([("t", 0)]).items()}
    messages = [Message("t", 0, n, encode(record)) for n, record in enumerate(records)]
    for batch in batches(messages, version="1"):
        writer.write(batch, epochs)
    writer.close()


def test_every_revision_comes_back_as_it_was_published(migrated_url: str, engine: Engine) -> None:
    first = an_attribution("v", 1, touch=None, method="organic", candidates=[], identifier=None)
    second = an_attribution(
        "v", 2, previous_method="organic", revenue_micros=1_500_000, currency="EUR", country="DE"
    )
    _write(migrated_url, second, first, an_attribution("other", event_id="e2"), an_event())
    [found] = explain(engine, "v")
    assert (found.conversion_id, found.at_ms, found.revenue, found.currency) == (
        "v",
        second.at_ms,
        "1.500000",
        "EUR",
    )
    assert [one.revision for one in found.revisions] == [1, 2]
    for told, published in zip(found.revisions, (first, second), strict=True):
        assert told.touch == published.touch
        assert told.candidates == published.candidates
        assert told.unanswered == published.unanswered
        assert told.decided_at_ms == published.decided_at_ms
        assert told.method == published.method


def test_what_is_taken_over_is_called_what_it_is(migrated_url: str, engine: Engine) -> None:
    earlier = [
        Earlier(conversion_id=kind, kind=kind, at_ms=1, identifiers=["device:d1"])
        for kind in ("install", "reengagement")
    ]
    _write(
        migrated_url,
        an_attribution("v", earlier=earlier),
        an_attribution("w", event_id="e2", inherited_from="reengagement", earlier=earlier),
        an_attribution("x", event_id="e3", inherited_from="install", earlier=earlier),
        an_attribution("y", event_id="e4", inherited_from="unknown", earlier=earlier),
    )
    kinds = {name: explain(engine, name)[0].revisions[0].inherited_kind for name in "vwxy"}
    assert kinds == {"v": None, "w": "reengagement", "x": "install", "y": None}


def test_an_event_id_names_its_conversion_in_each_app(migrated_url: str, engine: Engine) -> None:
    _write(migrated_url, an_attribution("v"), an_attribution("w", app_id="second"))
    assert [one.conversion_id for one in explain(engine, "e1")] == ["v", "w"]
    assert [one.app_id for one in explain(engine, "e1", app_id="second")] == ["second"]


def test_what_is_not_there_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFoundError, match="none-such"):
        explain(engine, "none-such")
