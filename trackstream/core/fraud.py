"""Fraud: an ordered list of pure rules over one candidate. The first that rejects is the reason.

Each rule says only what cannot be honest, or what the app has listed itself. What is legitimate and
looks odd is left alone, or only noted: many people behind one carrier's address, one tablet used by
a family, a download that takes days.
Sources: the measurement partners' published fraud rules (click injection by Play's install begin
time, click-to-install time, click flooding), and IAB's list of bots by way of the collector.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from trackstream.core.addresses import Network, address_of, network_of
from trackstream.core.identifiers import is_probabilistic
from trackstream.core.records import Conversion, Prior, Touch
from trackstream.core.rules import HOUR_MS, FraudRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["CHECKS", "STORE_PRECISION_MS", "Case", "fullest_hours", "judge", "source_of"]

STORE_PRECISION_MS = 1000
"""Stores tell times in whole seconds."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate, and what its rules may look at."""

    conversion: Conversion
    touch: Touch
    identifier: str
    """By which the touch was found."""
    clicks_in_hour: int = 0
    """Clicks under the same identifier in the fullest hour around this one; see `fullest_hours`."""
    devices: int = 0
    """That touched anything, within the window, under the conversion's fingerprint."""
    installs_of_click: list[Prior]
    """Earlier installs of other devices that named this touch's click id."""
    rules: FraudRules
    slack_ms: int = 0
    """By how much the conversion may have been later than it says: its device's clock may be slow,
    and a rule rejects only what is certain. How late it was sent is no part of it, where that is
    known."""


def judge(case: Case) -> tuple[str | None, list[str]]:
    """(the first rule that rejects, or None; the rules that only flag)."""
    rejected: str | None = None
    flags: list[str] = []
    for name, check in CHECKS:
        action = case.rules.actions.get(name, "off")
        if action == "off" or (rejected and action == "reject") or not check(case):
            continue
        if action == "reject":
            rejected = name
        else:
            flags.append(name)
    return rejected, flags


def source_of(touch: Touch) -> str:
    """The source that the flooding job marks: campaign and sub-publisher."""
    return f"{touch.campaign_id or ''}/{touch.sub_publisher or ''}"


def fullest_hours(clicks_ms: Iterable[int]) -> dict[int, int]:
    """How many clicks there are in the fullest hour that contains each, by the click's time.

    An hour is any 3,600 s, the end not included. The fullest may as well begin with a click, so
    those that do are gone through in order of time, and of those that are not yet over at a click
    only such are remembered as are fuller than all that began later.
    """
    times_ms = sorted(clicks_ms)
    most = dict[int, int]()
    hours = deque[tuple[int, int]]()
    end = 0
    for place, at_ms in enumerate(times_ms):
        while end < len(times_ms) and times_ms[end] < at_ms + HOUR_MS:
            end += 1
        while hours and hours[-1][1] <= end - place:
            hours.pop()
        hours.append((at_ms, end - place))
        while hours[0][0] <= at_ms - HOUR_MS:
            hours.popleft()
        most[at_ms] = hours[0][1]
    return most


def click_after_install_began(case: Case) -> bool:
    """A click made when the download was already running was injected to take its credit.

    The store gives whole seconds: a click within that second may have been before. Its servers'
    clocks are right, a device's may be slow.
    """
    began_ms = case.conversion.install_begin_at_ms
    if case.touch.kind != "click" or began_ms is None:
        return False
    slack_ms = 0 if case.conversion.server_times else case.slack_ms
    return case.touch.at_ms > began_ms + STORE_PRECISION_MS - 1 + slack_ms


def click_to_install_too_short(case: Case) -> bool:
    """No app is found, downloaded and opened that fast; the store's own times know better."""
    if case.conversion.kind != "install" or case.touch.kind != "click":
        return False
    if case.conversion.install_begin_at_ms is not None:
        return False
    took_ms = case.conversion.at_ms + case.slack_ms - case.touch.at_ms
    return took_ms < case.rules.min_click_to_install_ms


def bot(case: Case) -> bool:
    """Either side says of itself that it is a robot."""
    return case.touch.bot or case.conversion.bot


def emulator(case: Case) -> bool:
    """The conversion's device is one of the emulators' models."""
    model = (case.conversion.device_model or "").lower()
    return bool(model) and any(one in model for one in case.rules.emulator_models)


def data_centre(case: Case) -> bool:
    """The conversion comes from where machines are let; needs a database of autonomous systems.

    Of touches the system is not known. Events are left out: an app's own servers, which may well
    be there, tell of purchases. An install is made by the device.
    """
    conversion = case.conversion
    return conversion.kind != "event" and conversion.asn in case.rules.data_centre_asns


def blocked_ip(case: Case) -> bool:
    """Either side's address is listed."""
    networks = case.rules.blocklists.ips
    return bool(networks) and any(
        _listed(address, networks) for address in (case.touch.ip, case.conversion.ip)
    )


def blocked_user_agent(case: Case) -> bool:
    """The touch's user agent contains a listed part."""
    text = (case.touch.user_agent or "").lower()
    return any(one.lower() in text for one in case.rules.blocklists.user_agents if one)


def blocked_sub_publisher(case: Case) -> bool:
    """The touch was sold by a listed sub-publisher."""
    return case.touch.sub_publisher in case.rules.blocklists.sub_publishers


def click_flooding(case: Case) -> bool:
    """More clicks of one person within any one hour than a person makes.

    Only where the identifier is one person's: behind a fingerprint there may be a whole carrier.
    """
    if is_probabilistic(case.identifier) or case.touch.kind != "click":
        return False
    return case.clicks_in_hour > case.rules.max_touches_per_hour


def click_used_before(case: Case) -> bool:
    """Another device has installed with this very click before."""
    return bool(case.installs_of_click)


def flooding_source(case: Case) -> bool:
    """The flooding job has marked the touch's campaign and sub-publisher."""
    return source_of(case.touch) in case.rules.blocklists.sources


def many_devices(case: Case) -> bool:
    """Many were at the conversion's network: a farm or, far more often, a carrier. So, a hint."""
    return case.devices > case.rules.max_devices_per_network


def geo_mismatch(case: Case) -> bool:
    """Click and install in different countries: roaming and VPNs are honest, so only a hint."""
    here, there = case.conversion.country, case.touch.country
    return here is not None and there is not None and here != there


CHECKS: tuple[tuple[str, Callable[[Case], bool]], ...] = (
    ("click_after_install_began", click_after_install_began),
    ("click_to_install_too_short", click_to_install_too_short),
    ("bot", bot),
    ("emulator", emulator),
    ("data_centre", data_centre),
    ("blocked_ip", blocked_ip),
    ("blocked_user_agent", blocked_user_agent),
    ("blocked_sub_publisher", blocked_sub_publisher),
    ("click_flooding", click_flooding),
    ("click_used_before", click_used_before),
    ("flooding_source", flooding_source),
    ("many_devices", many_devices),
    ("geo_mismatch", geo_mismatch),
)
"""In the order of `rules.FRAUD_RULES`; a test keeps them the same."""


def _listed(text: str | None, networks: tuple[str, ...]) -> bool:
    here = address_of(text)
    return here is not None and any(
        here in network for network in _parsed(networks) if network.version == here.version
    )


@lru_cache(maxsize=64)
def _parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(network_of(one, strict=False) for one in networks)
