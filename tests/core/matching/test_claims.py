"""Whose a touch is: what it costs to tell, and what an owner of clicks' names remembers."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tests.core.matching.world import APP, conversion, touch
from trackstream.core.matching.ask import link_to_click, probes_of
from trackstream.core.matching.gather import gather
from trackstream.core.matching.owner import IdentifierState, own
from trackstream.core.records import Answer, Attribution, Probe
from trackstream.core.rules import DEFAULT, HOUR_MS, FraudRules, Rules

if TYPE_CHECKING:
    from trackstream.core.matching.conversion import ConversionState
    from trackstream.core.records import Claim, Link, Outcome, Touch

NOW_MS = 1_700_000_000_000
RULES = Rules(fraud=FraudRules(min_click_to_install_ms=0))
CROWD = "fp:x"


def played(first: list[tuple[str, Touch | Probe]]) -> tuple[dict[str, Attribution], int]:
    """The last decision of each conversion, and how many messages of `candidates` that took."""
    identity: deque[tuple[str, Touch | Link | Probe | Outcome | Claim]] = deque(first)
    owners: dict[str, IdentifierState] = {}
    states: dict[str, ConversionState] = {}
    decided: dict[str, Attribution] = {}
    count = 0
    while identity:
        key, message = identity.popleft()
        owners[key], answers = own(owners.get(key), message, identifier=key, rules=RULES)
        for answer in answers:
            count += 1
            name = answer.conversion.conversion_id
            states[name], out = gather(
                states.get(name), answer, offset=count, at_ms=NOW_MS, rules=RULES
            )
            for sent in (out.probes, out.outcomes, out.claims):
                identity.extend((one.identifier, one) for one in sent)
            if out.attribution:
                decided[name] = out.attribution
    return decided, count


def crowd(size: int) -> tuple[dict[str, Attribution], int]:
    """So many people behind one address click, then install and say by which click."""
    clicks = [touch(f"t{n}", NOW_MS - 2 * HOUR_MS + n, [f"click:t{n}", CROWD]) for n in range(size)]
    installs = [
        conversion(f"c{n}", NOW_MS - HOUR_MS + n, [f"click:t{n}", f"device:{n}", CROWD])
        for n in range(size)
    ]
    fed: list[tuple[str, Touch | Probe]] = [
        (identifier, one) for one in clicks for identifier in one.identifiers
    ]
    fed += [(probe.identifier, probe) for one in installs for probe in probes_of(one)]
    return played(fed)


def test_a_crowd_behind_one_address_costs_each_of_it_what_the_crowd_is_large() -> None:
    few, some = crowd(10), crowd(40)
    for decided, size in ((few[0], 10), (some[0], 40)):
        assert {one.touch.touch_id for one in decided.values() if one.touch} == {
            f"t{n}" for n in range(size)
        }
    # Each install's claim is news for all others once: not again with each revision of theirs.
    assert few[1] <= 10 * 10 + 3 * 10
    assert some[1] <= 40 * 40 + 3 * 40


def test_what_is_claimed_is_told_once_and_again_only_when_it_is_more() -> None:
    asked = conversion("c", NOW_MS, ["device:d"])
    first = Answer(
        conversion=asked,
        identifier="device:d",
        depth=0,
        touches=[touch("t", NOW_MS - 1000, ["device:d", CROWD])],
    )
    state, out = gather(None, first, offset=0, at_ms=NOW_MS, rules=RULES)
    assert [one.identifier for one in out.claims] == [CROWD]
    other = Answer(conversion=asked, identifier="device:d", links=["user:u"])
    state, _ = gather(state, other, offset=1, at_ms=NOW_MS, rules=RULES)
    seen = Answer(
        conversion=asked,
        identifier="user:u",
        depth=1,
        touches=[touch("of_user", NOW_MS - 500, ["user:u", "fp:y"])],
    )
    state, out = gather(state, seen, offset=2, at_ms=NOW_MS, rules=RULES)
    assert out.attribution is not None
    assert out.claims == []  # a person's touch may be of another device
    _, again = gather(state, seen, offset=2, at_ms=NOW_MS, rules=RULES)
    assert [one.identifier for one in again.claims] == [CROWD]  # lost, maybe


def test_clicks_that_are_named_have_bounds() -> None:
    state = IdentifierState()
    asked = conversion("c", NOW_MS, ["cookie:k"], kind="event")
    probe = Probe(app_id=APP, identifier="cookie:k", conversion=asked, depth=0)
    state, answers = own(state, probe, identifier="cookie:k", rules=DEFAULT)
    links = [
        link_to_click("cookie:k", f"t{n}", app_id=APP, at_ms=NOW_MS - 1000 + n) for n in range(500)
    ]
    for link in links:
        state, news = own(state, link, identifier="cookie:k", rules=DEFAULT)
        answers += news
    assert sorted(state.clicks) == sorted(f"click:t{n}" for n in range(500 - 32, 500))
    gathered, asking = None, list[str]()
    for offset, answer in enumerate(answers):
        gathered, out = gather(gathered, answer, offset=offset, at_ms=NOW_MS, rules=DEFAULT)
        asking += [one.identifier for one in out.probes]
    assert gathered is not None
    assert len(gathered.links["cookie:k"]) == DEFAULT.max_links
    assert len(asking) == DEFAULT.max_links
    late = Answer(conversion=asked, identifier="cookie:k", links=["user:u"])
    _, out = gather(gathered, late, offset=1000, at_ms=NOW_MS, rules=DEFAULT)
    assert [one.identifier for one in out.probes] == ["user:u"]  # clicks took nobody's place


def test_a_click_that_is_named_long_after_a_conversion_is_no_news_of_it() -> None:
    asked = conversion("c", NOW_MS, ["device:d"])
    probe = Probe(app_id=APP, identifier="device:d", conversion=asked, depth=0)
    soon = link_to_click("device:d", "soon", app_id=APP, at_ms=NOW_MS + 1000)
    late = link_to_click("device:d", "late", app_id=APP, at_ms=NOW_MS + HOUR_MS + 1)
    for order in ((probe, soon, late), (late, soon, probe)):
        state, said = None, list[str]()
        for message in order:
            state, answers = own(state, message, identifier="device:d", rules=DEFAULT)
            said += [link for one in answers for link in one.links]
        assert said == ["click:soon"]


def test_an_apps_event_asks_no_clicks() -> None:
    bought = conversion("c", NOW_MS, ["device:d"], kind="event")
    answer = Answer(conversion=bought, identifier="device:d", depth=0, links=["click:t"])
    _, out = gather(None, answer, offset=0, at_ms=NOW_MS, rules=DEFAULT)
    assert out.probes == []
    installed = conversion("c", NOW_MS, ["device:d"])
    answer = Answer(conversion=installed, identifier="device:d", depth=0, links=["click:t"])
    _, out = gather(None, answer, offset=0, at_ms=NOW_MS, rules=DEFAULT)
    assert [one.identifier for one in out.probes] == ["click:t"]
