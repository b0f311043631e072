"""How alike a touch and a conversion are that share no identifier, only a network and a system."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trackstream.core.addresses import address_of

if TYPE_CHECKING:
    from trackstream.core.records import Conversion, Touch

__all__ = ["confidence", "device_of"]


_FAMILIES = ("iphone", "ipad", "ipod")
_UNSEEN = 0.1
"""Somebody behind an address who touched nothing and installs: so many for each address."""


class _Trait(NamedTuple):
    """Something that a touch and a conversion may both say of their device."""

    weight: float
    """What it adds when they agree; half of it when either does not say."""
    common: float
    """How many of two strangers' devices agree in it: rough shares among a country's phones."""
    changes: float
    """How often one device says two different things of itself."""


_OS_VERSION = _Trait(0.14, 0.15, 0.2)  # browsers freeze the version that they tell
_MODEL = _Trait(0.1, 0.03, 0.005)
_FAMILY = _Trait(0.1, 0.8, 0.001)  # an iPhone says no more than that it is one
_LANGUAGE = _Trait(0.06, 0.4, 0.05)
_TIMEZONE = _Trait(0.05, 0.6, 0.05)
_SCREEN = _Trait(0.05, 0.1, 0.1)


def confidence(conversion: Conversion, touch: Touch, *, behind: int = 1) -> float:
    """How sure it is, between 0 and 1, that both come from one device, told by its surroundings.

    The address weighs most: the same address 0.6, the same network 0.25. OS version, model,
    language, timezone and screen add when they agree, and half of that when either side does not
    say. A click that is only a redirect says nothing of timezone and screen; a page or a banner
    that links to the store can (`core.touches`).

    That is divided by the odds of a stranger: Bayes' rule, for how many of those behind the address
    would say the same of themselves, beside how often the device itself does. So what contradicts
    costs more the more devices were seen there, and so does what agrees by chance.

    Args:
        conversion: The install.
        touch: One found under its fingerprint.
        behind: How many devices touched anything from there within the window, this one included.
    """
    score = 0.6 if _same_address(conversion.ip, touch.ip) else 0.25
    strangers = max(0, behind - 1) + _UNSEEN
    my_model, their_model, model = _models(conversion.device_model, touch.device_model)
    for mine, theirs, trait in (
        (conversion.os_version, touch.os_version, _OS_VERSION),
        (my_model, their_model, model),
        (_language(conversion.language), _language(touch.language), _LANGUAGE),
        (conversion.timezone, touch.timezone, _TIMEZONE),
        (conversion.screen, touch.screen, _SCREEN),
    ):
        if mine is None or theirs is None:
            score += trait.weight / 2
        elif mine.lower() == theirs.lower():
            score += trait.weight
            strangers *= trait.common / (1 - trait.changes)
        else:
            strangers *= (1 - trait.common) / trait.changes
    return round(score / (1 + strangers), 4)


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


def _models(a: str | None, b: str | None) -> tuple[str | None, str | None, _Trait]:
    """Both, as far as they can be compared: an app says `iPhone15,2`, a browser only `iPhone`."""
    families = [
        family for one in (a, b) if one for family in _FAMILIES if one.lower().startswith(family)
    ]
    if a and b and {a.lower(), b.lower()} & set(families):
        return (families[0], families[-1], _FAMILY) if len(families) == 2 else (a, b, _FAMILY)
    return a, b, _MODEL


def _language(locale: str | None) -> str | None:
    """`de-AT`, `de_AT` and `de-AT,de;q=0.8` all speak `de`."""
    if not locale:
        return None
    return locale.split(",")[0].split(";")[0].replace("_", "-").split("-")[0].strip().lower()
