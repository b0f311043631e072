"""Every kind of journey, its share and what it is; and a book full of them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from trackstream.cli.ground_truth import edges, frauds, honest
from trackstream.cli.ground_truth.book import Book
from trackstream.cli.ground_truth.life import Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.cli.simulation.people import Agents
    from trackstream.core.rules import Rules
    from trackstream.ports import UserAgentLookup

__all__ = ["EDGES", "FRAUDS", "HONEST", "KINDS", "Kind", "written"]


class Kind(NamedTuple):
    """A kind of journey."""

    write: Callable[[Life], None]
    share: int
    what: str


HONEST = {
    "organic": Kind(honest.organic, 80, "no touch at all"),
    "store_referrer": Kind(honest.store_referrer, 80, "the store hands the click id on"),
    "device_in_link": Kind(honest.device_in_link, 60, "the link names the device"),
    "two_clicks": Kind(honest.two_clicks, 30, "the last one counts"),
    "logs_in_after": Kind(honest.logs_in_after, 30, "clicks on a computer, logs in on the phone"),
    "two_devices": Kind(honest.two_devices, 30, "logged in on both, clicks on the other one"),
    "tablet_and_phone": Kind(honest.tablet_and_phone, 20, "has the app on another device"),
    "expired": Kind(honest.expired, 30, "clicked before the window"),
    "nearly_expired": Kind(honest.nearly_expired, 10, "clicked when the window began"),
    "clicked_after": Kind(honest.clicked_after, 10, "clicked when it was installed"),
    "reinstall": Kind(honest.reinstall, 20, "keeps its first campaign"),
    "won_again": Kind(honest.won_again, 15, "90 days silent, then clicks and installs"),
    "silent_then_back": Kind(honest.silent_then_back, 10, "90 days silent, comes by itself"),
    "active_then_reinstall": Kind(honest.active_then_reinstall, 10, "installed long ago, active"),
    "reengaged": Kind(honest.reengaged, 20, "back by an ad: a week's purchases are the ad's"),
    "seen": Kind(honest.seen, 30, "saw an ad, clicked none"),
    "seen_too_long_ago": Kind(honest.seen_too_long_ago, 10, "saw one before the window"),
    "clicked_then_seen": Kind(honest.clicked_then_seen, 10, "a click goes before a view"),
    "on_the_web": Kind(honest.on_the_web, 20, "signs up in the browser that clicked"),
    "sent_late": Kind(honest.sent_late, 20, "was offline, or the click was spooled"),
    "same_network": Kind(honest.same_network, 60, "only the network tells"),
    "seen_on_same_network": Kind(honest.seen_on_same_network, 15, "the same, of a view"),
    "network_changed": Kind(honest.network_changed, 15, "not even the network tells"),
}
EDGES = {
    "carrier_nat": Kind(edges.carrier_nat, 60, "hundreds behind one address"),
    "family": Kind(edges.family, 10, "five phones on a router, two alike"),
    "shared_tablet": Kind(edges.shared_tablet, 15, "one device, three users"),
    "slow_download": Kind(edges.slow_download, 20, "days from the click to the first open"),
    "fast_install": Kind(
        edges.fast_install, 45, "six seconds, by the store's own times; all of one source"
    ),
    "slow_clock": Kind(edges.slow_clock, 20, "a phone up to a minute behind"),
    "told_by_servers": Kind(edges.told_by_servers, 10, "the shop's servers tell what one does"),
    "eager": Kind(edges.eager, 5, "forty taps within an hour"),
    "same_click_again": Kind(edges.same_click_again, 10, "the store hands on an old click id"),
}
FRAUDS = {
    "injection": Kind(frauds.injection, 20, "clicks while the app is downloaded"),
    "injection_unseen": Kind(frauds.injection_unseen, 15, "clicks before the first open"),
    "injection_kept": Kind(frauds.injection_kept, 15, "either, told later"),
    "injection_told_by_servers": Kind(
        frauds.injection_told_by_servers, 10, "by the store's servers, on a slow phone"
    ),
    "flooded_device": Kind(frauds.flooded_device, 4, "a hundred clicks of one device"),
    "spamming_source": Kind(frauds.spamming_source, 60, "clicks with everybody's ids"),
    "crawler": Kind(frauds.crawler, 10, "a robot's clicks"),
    "listed_network": Kind(frauds.listed_network, 10, "clicks from where nobody lives"),
    "click_program": Kind(frauds.click_program, 10, "clicks by a listed program"),
    "shady_publisher": Kind(frauds.shady_publisher, 10, "clicks sold by a listed publisher"),
    "emulators": Kind(frauds.emulators, 10, "machines that pretend to be phones"),
    "data_centre": Kind(frauds.data_centre, 10, "phones that are rented computers"),
    "stolen_click_id": Kind(frauds.stolen_click_id, 1, "thirty devices claim one's click"),
    "install_farm": Kind(frauds.install_farm, 1, "thirty devices claim a farm's own"),
}
KINDS = {**HONEST, **EDGES, **FRAUDS}


def written(
    count: int, seed: int, *, agents: Agents, parser: UserAgentLookup, rules: Rules
) -> Book:
    """As many journeys, the same for the same arguments.

    Args:
        count: How many; with fewer than there are kinds, not all of them are in it.
        seed: Of all chance.
        agents: User agents to choose from.
        parser: What the collector makes of them.
        rules: Windows, from which it follows what is expired.
    """
    deck = [name for name, kind in KINDS.items() for _ in range(kind.share)]
    Random(seed).shuffle(deck)  # noqa: S311 - repeatable on purpose
    # one of each first, so that a small run shows all
    order = [*KINDS, *deck]
    book = Book(edges=set(EDGES))
    numbers = dict.fromkeys(KINDS, 0)
    for place in range(count):
        name = order[place] if place < len(order) else deck[place % len(deck)]
        number = numbers[name]
        numbers[name] += 1
        life = Life(
            book,
            name,
            number,
            rng=Random(f"{seed} {name} {number}"),  # noqa: S311 - repeatable on purpose
            agents=agents,
            parser=parser,
            rules=rules,
        )
        KINDS[name].write(life)
    return book
