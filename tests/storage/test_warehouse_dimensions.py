"""People and campaigns are what was said of them last, whatever came in which order."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import text

from tests.storage.records import AT_MS, a_touch, an_attribution, an_event
from tests.storage.warehoused import writing
from trackstream.core.records import Campaign

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.core.records import Record


def campaign(**more: Any) -> Campaign:
    return Campaign(campaign_id="spring", **more)


# The channel is first told between two moments that are known, and the source by the newest; two
# say something else of the medium at one moment; a decision knows the network alone, and the
# channel of its touch, which is older than all.
SAID: list[Record] = [
    an_event("0", campaign=campaign(utm_source="old", utm_medium="b"), country="DE"),
    an_event("1", timestamp_ms=AT_MS + 5, campaign=campaign(channel="email"), country="FR"),
    an_event("2", timestamp_ms=AT_MS + 9, campaign=campaign(utm_source="new"), os_name="iOS"),
    an_event("3", timestamp_ms=AT_MS + 5, campaign=campaign(utm_medium="c"), country="AT"),
    an_event("4", timestamp_ms=AT_MS + 5, campaign=campaign(utm_medium="d"), country="GB"),
    an_attribution(touch=a_touch(campaign_id="spring", network="google", channel="paid")),
]
CAMPAIGN = {"channel": "email", "network": "google", "utm_source": "new", "utm_medium": "d"}
PERSON = {"country": "GB", "os_name": "iOS"}


def known(engine: Engine, table: str, app_id: str, names: dict[str, Any]) -> dict[str, Any]:
    with engine.begin() as connection:
        found = connection.execute(
            text(f"SELECT {', '.join(names)} FROM {table} WHERE app_id = :app_id"),
            {"app_id": app_id},
        )
        return dict(found.mappings().one())


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_every_order_of_three_ends_the_same(
    engine: Engine, migrated_url: str, at_once: int
) -> None:
    first: dict[frozenset[int], dict[str, Any]] = {}
    three = [(0, 1, 2), (0, 3, 4), (0, 1, 5), (2, 3, 5), (1, 2, 4)]
    orders = [order for one in three for order in permutations(one)]
    with writing(migrated_url) as written:
        for number, order in enumerate(orders):
            records = [msgspec.structs.replace(SAID[n], app_id=f"app{number}") for n in order]
            for begin in range(0, 3, at_once):
                written(*records[begin : begin + at_once])
    for number, order in enumerate(orders):
        ends = known(engine, "dim_campaigns", f"app{number}", CAMPAIGN)
        assert first.setdefault(frozenset(order), ends) == ends, order


@pytest.mark.parametrize("order", [SAID, SAID[::-1], SAID[3:] + SAID[:3]])
def test_the_newest_of_each_counts(engine: Engine, migrated_url: str, order: list[Record]) -> None:
    with writing(migrated_url) as written:
        for one in order:
            written(one)
    assert known(engine, "dim_campaigns", "demo", CAMPAIGN) == CAMPAIGN
    assert known(engine, "dim_users", "demo", PERSON) == PERSON
