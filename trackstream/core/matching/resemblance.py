"""How alike a touch and a conversion are that share no identifier, only a network and a system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.core.addresses import address_of

if TYPE_CHECKING:
    from trackstream.core.records import Conversion, Touch

__all__ = ["confidence", "device_of"]


def confidence(conversion: Conversion, touch: Touch) -> float:
    """How sure it is, between 0 and 1, that both come from one device, told by its surroundings.

    The address weighs most: the same address 0.6, the same network 0.25. OS version, model,
    language, timezone and screen add when they agree, and half of that when either side does not
    say. A click that is only a redirect says nothing of timezone and screen; a page or a banner
    that links to the store can (`core.touches`).
    """
    score = 0.6 if _same_address(conversion.ip, touch.ip) else 0.25
    for mine, theirs, weight in (
        (conversion.os_version, touch.os_version, 0.14),
        (conversion.device_model, touch.device_model, 0.1),
        (_language(conversion.language), _language(touch.language), 0.06),
        (conversion.timezone, touch.timezone, 0.05),
        (conversion.screen, touch.screen, 0.05),
    ):
        if mine is None or theirs is None:
            score += weight / 2
        elif mine.lower() == theirs.lower():
            score += weight
    return round(score, 4)


def device_of(touch: Touch) -> str:
    """What tells a touch's device from others behind its address: its cookie, else its looks."""
    cookie = next((one for one in touch.identifiers if one.startswith("cookie:")), None)
    if cookie:
        return cookie
    looks = (
        *(touch.ip, touch.os_version, touch.device_model, _language(touch.language)),
        *(touch.timezone, touch.screen),
    )
    return "|".join(one or "" for one in looks)


def _same_address(a: str | None, b: str | None) -> bool:
    mine = address_of(a)
    return mine is not None and mine == address_of(b)


def _language(locale: str | None) -> str | None:
    """`de-AT`, `de_AT` and `de-AT,de;q=0.8` all speak `de`."""
    if not locale:
        return None
    return locale.split(",")[0].split(";")[0].replace("_", "-").split("-")[0].strip().lower()
