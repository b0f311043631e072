"""Who is whom in the warehouse: links in any order, and people by them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.storage.records import AT_MS, an_event
from tests.storage.warehoused import write
from trackstream.core.persons import ALIAS, IDENTIFIED, TOGETHER, people
from trackstream.core.records import PersonLink

if TYPE_CHECKING:
    from sqlalchemy import Engine


def link(kind: str, identifier: str, other: str, at_ms: int = AT_MS) -> PersonLink:
    return PersonLink(app_id="demo", kind=kind, identifier=identifier, other=other, at_ms=at_ms)


def some_links(random: Random, count: int) -> list[PersonLink]:
    users = [f"user:{n}" for n in "abcd"]
    anonymous = [f"device:{n}" for n in range(4)] + [f"cookie:{n}" for n in range(4)]

    def one() -> PersonLink:
        kind = random.choice([ALIAS, IDENTIFIED, IDENTIFIED, TOGETHER])
        first = random.choice(users if kind == ALIAS else anonymous)
        second = random.choice(anonymous if kind == TOGETHER else users)
        return link(kind, first, second, AT_MS + random.randint(0, 5))

    return [one() for _ in range(count)]


def rows(engine: Engine, query: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text(query))]


def the_map(engine: Engine) -> dict[str, str]:
    found = rows(engine, "SELECT identifier, person FROM user_id_map WHERE app_id = 'demo'")
    return {one["identifier"]: one["person"] for one in found}


@pytest.mark.parametrize("seed", range(6))
def test_links_in_any_order_and_batches_end_in_the_same_map(
    migrated_url: str, engine: Engine, seed: int
) -> None:
    random = Random(seed)
    links = some_links(random, 14)
    order = random.sample(links, len(links)) + random.choices(links, k=3)
    offset = 0
    while order:
        batch = [order.pop() for _ in range(min(len(order), random.randint(1, 4)))]
        write(migrated_url, *batch, first_offset=offset)
        offset += len(batch)
    assert the_map(engine) == people(links)


def test_writers_beside_each_other_end_in_the_same_map(migrated_url: str, engine: Engine) -> None:
    links = [link(ALIAS, f"user:{n:02}", f"user:{n + 1:02}") for n in range(24)]
    links += [link(IDENTIFIED, f"device:{n}", f"user:{n:02}") for n in range(24)]
    Random(1).shuffle(links)
    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(_write_all, migrated_url, f"part-{n}", links[n::4]) for n in range(4)]
        for part in parts:
            part.result()
    assert set(the_map(engine).values()) == {"user:24"}


def test_a_link_that_comes_late_makes_two_people_one(migrated_url: str, engine: Engine) -> None:
    write(
        migrated_url,
        an_event("e1", person="device:1", user_id=None, timestamp_ms=AT_MS),
        an_event("e2", person="user:u", user_id="u", timestamp_ms=AT_MS + 60_000),
        an_event("e3", person="user:w", user_id="w"),
    )
    assert len(rows(engine, "SELECT * FROM users")) == 3
    write(migrated_url, link(IDENTIFIED, "device:1", "user:u"), first_offset=10)
    write(
        migrated_url,
        link(TOGETHER, "cookie:1", "device:1"),
        an_event("e4", person="cookie:1", timestamp_ms=AT_MS - 60_000),
        first_offset=20,
    )
    merged = rows(engine, "SELECT person, merged_into FROM dim_users ORDER BY person")
    assert [(one["person"], one["merged_into"]) for one in merged] == [
        ("cookie:1", "user:u"),
        ("device:1", "user:u"),
        ("user:u", None),
        ("user:w", None),
    ]
    first, second = rows(engine, "SELECT * FROM users ORDER BY person")
    assert (first["person"], first["keys"], first["user_id"]) == (
        "user:u",
        ["cookie:1", "device:1", "user:u"],
        "u",
    )
    assert (first["last_seen_at"] - first["first_seen_at"]).total_seconds() == 120
    assert second["person"] == "user:w"


def test_people_seen_only_after_their_link_are_merged_at_once(
    migrated_url: str, engine: Engine
) -> None:
    write(migrated_url, link(ALIAS, "user:old", "user:new"))
    write(migrated_url, an_event("e1", person="user:old"), first_offset=10)
    [row] = rows(engine, "SELECT person, merged_into FROM dim_users")
    assert row == {"person": "user:old", "merged_into": "user:new"}


def test_an_alias_takes_along_devices_that_it_does_not_name(
    migrated_url: str, engine: Engine
) -> None:
    write(migrated_url, link(IDENTIFIED, "device:1", "user:old"))
    write(migrated_url, link(ALIAS, "user:old", "user:new"), first_offset=5)
    assert the_map(engine)["device:1"] == "user:new"


def _write_all(url: str, topic: str, links: list[PersonLink]) -> None:
    for offset, one in enumerate(links):
        write(url, one, first_offset=offset, topic=topic)
