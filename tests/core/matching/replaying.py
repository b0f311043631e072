"""What a world has published, to be decided again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec
from hypothesis import strategies as st

from tests.core.matching.world import Scenario, World, conversion, touch
from trackstream.core.replay import Brought, Replayed, again
from trackstream.core.rules import MATCH_TYPES, Blocklists, FraudRules, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trackstream.core.records import Attribution

NOW_MS = 1_000
FRAUD = FraudRules(min_click_to_install_ms=0)
RULES = Rules(click_window_ms=50, view_window_ms=20, fraud=FRAUD)


IDENTIFIERS = ["device:0", "device:1", "device:2", "user:0", "user:1", "fp:0"]

times = st.integers(0, 100)
some = st.lists(st.sampled_from(IDENTIFIERS), min_size=1, max_size=3, unique=True)
scenarios = st.builds(
    Scenario,
    touches=st.lists(
        st.tuples(times, some, st.sampled_from(["click", "impression"])), max_size=8
    ).map(lambda all_: [touch(f"t{n}", at, ids, kind=k) for n, (at, ids, k) in enumerate(all_)]),
    links=st.lists(
        st.lists(st.sampled_from(IDENTIFIERS[:5]), min_size=2, max_size=2, unique=True).map(
            lambda pair: (pair[0], pair[1])
        ),
        max_size=5,
    ),
    conversions=st.lists(
        st.tuples(times, some, st.sampled_from(["install", "event", "reengagement"])),
        min_size=1,
        max_size=5,
    ).map(
        lambda all_: [conversion(f"c{n}", at, ids, kind=k) for n, (at, ids, k) in enumerate(all_)]
    ),
)
other_rules = st.builds(
    Rules,
    click_window_ms=times,
    view_window_ms=times,
    click_probabilistic_window_ms=times,
    waterfall=st.permutations(MATCH_TYPES).flatmap(
        lambda order: st.integers(1, 4).map(lambda n: tuple(order[:n]))
    ),
    probabilistic=st.booleans(),
    min_confidence=st.sampled_from([0.0, 0.4, 0.9]),
    reattribution_after_ms=times,
    reengagement_window_ms=times,
    own_touch_events=st.sampled_from([(), ("event",)]),
    fraud=st.builds(
        FraudRules,
        min_click_to_install_ms=st.integers(0, 30),
        max_touches_per_hour=st.integers(1, 8),
        blocklists=st.builds(Blocklists, sources=st.sampled_from([(), ("/",)])),
    ),
)


def published(scenario: Scenario, seed: int, rules: Rules = RULES) -> list[Attribution]:
    """What a world has published in the end."""
    world = World(rules=rules, random=Random(seed))
    world.run(scenario)
    return newest(world)


def newest(world: World) -> list[Attribution]:
    """The last revision of each conversion."""
    return [max(all_, key=lambda a: a.revision) for _, all_ in sorted(world.published.items())]


def replayed(stored: Iterable[Attribution], rules: Rules) -> list[Replayed]:
    """All of it, in the order of time."""
    brought: dict[str, Brought] = {}
    found: list[Replayed] = []
    for one in sorted(stored, key=lambda a: (a.at_ms, a.conversion_id)):
        result = again(one, brought, at_ms=NOW_MS, rules=rules)
        assert result is not None
        brought[one.conversion_id] = Brought(result.decision.touch, result.decision.confidence)
        found.append(result)
    return found


def journeys(random: Random, name: str) -> Scenario:
    """Some people's clicks, logins and conversions, within a hundred milliseconds."""
    people = [f"{kind}:{name}{n}" for kind in ("device", "user") for n in range(3)]

    def some() -> list[str]:
        return random.sample(people, random.randint(1, 3))

    return Scenario(
        touches=[
            msgspec.structs.replace(
                touch(
                    f"{name}-t{n}",
                    random.randint(0, 100),
                    some(),
                    kind=random.choice(["click", "click", "impression"]),
                ),
                campaign_id=random.choice(["summer", "winter", None]),
                sub_publisher=random.choice(["p1", None]),
            )
            for n in range(random.randint(0, 6))
        ],
        links=[(pair[0], pair[1]) for pair in (random.sample(people, 2) for _ in range(2))],
        conversions=[
            conversion(
                f"{name}-c{n}",
                random.randint(0, 100),
                some(),
                kind=random.choice(["install", "event", "reengagement"]),
                named=f"{name}-t{n}",
            )
            for n in range(random.randint(1, 5))
        ],
    )
