"""What somebody can do, written into the book with what is true of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackstream.cli.ground_truth.book import Book, Converted, Sent, Truth
from trackstream.cli.ground_truth.people import Somebody, somebody
from trackstream.core import touches
from trackstream.core.identifiers import subject_of
from trackstream.core.records import Context, Envelope, RawEvent, Referral
from trackstream.ports import TrackingLink

if TYPE_CHECKING:
    from random import Random

    from trackstream.cli.simulation.people import Agents
    from trackstream.core.records import Touch
    from trackstream.core.rules import Rules
    from trackstream.ports import UserAgentLookup

__all__ = ["APP", "DAY_S", "HOUR_S", "MINUTE_S", "Life"]

APP = "truth"
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
_BEGINS_MS = 1_735_689_600_000
"""2025-01-01: all lives begin in the two months from then on."""
_SPAN_S = 60 * DAY_S
_PUBLISHERS = 6


class Life:
    """Writes one journey. Times are in seconds from its beginning.

    Args:
        book: Taken down here.
        kind: Of journey.
        number: Among those of its kind.
        rng: Its own source of chance.
        agents: User agents to choose from.
        parser: What the collector makes of them.
        rules: Windows, from which it follows what is expired.

    Attributes:
        me: Whose it is mainly.
    """

    def __init__(
        self,
        book: Book,
        kind: str,
        number: int,
        *,
        rng: Random,
        agents: Agents,
        parser: UserAgentLookup,
        rules: Rules,
    ) -> None:
        self.book, self.kind, self.number = book, kind, number
        self.rng, self.agents, self.rules = rng, agents, rules
        self.name = f"{kind}-{number}"
        self.me = somebody(self.name, rng, agents)
        self._parser = parser
        self._begins_ms = _BEGINS_MS + rng.randrange(_SPAN_S * 1000)
        self._count = 0

    def person(self, *systems: str, name: str = "", address: str | None = None) -> Somebody:
        """Another person, if a name is given; else the same, with a device of these systems."""
        return somebody(
            f"{self.name}-{name}" if name else self.name,
            self.rng,
            self.agents,
            *systems,
            address=address,
        )

    def device(self, *systems: str) -> Somebody:
        """Another device of the same person, on another network."""
        name = f"{self.name}-{systems[0]}"
        return somebody(name, self.rng, self.agents, *systems, person=self.me.person)

    def soon_s(self) -> float:
        """How long people take from a click to the first open: half of them 20 minutes."""
        return min(max(self.rng.lognormvariate(7.1, 1.2), 45.0), 20.0 * HOUR_S)

    def at_ms(self, at_s: float) -> int:
        """The instant."""
        return self._begins_ms + round(at_s * 1000)

    def touch(
        self,
        at_s: float,
        who: Somebody,
        *known: str,
        kind: str = "click",
        source: tuple[str, str] | None = None,
        fraud: bool = False,
        address: str | None = None,
        user_agent: str | None = None,
        late_s: float = 0,
    ) -> Touch:
        """A click, or an impression.

        Args:
            at_s: When.
            who: On whose device.
            known: What the link says of it: `gaid`, `user_id`, `device_id`; its browser's
                `cookie` and its network are known in any case, unless it is a fraud.
            kind: `click` or `impression`.
            source: Campaign and sub-publisher, else an honest one.
            fraud: Whether nobody has made it.
            address: Other than the device's.
            user_agent: Other than the device's.
            late_s: How much later it reaches the log.
        """
        self._count += 1
        touch_id = f"{self.name}-t{self._count}"
        ids = {"gaid": who.advertising_id, "user_id": who.user_id, "device_id": who.device_id}
        campaign, publisher = source or (
            f"campaign-{self.rng.randrange(3)}",
            f"publisher-{self.rng.randrange(_PUBLISHERS)}",
        )
        agent = user_agent or who.user_agent
        made = touches.touch_of(
            kind,
            TrackingLink(
                link_id=campaign,
                slug=campaign,
                app_id=APP,
                campaign_id=campaign,
                channel="display",
                web_url="https://shop.example.com/",
            ),
            touches.Visit(
                at_ms=self.at_ms(at_s),
                ip=address or who.address,
                user_agent=agent,
                agent=self._parser.parse(agent),
                language=who.locale,
                cookie_id=None if fraud else who.cookie_id,
            ),
            {"sub_publisher": publisher, **{one: ids[one] for one in known}},
            touch_id=touch_id,
            click_id=touch_id,
            destination=None,
        )
        if not fraud:
            self.book.owners[touch_id] = who.person
        for key in touches.keys_of(made):
            sent = Sent(self.at_ms(at_s + late_s), "identity", key, made)
            self.book.sent.append(sent)
        return made

    def event(
        self,
        at_s: float,
        who: Somebody,
        event: str,
        *known: str,
        referral: Referral | None = None,
        late_s: float = 0.2,
        kept_s: float | None = None,
        clock_s: float = 0,
        converts: bool = True,
        **fields: Any,
    ) -> str:
        """An event of somebody's device; the id of its conversion.

        Args:
            at_s: When.
            who: Whose device.
            event: Its name.
            known: Its identifiers beside the device: `user`, `ad`; or `web` for a browser.
            referral: What the store says.
            late_s: How much later it arrives.
            kept_s: For how long the device keeps it, so much later again, before it sends it and
                says when; None: it sends it at once and does not say.
            clock_s: By how much the device's clock is fast.
            converts: Whether it is a conversion.
            fields: More of the record.
        """
        self._count += 1
        event_id = f"{self.name}-e{self._count}"
        web = "web" in known
        ids = {
            "device_id": None if web else who.device_id,
            "cookie_id": who.cookie_id if web else None,
            "user_id": fields.pop("user_id", who.user_id if "user" in known else None),
        }
        raw = RawEvent(
            event_id=event_id,
            event=event,
            timestamp_ms=self.at_ms(at_s + clock_s),
            gaid=who.advertising_id if "ad" in known else None,
            context=Context(locale=who.locale),
            referral=referral,
            **ids,
            **fields,
        )
        subject = subject_of(APP, **ids) or ""
        arrives_ms = self.at_ms(at_s + (kept_s or 0) + late_s)
        envelope = Envelope(
            app_id=APP,
            subject=subject,
            received_at_ms=arrives_ms,
            sent_at_ms=None if kept_s is None else self.at_ms(at_s + kept_s + clock_s),
            ip=who.address,
            user_agent=who.user_agent,
            events=[raw],
        )
        self.book.sent.append(Sent(arrives_ms, "raw", subject, envelope))
        conversion_id = f"{APP}:{event_id}"
        if converts:
            self.book.converted[conversion_id] = Converted(self.kind, who.person)
        return conversion_id

    def install(
        self,
        at_s: float,
        who: Somebody,
        *known: str,
        click: Touch | None = None,
        began_s: float | None = None,
        by_servers: bool = False,
        clock_s: float = 0,
        **more: Any,
    ) -> str:
        """A first open. `click`: handed on by the store; `began_s`: when the store began.

        `by_servers`: whether that is the time of the store's servers, not the device's.
        """
        referral = None
        if click is not None or began_s is not None:
            wrong_s = 0 if by_servers else clock_s
            began_ms = None if began_s is None else self.at_ms(began_s + wrong_s) // 1000 * 1000
            referral = Referral(
                click_id=click.click_id if click else None,
                install_begin_at_ms=began_ms,
                server_times=by_servers,
            )
        return self.event(at_s, who, "install", *known, referral=referral, clock_s=clock_s, **more)

    def true(self, conversion_id: str, method: str, touch: Touch | None = None) -> None:
        """This is what has to come out."""
        self.book.truths[conversion_id] = Truth(method, touch.touch_id if touch else None)

    def by_network(self, conversion_id: str, touch: Touch) -> None:
        """The touch has brought it, but only the network may tell."""
        self.book.by_network[conversion_id] = touch.touch_id

    def fraud(self, conversion_id: str, rule: str, *touched: Touch) -> None:
        """Crediting these touches would be fraud, as this rule is to see."""
        for one in touched:
            self.book.frauds[conversion_id, one.touch_id] = rule

    def buys(self, after_s: float, who: Somebody, touch: Touch | None, *known: str) -> None:
        """At times purchases in the weeks after an install, which inherit from it."""
        for _ in range(self.rng.choice([0, 0, 1, 1, 2])):
            at_s = after_s + self.rng.uniform(HOUR_S, 20 * DAY_S)
            bought = self.event(
                at_s, who, "purchase", *known, properties='{"revenue":9.99,"currency":"EUR"}'
            )
            self.true(bought, "inherited", touch)
