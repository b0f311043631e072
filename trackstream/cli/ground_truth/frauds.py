"""Who wants to be paid for nothing. Some of the victims were brought by another's honest click."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trackstream.cli.ground_truth.life import DAY_S, HOUR_S, MINUTE_S, Life
from trackstream.cli.ground_truth.people import EMULATOR, rented

if TYPE_CHECKING:
    from trackstream.core.records import Touch

__all__ = ["BLOCKED_AGENT", "BLOCKED_PUBLISHER"]

BLOCKED_AGENT = "ClickFarm"
BLOCKED_PUBLISHER = "publisher-shady"
_FAR_AWAY = "198.51.100.9"
"""Where fraud comes from: nobody's home (RFC 5737)."""
_PER_SOURCE = 150


def _victim(a: Life, opened_s: float) -> Touch | None:
    """Somebody who installs anyway: half of them after an honest click, which is due the credit."""
    if a.rng.random() < 0.5:
        return None
    return a.touch(opened_s - a.soon_s() - 2 * MINUTE_S, a.me, "gaid")


def _stolen(a: Life, conversion_id: str, rule: str, honest: Touch | None, *clicks: Touch) -> None:
    a.fraud(conversion_id, rule, *clicks)
    a.true(conversion_id, "click_deterministic" if honest else "organic", honest)


def injection(a: Life) -> None:
    """An app on the phone sees the download begin, and clicks before it ends."""
    began_s, opened_s = 0.0, a.rng.uniform(30, 10 * MINUTE_S)
    honest = _victim(a, began_s)
    at_s = a.rng.uniform(3, min(opened_s, 60) - 2)
    click = a.touch(at_s, a.me, "gaid", fraud=True, address=_FAR_AWAY)
    installed = a.install(opened_s, a.me, "ad", began_s=began_s)
    _stolen(a, installed, "click_after_install_began", honest, click)


def injection_unseen(a: Life) -> None:
    """The same just before the first open, where no store says when it began."""
    honest = _victim(a, 0)
    click = a.touch(-a.rng.uniform(0.3, 9), a.me, "gaid", fraud=True, address=_FAR_AWAY)
    _stolen(a, a.install(0, a.me, "ad"), "click_to_install_too_short", honest, click)


def injection_kept(a: Life) -> None:
    """Either of both, told later: the app sends by the half-minute, or the phone was offline."""
    kept_s = a.rng.choice([30, 2 * MINUTE_S, DAY_S]) * a.rng.random()
    began_s = None if a.rng.random() < 0.5 else -90.0
    honest = _victim(a, -90)
    at_s = -a.rng.uniform(0.3, 9) if began_s is None else began_s + a.rng.uniform(3, 80)
    click = a.touch(at_s, a.me, "gaid", fraud=True, address=_FAR_AWAY)
    installed = a.install(0, a.me, "ad", began_s=began_s, kept_s=kept_s)
    rule = "click_to_install_too_short" if began_s is None else "click_after_install_began"
    _stolen(a, installed, rule, honest, click)


def injection_told_by_servers(a: Life) -> None:
    """On a slow phone that does not say when it sends; the store's servers say when it began."""
    began_s, opened_s = 0.0, a.rng.uniform(30, 10 * MINUTE_S)
    honest = _victim(a, began_s)
    click = a.touch(a.rng.uniform(3, 25), a.me, "gaid", fraud=True, address=_FAR_AWAY)
    installed = a.install(
        opened_s,
        a.me,
        "ad",
        began_s=began_s,
        by_servers=True,
        clock_s=-a.rng.uniform(0, 58),
        late_s=a.rng.uniform(0.2, DAY_S),
    )
    _stolen(a, installed, "click_after_install_began", honest, click)


def flooded_device(a: Life) -> None:
    """A hundred clicks an hour with one device's id, in case it installs something."""
    opened_s = a.rng.uniform(2 * HOUR_S, DAY_S)
    honest = _victim(a, -HOUR_S)
    clicks = [
        a.touch(a.rng.uniform(0, 50 * MINUTE_S), a.me, "gaid", fraud=True, address=_FAR_AWAY)
        for _ in range(a.rng.randint(70, 120))
    ]
    _stolen(a, a.install(opened_s, a.me, "ad"), "click_flooding", honest, *clicks)


def spamming_source(a: Life) -> None:
    """A source clicks with everybody's id; whoever installs did so anyway, at any time."""
    source = ("campaign-0", f"publisher-spam-{a.number // _PER_SOURCE}")
    window_s = a.rules.click_window_ms / 1000
    click = a.touch(0, a.me, "gaid", fraud=True, address=_FAR_AWAY, source=source)
    installed = a.install(a.rng.uniform(20, window_s - 1), a.me, "ad")
    a.fraud(installed, "flooding_source", click)


def _robbed(
    a: Life, rule: str, *, address: str = _FAR_AWAY, agent: str | None = None, shady: bool = False
) -> None:
    honest = _victim(a, 0)
    click = a.touch(
        -a.rng.uniform(MINUTE_S, 2 * MINUTE_S),
        a.me,
        "gaid",
        fraud=True,
        address=address,
        user_agent=agent,
        source=("campaign-0", BLOCKED_PUBLISHER) if shady else None,
    )
    _stolen(a, a.install(0, a.me, "ad"), rule, honest, click)


def crawler(a: Life) -> None:
    robot = "Mozilla/5.0 (compatible; ExampleBot/1.0; +https://bot.example/about)"
    _robbed(a, "bot", agent=robot)


def listed_network(a: Life) -> None:
    _robbed(a, "blocked_ip", address=f"203.0.113.{1 + a.rng.randrange(250)}")


def click_program(a: Life) -> None:
    agent = f"{a.me.user_agent} {BLOCKED_AGENT}/2"
    _robbed(a, "blocked_user_agent", agent=agent)


def shady_publisher(a: Life) -> None:
    _robbed(a, "blocked_sub_publisher", shady=True)


def emulators(a: Life) -> None:
    """A machine that pretends to be a phone, with a click of its own."""
    machine = replace(a.me, user_agent=EMULATOR)
    click = a.touch(0, machine, "gaid", fraud=True)
    _stolen(a, a.install(a.soon_s(), machine, "ad"), "emulator", None, click)


def data_centre(a: Life) -> None:
    """Machines that pretend better, on rented computers."""
    machine = replace(a.me, address=rented(a.number))
    click = a.touch(0, machine, "gaid", fraud=True)
    _stolen(a, a.install(a.soon_s(), machine, "ad"), "data_centre", None, click)


def stolen_click_id(a: Life) -> None:
    """Somebody clicks and installs; then thirty devices of a farm claim the same click."""
    a.me = a.person("android")
    click = a.touch(0, a.me)
    opened_s = a.soon_s()
    installed = a.install(opened_s, a.me, click=click, began_s=opened_s / 2)
    a.true(installed, "click_deterministic", click)
    _farm(a, click, opened_s)


def install_farm(a: Life) -> None:
    """A farm makes the click, too: its first install cannot be told from an honest one."""
    click = a.touch(0, a.me, fraud=True, address=_FAR_AWAY)
    first = a.install(600, a.person("android", name="first"), click=click, began_s=300)
    a.fraud(first, "click_used_before", click)
    _farm(a, click, 600)


def _farm(a: Life, click: Touch, after_s: float) -> None:
    for number in range(30):
        device = a.person("android", name=f"farm-{number}")
        at_s = after_s + a.rng.uniform(MINUTE_S, 3 * DAY_S)
        installed = a.install(at_s, device, click=click, began_s=at_s - 40)
        _stolen(a, installed, "click_used_before", None, click)
