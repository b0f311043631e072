"""Credits in PostgreSQL are those of the revision that counts, in whatever order revisions come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.storage.records import AT_MS, an_attribution, an_event
from tests.storage.warehoused import write
from trackstream.core.records import Attribution, Credit
from trackstream.storage.explain import explain

if TYPE_CHECKING:
    from sqlalchemy import Engine


def _credit(touch_id: str, share: int, model: str = "linear", **other: Any) -> Credit:
    return Credit(
        model=model,
        touch_id=touch_id,
        campaign_id="cmp001",
        channel="search",
        share_millionths=share,
        revenue_micros=share * 10,
        **other,
    )


FIRST = an_attribution(
    "v",
    1,
    revenue_micros=10_000_000,
    currency="EUR",
    credits=[_credit("t1", 600_000), _credit("t0", 400_000), _credit("t1", 1_000_000, "last")],
)
SECOND = an_attribution("v", 2, currency="EUR", credits=[_credit("t2", 1_000_000)])
ORGANIC = an_attribution("v", 3, method="organic", touch=None, candidates=[])
OTHER = an_attribution("w", 1, currency="EUR", credits=[_credit("t1", 1_000_000)])


def _rows(engine: Engine, conversion_id: str) -> list[tuple[Any, ...]]:
    query = text(
        "SELECT model, touch_id, revision, share_millionths, revenue::text, currency, campaign_id, "
        "channel, extract(epoch from converted_at) * 1000 FROM attribution_credits "
        "WHERE conversion_id = :of ORDER BY model, touch_id"
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query, {"of": conversion_id})]


def test_credits_are_kept_as_they_were_given(migrated_url: str, engine: Engine) -> None:
    write(migrated_url, FIRST, an_event())
    rest = ("EUR", "cmp001", "search", AT_MS)
    assert _rows(engine, "v") == [
        ("last", "t1", 1, 1_000_000, "10.000000", *rest),
        ("linear", "t0", 1, 400_000, "4.000000", *rest),
        ("linear", "t1", 1, 600_000, "6.000000", *rest),
    ]
    [found] = explain(engine, "v")
    assert found.credits == sorted(
        FIRST.credits, key=lambda one: (one.model, -one.share_millionths)
    )


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST)], ids=["in order", "reversed"])
def test_a_newer_revision_replaces_them_and_an_older_does_not(
    order: tuple[Attribution, ...],
    at_once: bool,  # noqa: FBT001 # a case
    migrated_url: str,
    engine: Engine,
) -> None:
    batches = [order] if at_once else [(one,) for one in order]
    for offset, batch in enumerate([(OTHER,), *batches, *batches]):
        write(migrated_url, *batch, first_offset=offset * 10)
    assert [row[:4] for row in _rows(engine, "v")] == [("linear", "t2", 2, 1_000_000)]
    assert [row[:4] for row in _rows(engine, "w")] == [("linear", "t1", 1, 1_000_000)]


def test_what_becomes_organic_has_none_any_more(migrated_url: str, engine: Engine) -> None:
    write(migrated_url, FIRST, OTHER)
    write(migrated_url, ORGANIC, first_offset=2)
    write(migrated_url, SECOND, first_offset=3)
    assert _rows(engine, "v") == []
    assert len(_rows(engine, "w")) == 1


def test_a_reinstall_that_was_won_anew_is_marked(migrated_url: str, engine: Engine) -> None:
    write(migrated_url, an_attribution("v", reattribution=True), OTHER)
    for table in ("attributions", "attribution_revisions"):
        with engine.connect() as connection:
            query = text(f"SELECT conversion_id, reattribution FROM {table}")
            rows = {tuple(row) for row in connection.execute(query)}
        assert rows == {("v", True), ("w", False)}
