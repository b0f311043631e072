"""What is legitimate and looks odd: nothing of it may be rejected as fraud."""

from __future__ import annotations

from dataclasses import replace

from trackstream.cli.ground_truth.honest import first_install
from trackstream.cli.ground_truth.life import DAY_S, HOUR_S, MINUTE_S, Life
from trackstream.cli.ground_truth.people import carrier, home, rented

_BEHIND_ONE_ADDRESS = 300


def carrier_nat(a: Life) -> None:
    """One of hundreds behind a carrier's address: led by the store, known by network, or alone."""
    a.me = a.person(address=carrier(a.number // _BEHIND_ONE_ADDRESS))
    opened_s = a.soon_s()
    match a.number % 3:
        case 0:
            click = a.touch(0, a.me)
            installed = a.install(opened_s, a.me, click=click, began_s=opened_s / 2)
            a.true(installed, "click_deterministic", click)
        case 1:
            click = a.touch(0, a.me)
            a.by_network(a.install(opened_s, a.me), click)
        case _:
            a.install(opened_s, a.me)


def family(a: Life) -> None:
    """Four people on one router, all installing within a day; two have the same phone."""
    router = home(a.name)
    people = [a.person(name=f"p{n}", address=router) for n in range(4)]
    for who in people:
        first_install(a, who, a.rng.uniform(0, 12 * HOUR_S))
    # a twin of the first one's phone, in another hand
    begins_s = a.rng.uniform(0, 12 * HOUR_S)
    twin = replace(people[0], name=f"{a.name}-twin", person=f"{a.name}-twin")
    first_install(a, twin, begins_s)


def shared_tablet(a: Life) -> None:
    """One tablet, three users; each clicks, one after the other installs, all buy."""
    a.me = a.person("android")
    opened_s, click = first_install(a, a.me)
    users = [f"{a.name}-user-{n}" for n in range(3)]
    for number, user in enumerate(users):
        at_s = opened_s + (number + 1) * DAY_S
        a.event(at_s, a.me, "login", user_id=user, converts=False)
        bought = a.event(at_s + HOUR_S, a.me, "purchase", user_id=user)
        a.true(bought, "inherited", click)
    a.touch(opened_s + 5 * DAY_S, a.me, "gaid")
    a.true(a.install(opened_s + 6 * DAY_S, a.me, "ad", user_id=users[1]), "reinstall", click)


def slow_download(a: Life) -> None:
    """Begins at once, ends days later."""
    click = a.touch(0, a.me)
    opened_s = a.rng.uniform(1 * DAY_S, a.rules.click_window_ms / 1000 - HOUR_S)
    installed = a.install(opened_s, a.me, click=click, began_s=a.rng.uniform(5, 60))
    a.true(installed, "click_deterministic", click)


def fast_install(a: Life) -> None:
    """Open six seconds after the click; the store says that it began after the click.

    All by one publisher, whose people have fast networks.
    """
    click = a.touch(0, a.me, "gaid", source=("campaign-0", "publisher-fast"))
    installed = a.install(a.rng.uniform(3, 6), a.me, "ad", began_s=a.rng.uniform(0, 2))
    a.true(installed, "click_deterministic", click)


def slow_clock(a: Life) -> None:
    """A phone up to a minute behind, and the store's time by the same clock, if any.

    Sent at once or much later, and it says when or not.
    """
    behind_s = a.rng.uniform(5, 58)
    click = a.touch(0, a.me, "gaid")
    began_s = a.rng.uniform(2, 10) if a.rng.random() < 0.5 else None
    kept_s = a.rng.choice([None, 0, 31, HOUR_S])
    installed = a.install(
        a.rng.uniform(12, 90), a.me, "ad", began_s=began_s, clock_s=-behind_s, kept_s=kept_s
    )
    a.true(installed, "click_deterministic", click)


def told_by_servers(a: Life) -> None:
    """Signs up in the browser that clicked; the shop's servers tell of it, from a data centre."""
    computer = a.device("desktop")
    click = a.touch(0, computer)
    servers = replace(computer, address=rented(a.number))
    a.true(a.event(a.soon_s(), servers, "sign_up", "web"), "click_deterministic", click)


def eager(a: Life) -> None:
    """Taps the banner forty times within an hour."""
    times_s = sorted(a.rng.uniform(0, HOUR_S) for _ in range(40))
    clicks = [a.touch(one, a.me, "gaid") for one in times_s]
    installed = a.install(times_s[-1] + 10 * MINUTE_S, a.me, "ad")
    a.true(installed, "click_deterministic", clicks[-1])


def same_click_again(a: Life) -> None:
    """Reinstalled at once: the store hands on the same click id once more."""
    a.me = a.person("android")
    click = a.touch(0, a.me)
    opened_s = a.soon_s()
    installed = a.install(opened_s, a.me, click=click, began_s=opened_s / 2)
    a.true(installed, "click_deterministic", click)
    again = a.install(opened_s + DAY_S, a.me, click=click, began_s=opened_s / 2)
    a.true(again, "reinstall", click)
