"""Every kind of journey, as lists of steps, with what is true of it.

What is true follows from the default rules: the waterfall, the windows, last touch within a class,
reinstalls, and events that inherit their install's attribution.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from trackstream.cli.simulation.people import Person
from trackstream.cli.simulation.steps import Expected, Journey, Post, Step, Visit
from trackstream.core.rules import DEFAULT, HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackstream.cli.simulation.people import Agents

__all__ = ["KINDS", "NEEDS_ADDRESSES", "journeys"]

_BOT = "Mozilla/5.0 (compatible; ExampleBot/1.0; +https://bot.example/about)"


class _Author:
    """Writes one journey.

    Attributes:
        person: whose it is.
        rng: the person's own source of chance.
        agents: user agents to choose from.
        campaigns: how many campaigns there are.
    """

    def __init__(self, person: Person, rng: Random, agents: Agents, campaigns: int) -> None:
        self.person = person
        self.rng = rng
        self.agents = agents
        self.phone = agents.pick(rng, "android", "ios")
        self.campaign, self.other_campaign = rng.sample(range(campaigns), 2)
        self._steps: list[Step] = []
        self._expected: list[Expected] = []

    def visit(
        self,
        kind: str = "click",
        *,
        campaign: int | None = None,
        user_agent: str | None = None,
        bot: bool = False,
        age_ms: int = 0,
        **query: str,
    ) -> None:
        """A click or an impression from home."""
        self._steps.append(
            Visit(
                kind=kind,
                campaign=self.campaign if campaign is None else campaign,
                address=self.person.home,
                user_agent=user_agent or self.phone,
                query=query,
                bot=bot,
                age_ms=age_ms,
            )
        )

    def install(
        self,
        method: str,
        campaign: int | None = None,
        *,
        name: str = "install",
        address: str | None = None,
        user_agent: str | None = None,
        **step: Any,
    ) -> None:
        """An install; on the road, unless the address says otherwise."""
        context = self._context(address, user_agent)
        event = self.person.event("install", name, context=context)
        self._steps.append(Post(event=event, path="/v1/install", **step))
        self._expect(name, method, campaign)

    def event(self, event: str, name: str, **fields: Any) -> None:
        """Any other event of the device."""
        fields.setdefault("context", self._context(None, None))
        self._steps.append(Post(event=self.person.event(event, name, **fields)))

    def life(self, campaign: int | None) -> None:
        """What comes after an install: screens, and at times purchases, which inherit."""
        for number in range(self.rng.randint(1, 4)):
            screen = self.rng.choice(["home", "search", "product", "cart"])
            self.event("screen_view", f"screen-{number}", properties={"screen": screen})
        for number in range(self.rng.choice([0, 0, 0, 1, 1, 2])):
            price = self.rng.randint(99, 14_999) / 100
            self.event(
                "purchase",
                f"purchase-{number}",
                properties={"revenue": price, "currency": "EUR", "product_id": f"p{number}"},
            )
            self._expect(f"purchase-{number}", "inherited", campaign)

    def sign_up(self, method: str, campaign: int | None) -> None:
        """A sign-up on the page that the click led to."""
        self._steps.append(
            Post(
                event={
                    "event": "sign_up",
                    "event_id": self.person.event_id("sign-up"),
                    "cookie_id": self.person.cookie_id,
                    "context": self._context(None, None),
                },
                brings="page",
            )
        )
        self._expect("sign-up", method, campaign)

    def journey(self, kind: str) -> Journey:
        """What has been written."""
        return Journey(kind=kind, steps=tuple(self._steps), expected=tuple(self._expected))

    def _context(self, address: str | None, user_agent: str | None) -> dict[str, str]:
        return {
            "ip": address or self.person.on_the_road,
            "user_agent": user_agent or self.phone,
        }

    def _expect(self, name: str, method: str, campaign: int | None) -> None:
        self._expected.append(
            Expected(event_id=self.person.event_id(name), method=method, campaign=campaign)
        )


def _organic(a: _Author) -> None:
    a.install("organic")
    a.life(None)


def _play_referrer(a: _Author) -> None:
    a.phone = a.agents.pick(a.rng, "android")
    a.visit()
    a.install("click_deterministic", a.campaign, brings="referrer")
    a.life(a.campaign)


def _device_in_link(a: _Author) -> None:
    a.visit(device_id=a.person.device_id)
    a.install("click_deterministic", a.campaign)
    a.life(a.campaign)


def _same_network(a: _Author) -> None:
    a.visit()
    a.install("click_probabilistic", a.campaign, address=a.person.home)
    a.life(a.campaign)


def _impression(a: _Author) -> None:
    a.visit("impression", device_id=a.person.device_id)
    a.install("view_deterministic", a.campaign)
    a.life(a.campaign)


def _click_before_impression(a: _Author) -> None:
    a.visit(device_id=a.person.device_id)
    a.visit("impression", campaign=a.other_campaign, device_id=a.person.device_id)
    a.install("click_deterministic", a.campaign)


def _two_clicks(a: _Author) -> None:
    a.visit(campaign=a.other_campaign, device_id=a.person.device_id)
    a.visit(device_id=a.person.device_id)
    a.install("click_deterministic", a.campaign)
    a.life(a.campaign)


def _web(a: _Author) -> None:
    a.phone = a.agents.pick(a.rng, "desktop")
    a.visit()
    a.sign_up("click_deterministic", a.campaign)


def _logs_in_later(a: _Author) -> None:
    a.visit(user_agent=a.agents.pick(a.rng, "desktop"), user_id=a.person.user_id)
    a.install("click_deterministic", a.campaign)
    a.event("login", "login", user_id=a.person.user_id)


def _sent_twice(a: _Author) -> None:
    a.visit(device_id=a.person.device_id)
    a.install("click_deterministic", a.campaign, times=2)
    a.life(a.campaign)


def _installs_again(a: _Author) -> None:
    a.visit(device_id=a.person.device_id)
    a.install("click_deterministic", a.campaign)
    a.visit(campaign=a.other_campaign, device_id=a.person.device_id)
    a.install("reinstall", a.campaign, name="install-again")


def _expired(a: _Author) -> None:
    age_ms = DEFAULT.click_window_ms + a.rng.randint(1, 48) * HOUR_MS
    a.visit(age_ms=age_ms, device_id=a.person.device_id)
    a.install("organic")
    a.life(None)


def _clicks_too_late(a: _Author) -> None:
    a.visit(device_id=a.person.device_id)
    a.install("organic", age_ms=HOUR_MS)


def _neighbour(a: _Author) -> None:
    other = a.agents.other_version(a.rng, a.phone)
    a.visit(user_agent=other or a.agents.pick(a.rng, "desktop"))
    a.install("organic", address=a.person.next_door)


def _bot(a: _Author) -> None:
    a.visit(user_agent=_BOT, bot=True, device_id=a.person.device_id)
    a.install("organic")


KINDS: dict[str, tuple[Callable[[_Author], None], int, str]] = {
    "organic": (_organic, 7, "no touch at all"),
    "play_referrer": (_play_referrer, 5, "the click id comes back in Play's referrer"),
    "device_in_link": (_device_in_link, 4, "the link names the device"),
    "same_network": (_same_network, 4, "only network and system are the same"),
    "impression": (_impression, 2, "seen, not clicked"),
    "click_before_impression": (_click_before_impression, 2, "a click goes before a view"),
    "two_clicks": (_two_clicks, 2, "the last one counts"),
    "web": (_web, 2, "a sign-up on the page that the click led to"),
    "logs_in_later": (_logs_in_later, 2, "a log-in after the install tells who clicked"),
    "sent_twice": (_sent_twice, 2, "the same install twice is one"),
    "installs_again": (_installs_again, 2, "a reinstall keeps its first campaign"),
    "expired": (_expired, 2, "a click older than the window"),
    "clicks_too_late": (_clicks_too_late, 1, "a click after the install"),
    "neighbour": (_neighbour, 1, "somebody else on the same network clicked"),
    "bot": (_bot, 1, "a crawler followed the link"),
}
"""Kind: how it is written, its share, and what it is."""

NEEDS_ADDRESSES = frozenset({"same_network", "neighbour"})
"""Kinds that only a collector on this machine can be shown: clicks come from many addresses."""


def journeys(
    *, users: int, seed: int, run: str, agents: Agents, campaigns: int, addresses: bool
) -> list[Journey]:
    """As many journeys as users, the same for the same arguments.

    Args:
        users: how many.
        seed: of all chance.
        run: what ids begin with.
        agents: user agents.
        campaigns: how many campaigns there are, two at least.
        addresses: whether clicks can come from an address of each person's own.
    """
    deck = [
        kind
        for kind, (_, share, _) in KINDS.items()
        for _ in range(share)
        if addresses or kind not in NEEDS_ADDRESSES
    ]
    # One of each kind before the second of any, so that a small run shows all of them.
    order = [*dict.fromkeys(deck), *deck]
    kinds = [order[number % len(order)] for number in range(users)]
    Random(seed).shuffle(kinds)  # noqa: S311 # repeatable on purpose
    written = []
    for number, kind in enumerate(kinds):
        rng = Random(f"{seed} {number}")  # noqa: S311 # repeatable on purpose
        author = _Author(Person(run, number), rng, agents, campaigns)
        KINDS[kind][0](author)
        written.append(author.journey(kind))
    return written
