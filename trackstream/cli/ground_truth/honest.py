"""What people ordinarily do, and what has to come of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.cli.ground_truth.life import DAY_S, HOUR_S, MINUTE_S, Life
from trackstream.cli.ground_truth.people import home
from trackstream.core.records import Referral

if TYPE_CHECKING:
    from trackstream.cli.ground_truth.people import Somebody
    from trackstream.core.records import Touch

__all__ = ["first_install"]


def first_install(a: Life, who: Somebody, at_s: float = 0) -> tuple[float, Touch]:
    """A click that names the device, and the install that it brings; when that was, the click."""
    click = a.touch(at_s, who, "gaid")
    opened_s = at_s + a.soon_s()
    installed = a.install(opened_s, who, "ad")
    a.true(installed, "click_deterministic", click)
    return opened_s, click


def organic(a: Life) -> None:
    a.true(a.install(0, a.me, "ad"), "organic")
    a.buys(0, a.me, None)


def store_referrer(a: Life) -> None:
    a.me = a.person("android")
    click = a.touch(0, a.me)
    opened_s = a.soon_s()
    installed = a.install(opened_s, a.me, click=click, began_s=opened_s * 0.6)
    a.true(installed, "click_deterministic", click)
    a.buys(opened_s, a.me, click)


def device_in_link(a: Life) -> None:
    opened_s, click = first_install(a, a.me)
    a.buys(opened_s, a.me, click)


def two_clicks(a: Life) -> None:
    a.touch(-a.rng.uniform(HOUR_S, 5 * DAY_S), a.me, "gaid")
    opened_s, click = first_install(a, a.me)
    a.buys(opened_s, a.me, click)


def logs_in_after(a: Life) -> None:
    """Clicks a newsletter on a computer, installs on a phone, logs in there."""
    computer = a.device("desktop")
    click = a.touch(0, computer, "user_id")
    opened_s = a.soon_s()
    a.true(a.install(opened_s, a.me), "click_deterministic", click)
    a.event(opened_s + a.rng.uniform(20, DAY_S), a.me, "login", "user", converts=False)
    a.buys(opened_s + DAY_S, a.me, click, "user")


def two_devices(a: Life) -> None:
    """Logged in on a computer and on a phone; clicks on the one, installs on the other."""
    computer = a.device("desktop")
    login_s = a.rng.uniform(-30 * DAY_S, 4 * DAY_S)
    a.event(login_s, computer, "login", "web", "user", converts=False)
    click = a.touch(0, computer)
    opened_s = a.soon_s()
    a.true(a.install(opened_s, a.me), "click_deterministic", click)
    a.event(opened_s + a.rng.uniform(20, DAY_S), a.me, "login", "user", converts=False)


def tablet_and_phone(a: Life) -> None:
    """Has the app on a tablet, clicks there, installs it on a phone, which is new."""
    tablet = a.device("android")
    a.true(a.install(-40 * DAY_S, tablet), "organic")
    a.event(-40 * DAY_S + 60, tablet, "login", "user", converts=False)
    click = a.touch(0, tablet, "device_id")
    opened_s = a.soon_s()
    a.true(a.install(opened_s, a.me), "click_deterministic", click)
    a.event(opened_s + 300, a.me, "login", "user", converts=False)


def expired(a: Life) -> None:
    window_s = a.rules.click_window_ms / 1000
    a.touch(0, a.me, "gaid")
    a.true(a.install(window_s + a.rng.uniform(1, 5 * DAY_S), a.me, "ad"), "organic")


def nearly_expired(a: Life) -> None:
    click = a.touch(0, a.me, "gaid")
    opened_s = a.rules.click_window_ms / 1000 - a.rng.uniform(1, 6 * HOUR_S)
    a.true(a.install(opened_s, a.me, "ad"), "click_deterministic", click)


def clicked_after(a: Life) -> None:
    a.true(a.install(0, a.me, "ad"), "organic")
    a.touch(a.rng.uniform(5 * MINUTE_S, DAY_S), a.me, "gaid")


def reinstall(a: Life) -> None:
    opened_s, click = first_install(a, a.me)
    again_s = opened_s + a.rng.uniform(DAY_S, 80 * DAY_S)
    a.touch(again_s - HOUR_S, a.me, "gaid")
    a.true(a.install(again_s, a.me, "ad"), "reinstall", click)


def won_again(a: Life) -> None:
    """Silent for more than 90 days, then a click and a reinstall."""
    opened_s, _ = first_install(a, a.me)
    first_install(a, a.me, opened_s + a.rules.reattribution_after_ms / 1000 + 2 * DAY_S)


def silent_then_back(a: Life) -> None:
    """As silent, but no ad has brought it back."""
    opened_s, click = first_install(a, a.me)
    again_s = opened_s + a.rules.reattribution_after_ms / 1000 + a.rng.uniform(1, 9) * DAY_S
    a.true(a.install(again_s, a.me, "ad"), "reinstall", click)


def active_then_reinstall(a: Life) -> None:
    """The first install is long ago, but a purchase is not."""
    opened_s, click = first_install(a, a.me)
    bought = a.event(opened_s + 60 * DAY_S, a.me, "purchase")
    a.true(bought, "inherited", click)
    a.touch(opened_s + 99 * DAY_S, a.me, "gaid")
    a.true(a.install(opened_s + 100 * DAY_S, a.me, "ad"), "reinstall", click)


def reengaged(a: Life) -> None:
    opened_s, first = first_install(a, a.me)
    back_s = opened_s + a.rng.uniform(10, 40) * DAY_S
    click = a.touch(back_s, a.me)
    referral = Referral(click_id=click.click_id)
    a.true(
        a.event(back_s + 2, a.me, "deep_link_opened", referral=referral),
        "click_deterministic",
        click,
    )
    window_s = a.rules.reengagement_window_ms / 1000
    within, after = (a.event(back_s + share * window_s, a.me, "purchase") for share in (0.9, 1.2))
    a.true(within, "inherited", click)
    a.true(after, "inherited", first)


def seen(a: Life) -> None:
    view = a.touch(0, a.me, "gaid", kind="impression")
    opened_s = a.soon_s()
    a.true(a.install(opened_s, a.me, "ad"), "view_deterministic", view)
    a.buys(opened_s, a.me, view)


def seen_too_long_ago(a: Life) -> None:
    a.touch(0, a.me, "gaid", kind="impression")
    opened_s = a.rules.view_window_ms / 1000 + a.rng.uniform(1, 3 * DAY_S)
    a.true(a.install(opened_s, a.me, "ad"), "organic")


def clicked_then_seen(a: Life) -> None:
    click = a.touch(0, a.me, "gaid")
    opened_s = a.soon_s()
    a.touch(opened_s * 0.5, a.me, "gaid", kind="impression")
    a.true(a.install(opened_s, a.me, "ad"), "click_deterministic", click)


def on_the_web(a: Life) -> None:
    computer = a.device("desktop")
    click = a.touch(0, computer)
    signed_up = a.event(a.soon_s(), computer, "sign_up", "web")
    a.true(signed_up, "click_deterministic", click)


def sent_late(a: Life) -> None:
    """The install is sent when the phone is online again; or the click was kept in the spool."""
    offline_s, spooled_s = a.rng.choice([(3 * DAY_S, 0), (0.2, 2 * DAY_S), (DAY_S, 3 * DAY_S)])
    click = a.touch(0, a.me, "gaid", late_s=spooled_s)
    installed = a.install(a.soon_s(), a.me, "ad", late_s=offline_s)
    a.true(installed, "click_deterministic", click)


def same_network(a: Life) -> None:
    click = a.touch(0, a.me)
    a.by_network(a.install(a.soon_s(), a.me), click)


def seen_on_same_network(a: Life) -> None:
    view = a.touch(0, a.me, kind="impression")
    opened_s = min(a.soon_s(), a.rules.view_probabilistic_window_ms / 1000)
    a.by_network(a.install(opened_s, a.me), view)


def network_changed(a: Life) -> None:
    """Clicks at home, installs on the way: nothing can tell."""
    click = a.touch(0, a.me, address=home(f"{a.name}-home"))
    a.by_network(a.install(a.soon_s(), a.me), click)
