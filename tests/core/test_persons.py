"""Who is whom follows from the set of links, in whatever order and however often they come."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.visiting import START, apply, envelope, page
from trackstream.core.persons import ALIAS, IDENTIFIED, TOGETHER, people
from trackstream.core.records import PersonLink, RawEvent


def link(kind: str, identifier: str, other: str, at_ms: int = 0) -> PersonLink:
    return PersonLink(app_id="app", kind=kind, identifier=identifier, other=other, at_ms=at_ms)


USERS = [f"user:{n}" for n in "abc"]
ANONYMOUS = ["device:1", "device:2", "cookie:1", "cookie:2", "gaid:1"]
LINKS = st.lists(
    st.one_of(
        st.builds(
            link,
            st.just(IDENTIFIED),
            st.sampled_from(ANONYMOUS),
            st.sampled_from(USERS),
            st.integers(0, 3),
        ),
        st.builds(link, st.just(TOGETHER), st.sampled_from(ANONYMOUS), st.sampled_from(ANONYMOUS)),
        st.builds(link, st.just(ALIAS), st.sampled_from(USERS), st.sampled_from(USERS)),
    ),
    max_size=12,
)


@given(links=LINKS, seed=st.integers())
def test_order_and_repetition_do_not_matter_and_there_are_no_cycles(
    links: list[PersonLink], seed: int
) -> None:
    random = Random(seed)
    found = people(links)
    assert people(random.sample(links * 2, 2 * len(links))) == found
    for person in found.values():
        assert found[person] == person
    named = {one.identifier for one in links} | {one.other for one in links}
    assert set(found) == named


def test_a_user_comes_first_then_a_device() -> None:
    assert people([link(TOGETHER, "cookie:1", "device:9")]) == {
        "cookie:1": "device:9",
        "device:9": "device:9",
    }
    found = people([link(TOGETHER, "cookie:1", "device:9"), link(IDENTIFIED, "cookie:1", "user:z")])
    assert found == dict.fromkeys(["cookie:1", "device:9", "user:z"], "user:z")


def test_a_shared_device_is_its_first_users_and_makes_them_no_one_person() -> None:
    links = [link(IDENTIFIED, "device:1", "user:b", 5), link(IDENTIFIED, "device:1", "user:a", 9)]
    assert people(links) == {"device:1": "user:b", "user:a": "user:a", "user:b": "user:b"}
    links.append(link(IDENTIFIED, "device:1", "user:a", 4))
    assert people(links)["device:1"] == "user:a"


@pytest.mark.parametrize("links", [[("b", "a"), ("a", "b")], [("a", "b"), ("b", "c"), ("c", "a")]])
def test_aliases_in_a_circle_are_one_person(links: list[tuple[str, str]]) -> None:
    found = people(link(ALIAS, f"user:{one}", f"user:{other}") for one, other in links)
    assert set(found.values()) == {"user:a"}


def test_the_newer_name_of_an_alias_is_the_persons() -> None:
    links = [link(ALIAS, "user:a", "user:b"), link(ALIAS, "user:b", "user:c")]
    assert set(people(links).values()) == {"user:c"}


def said(*events: RawEvent) -> list[tuple[str, str, str]]:
    _, out = apply(None, envelope(*events), 0)
    return [(one.kind, one.identifier, one.other) for one in out.persons]


def test_events_say_who_is_whom() -> None:
    assert said(page(1, START)) == []
    assert said(page(1, START, user_id="u")) == [(IDENTIFIED, "cookie:c", "user:u")]
    assert said(page(1, START, device_id="d")) == [(TOGETHER, "cookie:c", "device:d")]
    alias = page(1, START, "alias", user_id="new", properties='{"previousId": "old"}')
    assert said(alias) == [
        (IDENTIFIED, "cookie:c", "user:new"),
        (ALIAS, "user:old", "user:new"),
    ]
    assert said(page(1, START, "alias", user_id="u", properties='{"previous_id": "u"}')) == [
        (IDENTIFIED, "cookie:c", "user:u")
    ]


def test_a_link_is_said_once_and_again_when_it_turns_out_to_be_older() -> None:
    state, first = apply(None, envelope(page(1, START, user_id="u")), 0)
    state, second = apply(state, envelope(page(2, START + 5, user_id="u")), 1)
    _, third = apply(state, envelope(page(3, START - 5, user_id="u")), 2)
    assert [[one.at_ms for one in out.persons] for out in (first, second, third)] == [
        [START],
        [],
        [START - 5],
    ]


def test_a_log_out_ends_the_user_at_its_own_time_in_any_order() -> None:
    events = [
        page(1, START),
        page(2, START + 10, user_id="u"),
        page(3, START + 20),
        page(4, START + 30, "logout"),
        page(5, START + 40),
        page(6, START + 50, user_id="v"),
        page(7, START + 60),
    ]
    names = ["cookie:c", "user:u", "user:u", "user:u", "cookie:c", "user:v", "user:v"]
    _, out = apply(None, envelope(*events), 0)
    assert [one.person for one in out.events] == names
    marks = [one for one in events if one.user_id or one.event == "logout"]
    rest = [one for one in events if one not in marks]
    state, _ = apply(None, envelope(*reversed(marks)), 0)
    state, late = apply(state, envelope(*reversed(rest)), 1)
    assert {one.event_id: one.person for one in late.events} == {
        one.event_id: names[events.index(one)] for one in rest
    }
    (session,) = state.sessions
    assert session.end[0] == START + 60


def test_a_log_in_that_comes_late_corrects_the_session() -> None:
    state, before = apply(None, envelope(page(2, START + 10)), 0)
    assert before.sessions[0].person == "cookie:c"
    state, _ = apply(state, envelope(page(1, START, user_id="u")), 1)
    assert state.sessions[0].changed


@pytest.mark.parametrize(
    "nobody",
    ["undefined", " Null ", "00000000-0000-0000-0000-000000000000", "x" * 257, "a\nb", "", " "],
)
def test_a_placeholder_makes_nobody_one_person_with_strangers(nobody: str) -> None:
    properties = json.dumps({"previousId": nobody})
    alias = page(1, START, "alias", user_id="new", properties=properties)
    assert said(alias) == [(IDENTIFIED, "cookie:c", "user:new")]
    both = page(2, START, "alias", user_id="n", properties=f'{{"previous_id": 7, {properties[1:]}')
    assert (ALIAS, "user:7", "user:n") in said(both)
    spaced = page(3, START, "alias", user_id="n", properties='{"previousId": " old "}')
    assert (ALIAS, "user:old", "user:n") in said(spaced)
