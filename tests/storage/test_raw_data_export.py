"""The view `raw_data_export`: each conversion in the words of measurement partners."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import text

from tests.core.matching.world import conversion
from tests.storage.records import AT_MS, DAY_MS, a_full_event, a_touch, an_attribution
from tests.storage.warehoused import write
from trackstream.core.postbacks.macros import values_of
from trackstream.core.records import Attribution, Campaign, Candidate, Earlier, Touch

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.storage.registry import Registry

PAGE = (Path(__file__).parents[2] / "docs" / "raw_data_export.md").read_text("utf-8")
HOUR_MS = 3_600_000


def at(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def candidate(touch: Touch, verdict: str, match_type: str = "click_deterministic") -> Candidate:
    return Candidate(
        touch=touch, identifier="device:d1", match_type=match_type, confidence=1.0, verdict=verdict
    )


def exported(engine: Engine) -> dict[str, dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM raw_data_export")).mappings().all()
    assert len(rows) == len({row["conversion_id"] for row in rows})
    return {row["conversion_id"]: dict(row) for row in rows}


def given(row: dict[str, Any], *names: str) -> list[Any]:
    return [row[name] for name in names]


FULL = a_full_event()
CHOSEN = a_touch(
    "t9", link_id="lnk", ad_group="set-1", creative="ad-1", keyword="shoes", sub_publisher="site-7"
)
OTHERS = [
    a_touch(
        f"t{n}",
        kind="impression" if n == 3 else "click",
        at_ms=AT_MS - n * HOUR_MS - 7,
        network=None,
        campaign_id=f"cmp{n}",
        campaign=Campaign(utm_source=f"source{n}", utm_campaign="Utm" if n == 2 else None),
    )
    for n in (4, 2, 1, 3)
]


def test_an_install_with_all_that_is_known_of_it(
    migrated_url: str, engine: Engine, registry: Registry
) -> None:
    registry.create_app("demo")
    link = registry.create_link(
        app_id="demo", campaign_id="cmp001", campaign="Spring", web_url="https://a.example/"
    )
    chosen = msgspec.structs.replace(CHOSEN, link_id=link.link_id)
    named = msgspec.structs.replace(OTHERS[2], link_id=link.link_id)
    asked = conversion("v", AT_MS, ["gaid:g", "idfa:i", "idfv:v", "device:d", "user:u:1", "gaid:h"])
    write(
        migrated_url,
        FULL,
        an_attribution(
            "v",
            event_id=FULL.event_id,
            touch=chosen,
            country="DE",
            revenue_micros=1_230_000,
            currency="EUR",
            conversion=asked,
            candidates=[
                candidate(chosen, "chosen"),
                candidate(OTHERS[0], "older"),
                candidate(OTHERS[1], "older"),
                candidate(named, "older"),
                candidate(OTHERS[3], "lower_class", "view_deterministic"),
                candidate(a_touch("far", at_ms=AT_MS - 9 * DAY_MS), "outside_window"),
                candidate(a_touch("f1", network="old"), "fraud:bot"),
                candidate(a_touch("f2", network="bad", at_ms=AT_MS - 5), "fraud:click_flooding"),
            ],
        ),
    )
    row = exported(engine)["v"]
    assert given(row, "attributed_touch_type", "attributed_touch_time", "install_time") == [
        "click",
        at(chosen.at_ms),
        at(AT_MS),
    ]
    assert given(row, "event_time", "event_name") == [at(AT_MS), "install"]
    assert row["event_value"] == {"price": 49.99, "tags": ["a", "b"]}
    assert [str(row["event_revenue"]), row["event_revenue_currency"]] == ["1.230000", "EUR"]
    assert given(row, "media_source", "channel", "campaign", "campaign_id") == [
        "google",
        "search",
        "Spring",
        "cmp001",
    ]
    assert given(row, "adset", "ad", "keywords", "site_id") == ["set-1", "ad-1", "shoes", "site-7"]
    assert given(row, "match_type", "attribution_lookback") == [
        "click_deterministic",
        timedelta(days=7),
    ]
    assert given(row, "country_code", "region", "city", "ip", "language") == [
        "DE",
        "Berlin",
        "Köln",
        "2001:db8::1",
        None,
    ]
    assert given(row, "device_category") == ["desktop"]
    assert given(row, "platform", "device_brand", "device_model", "os_version", "app_version") == [
        "linux",
        "B",
        "M",
        "6",
        "1.2",
    ]
    assert given(row, "advertising_id", "idfa", "idfv") == ["g", "i", "v"]
    assert given(row, "device_id", "customer_user_id") == ["d1", "u1"]
    others = ("touch_type", "media_source", "campaign")
    assert [given(row, *(f"contributor_{n}_{one}" for one in others)) for n in (1, 2, 3)] == [
        ["click", "source1", "Spring"],
        ["click", "source2", "Utm"],
        ["impression", "source3", "cmp3"],
    ]
    assert given(row, *(f"contributor_{n}_match_type" for n in (1, 2, 3))) == [
        "click_deterministic",
        "click_deterministic",
        "view_deterministic",
    ]
    assert given(row, *(f"contributor_{n}_touch_time" for n in (1, 2, 3))) == [
        at(AT_MS - n * HOUR_MS - 7) for n in (1, 2, 3)
    ]
    assert given(row, "rejected_reason", "rejected_media_source", "rejected_campaign") == [
        "click_flooding",
        "bad",
        "cmp001",
    ]


def taken_over(conversion_id: str, source: str, **other: Any) -> Attribution:
    return an_attribution(
        conversion_id, inherited_from=source, candidates=[], window_ms=None, **other
    )


def event_of(conversion_id: str, source: str) -> Attribution:
    return taken_over(conversion_id, source, kind="event", event="purchase", method="inherited")


def test_each_kind_of_conversion_in_its_words(migrated_url: str, engine: Engine) -> None:
    nothing: dict[str, Any] = {"touch": None, "candidates": [], "method": "organic"}
    before = AT_MS - 3 * DAY_MS
    write(
        migrated_url,
        an_attribution("first", at_ms=before),
        taken_over("again", "first", method="reinstall", at_ms=AT_MS - DAY_MS),
        an_attribution("anew", reattribution=True, method="view_deterministic"),
        an_attribution("back", kind="reengagement", event="app_open"),
        an_attribution("organic", **nothing),
        an_attribution("web", kind="event", event="purchase"),
        event_of("e1", "first"),
        event_of("e2", "again"),
        event_of("e3", "anew"),
        event_of("e4", "back"),
        msgspec.structs.replace(event_of("e5", "organic"), touch=None),
        event_of("e6", "not written yet"),
    )
    rows = exported(engine)
    names = ("conversion_type", "is_retargeting", "match_type", "install_time")
    click = "click_deterministic"
    assert {name: given(row, *names) for name, row in rows.items()} == {
        "first": ["install", False, click, at(before)],
        "again": ["reinstall", False, click, at(AT_MS - DAY_MS)],
        "anew": ["re-attribution", True, "view_deterministic", at(AT_MS)],
        "back": ["re-engagement", True, click, None],
        "organic": ["install", False, None, at(AT_MS)],
        "web": [None, False, click, None],
        "e1": ["install", False, click, at(before)],
        "e2": ["reinstall", False, click, at(AT_MS - DAY_MS)],
        "e3": ["re-attribution", True, "view_deterministic", at(AT_MS)],
        "e4": ["re-engagement", True, click, None],
        "e5": ["install", False, None, at(AT_MS)],
        "e6": [None, False, None, None],
    }
    assert {name for name, row in rows.items() if row["media_source"] == "organic"} == {
        "organic",
        "e5",
    }


OWN = ["click:k", "device:d", "gaid:g", "cookie:c", "user:u"]
INSTALLED = [
    Earlier(conversion_id="mine", kind="install", at_ms=AT_MS - 9 * DAY_MS, identifiers=["gaid:g"]),
    Earlier(
        conversion_id="older", kind="install", at_ms=AT_MS - 10 * DAY_MS, identifiers=["device:d"]
    ),
    Earlier(conversion_id="theirs", kind="install", at_ms=AT_MS - DAY_MS, identifiers=["user:u"]),
]
BY_CLICK = [
    Earlier(conversion_id="click", kind="install", at_ms=AT_MS - 5, identifiers=["click:k"])
]
IN_BROWSER = Earlier(
    conversion_id="web", kind="install", at_ms=AT_MS - 11 * DAY_MS, identifiers=["cookie:c"]
)
BACK = Earlier(
    conversion_id="back", kind="reengagement", at_ms=AT_MS - 2 * DAY_MS, identifiers=["device:d"]
)


@pytest.mark.parametrize(
    ("decided", "earlier", "days"),
    [
        ({"kind": "install", "method": "reinstall", "inherited_from": "older"}, INSTALLED, 0),
        ({"kind": "reengagement"}, INSTALLED, 9),
        ({"kind": "reengagement"}, INSTALLED[2:], 1),
        ({"kind": "reengagement"}, [], None),
        ({"kind": "event"}, [*INSTALLED[1:], BACK], 10),
        ({"kind": "event", "inherited_from": "back"}, [BACK, *INSTALLED], 9),
        ({"kind": "event", "inherited_from": "back"}, [BACK], None),
        ({"kind": "event", "inherited_from": "mine"}, [BACK, *INSTALLED], 9),
        ({"kind": "event", "inherited_from": "theirs"}, INSTALLED[2:], 1),
        ({"kind": "event"}, BY_CLICK, None),
        ({"kind": "event"}, [*BY_CLICK, *INSTALLED], 9),
        ({"kind": "event", "web": True}, [*BY_CLICK, INSTALLED[2]], None),
        ({"kind": "event", "web": True}, [INSTALLED[2], IN_BROWSER], 11),
        ({"kind": "event", "web": True}, [INSTALLED[1], IN_BROWSER], 10),
    ],
)
def test_the_time_of_the_install_is_that_which_postbacks_tell(
    decided: dict[str, Any],
    earlier: list[Earlier],
    days: int | None,
    migrated_url: str,
    engine: Engine,
) -> None:
    decided = {**decided}
    asked = msgspec.structs.replace(conversion("v", AT_MS, OWN), web=decided.pop("web", False))
    source = next((e for e in earlier if e.conversion_id == decided.get("inherited_from")), None)
    mine = an_attribution(
        "v",
        conversion=asked,
        identifiers=OWN,
        earlier=earlier,
        inherited_at_ms=source and source.at_ms,
        **decided,
    )
    before = [
        an_attribution(one.conversion_id, kind=one.kind, at_ms=one.at_ms, event_id="")
        for one in earlier
    ]
    expected = None if days is None else AT_MS - days * DAY_MS
    assert values_of(mine)["install_time_ms"] == expected
    write(migrated_url, mine)
    told_ms = [exported(engine)["v"]["install_time"]]
    write(migrated_url, *before)
    told_ms.append(exported(engine)["v"]["install_time"])
    assert told_ms == [expected and at(expected)] * 2


def test_of_several_revisions_the_newest_is_exported(migrated_url: str, engine: Engine) -> None:
    first = an_attribution("v", touch=None, method="organic", candidates=[])
    write(migrated_url, first, an_attribution("v", 2))
    assert given(exported(engine)["v"], "revision", "media_source") == [2, "google"]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
def test_the_zone_of_who_asks_has_no_influence(
    zone: str, migrated_url: str, engine: Engine
) -> None:
    other = a_touch("t0", at_ms=AT_MS - HOUR_MS)
    write(
        migrated_url,
        an_attribution("v", candidates=[candidate(other, "older")], event_id=FULL.event_id),
        FULL,
    )
    with engine.connect() as connection:
        connection.execute(text(f"SET TIME ZONE '{zone}'"))
        query = text("SELECT contributor_1_touch_time, city FROM raw_data_export")
        assert connection.execute(query).one() == (at(AT_MS - HOUR_MS), "Köln")


def test_the_page_tells_every_column(engine: Engine) -> None:
    with engine.connect() as connection:
        columns = list(connection.execute(text("SELECT * FROM raw_data_export")).keys())
    told = [
        name.replace("_N_", f"_{n}_")
        for group in re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`([A-Za-z_]+)`", group)
        for n in ((1, 2, 3) if "_N_" in name else (0,))
    ]
    assert sorted(told) == sorted(columns)


def test_the_pages_queries_find_what_it_says(migrated_url: str, engine: Engine) -> None:
    brought, ad, store = (
        msgspec.structs.replace(FULL, app_id="shop", event_id=name, campaign=campaign)
        for name, campaign in (
            ("brought", FULL.campaign),
            ("ad", Campaign(utm_campaign="spring", click_ids={"gclid": "g1"})),
            ("store", None),
        )
    )
    organic: dict[str, Any] = {"touch": None, "candidates": [], "method": "organic"}
    write(
        migrated_url,
        *(brought, ad, store),
        an_attribution("v1", app_id="shop", event_id="brought"),
        an_attribution("v2", app_id="shop", event_id="ad", **organic),
        an_attribution("v3", app_id="shop", event_id="store", **organic),
    )
    _, claimed = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    with engine.connect() as connection:
        found = connection.execute(text(claimed)).all()
    assert [tuple(row) for row in found] == [("v2", None, "spring", "g1")]
