from __future__ import annotations

import ipaddress
from random import Random
from typing import TYPE_CHECKING

import pytest

from trackstream.cli.base import Problem
from trackstream.cli.simulation.journeys import KINDS, NEEDS_ADDRESSES, journeys
from trackstream.cli.simulation.people import MOST_PEOPLE, Agents, Person
from trackstream.cli.simulation.steps import Journey, Post, Visit
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from pathlib import Path

AGENTS = Agents()


def _journeys(
    users: int = 100, seed: int = 1, run: str = "r", *, here: bool = True
) -> list[Journey]:
    return journeys(users=users, seed=seed, run=run, agents=AGENTS, campaigns=6, addresses=here)


def test_the_same_seed_gives_the_same_lives() -> None:
    assert _journeys() == _journeys()
    assert _journeys() != _journeys(seed=2)


def test_two_runs_do_not_meet() -> None:
    def ids(run: str) -> set[str]:
        return {
            step.event["event_id"]
            for journey in _journeys(run=run)
            for step in journey.steps
            if isinstance(step, Post)
        }

    assert not ids("a") & ids("b")


def test_a_small_run_shows_every_kind() -> None:
    assert {journey.kind for journey in _journeys(len(KINDS))} == set(KINDS)


def test_without_addresses_nothing_depends_on_them() -> None:
    kinds = {journey.kind for journey in _journeys(200, here=False)}
    assert kinds == set(KINDS) - NEEDS_ADDRESSES


def test_event_ids_are_of_one_event_each() -> None:
    posted = [
        step.event["event_id"]
        for journey in _journeys(300)
        for step in journey.steps
        if isinstance(step, Post)
    ]
    assert len(posted) == len(set(posted))
    expected = {one.event_id for journey in _journeys(300) for one in journey.expected}
    assert expected <= set(posted)


def test_people_share_neither_networks_nor_devices() -> None:
    people = [Person("run", number) for number in range(0, MOST_PEOPLE, 7)]
    homes = {ipaddress.ip_network(f"{one.home}/24", strict=False) for one in people}
    roads = {ipaddress.ip_network(f"{one.on_the_road}/64", strict=False) for one in people}
    assert len(homes) == len(roads) == len({one.device_id for one in people}) == len(people)
    assert all(home.is_loopback for home in homes)
    assert ipaddress.ip_network("127.0.0.0/24") not in homes


def test_next_door_is_in_the_same_network_and_nobodys_home() -> None:
    for number in range(500):
        person = Person("run", number)
        assert person.home != person.next_door
        network = ipaddress.ip_network(f"{person.home}/24", strict=False)
        assert ipaddress.ip_address(person.next_door) in network


def test_shipped_user_agents_are_those_of_people() -> None:
    parser = UaParser()
    rng = Random(1)
    systems = {
        "android": {"Android"},
        "ios": {"iOS"},
        "desktop": {"Windows", "Mac OS X", "Linux", "Ubuntu"},
    }
    for system, names in systems.items():
        for _ in range(50):
            agent = parser.parse(AGENTS.pick(rng, system))
            assert agent.os_name in names
            assert not agent.bot


def test_a_neighbour_has_another_version() -> None:
    parser = UaParser()
    for journey in _journeys(300):
        if journey.kind == "neighbour":
            click, install = journey.steps
            assert isinstance(click, Visit)
            assert isinstance(install, Post)
            theirs = parser.parse(click.user_agent)
            ours = parser.parse(install.event["context"]["user_agent"])
            assert (theirs.os_name, theirs.os_version) != (ours.os_name, ours.os_version)


def test_a_crawlers_visit_is_one() -> None:
    parser = UaParser()
    for journey in _journeys(100):
        for step in journey.steps:
            if isinstance(step, Visit):
                assert parser.parse(step.user_agent).bot is step.bot


def test_own_user_agents_have_to_be_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "agents.txt"
    path.write_text("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/129\n# iPhone\n")
    with pytest.raises(Problem, match="ios, desktop"):
        Agents(path)
