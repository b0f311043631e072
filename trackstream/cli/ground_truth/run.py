"""A run: journeys are made up, the core decides them, sources are judged, all is compared."""

from __future__ import annotations

import time
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING

import msgspec

from trackstream.cli.ground_truth.frauds import BLOCKED_AGENT, BLOCKED_PUBLISHER
from trackstream.cli.ground_truth.journeys import written
from trackstream.cli.ground_truth.people import LISTED
from trackstream.cli.ground_truth.protocol import Protocol
from trackstream.cli.ground_truth.score import Scored, scored
from trackstream.cli.simulation.people import Agents
from trackstream.core import flooding
from trackstream.core.fraud import source_of
from trackstream.core.matching.decide import Decision, decide
from trackstream.core.rules import DEFAULT, Blocklists, Rules
from trackstream.storage.user_agents import UaParser

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["measured"]

_LISTS = Blocklists(
    ips=(LISTED,), user_agents=(BLOCKED_AGENT,), sub_publishers=(BLOCKED_PUBLISHER,)
)


def measured(
    journeys: int,
    seed: int,
    *,
    rules: Rules = DEFAULT,
    say: Callable[[str], None] = lambda _: None,
) -> Scored:
    """Run and compare.

    Args:
        journeys: How many.
        seed: Of all chance: in the journeys, and in the order in which messages are handled.
        rules: Of the app; blocklists and credits are set here.
        say: Told what is done.
    """
    rules = msgspec.structs.replace(
        rules, models=(), fraud=msgspec.structs.replace(rules.fraud, blocklists=_LISTS)
    )
    parser = UaParser()
    began_s = time.monotonic()
    book = written(journeys, seed, agents=Agents(), parser=parser, rules=rules)
    world = Protocol(rules, Random(seed), parser)  # noqa: S311 - repeatable on purpose
    world.run(book.sent)
    say(
        f"{journeys} journeys, {len(book.converted)} conversions, {world.handled} messages handled "
        f"({world.again} of them again) in {time.monotonic() - began_s:.1f} s"
    )
    sources = _flooding(world)
    say(f"sources found to flood: {', '.join(sources) or 'none'}")
    return scored(book, _decisions(world, rules, sources))


def _flooding(world: Protocol) -> tuple[str, ...]:
    """The sources that the flooding job finds in what was decided."""
    groups: dict[flooding.Group, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for one in world.attributions.values():
        if one.kind == "install" and one.touch and one.window_ms:
            group = flooding.Group(one.method, one.window_ms)
            took_ms = flooding.counted_ms(one.at_ms - one.touch.at_ms, one.conversion)
            groups[group][source_of(one.touch)].append(took_ms)
    return tuple(
        sorted({one.source for one in flooding.judge(groups) if one.verdict in flooding.FRAUDULENT})
    )


def _decisions(world: Protocol, rules: Rules, sources: tuple[str, ...]) -> dict[str, Decision]:
    """The last decision of each conversion; made again where a marked source has a part in it."""
    lists = msgspec.structs.replace(rules.fraud.blocklists, sources=sources)
    marked = msgspec.structs.replace(
        rules, fraud=msgspec.structs.replace(rules.fraud, blocklists=lists)
    )
    decided = {}
    for conversion_id, one in world.attributions.items():
        state = world.conversions[conversion_id]
        if any(source_of(each.touch) in sources for each in state.found.values()):
            claimed = {each.touch_id for each in state.claimed}
            decided[conversion_id] = decide(
                state.conversion, state.found, state.priors, claimed, rules=marked
            )
            continue
        decided[conversion_id] = Decision(
            method=one.method,
            touch=one.touch,
            identifier=one.identifier,
            candidates=one.candidates,
        )
    return decided
