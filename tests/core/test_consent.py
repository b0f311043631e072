"""Which purposes are about tracking: the documented ones, however they are spelt."""

import re
from pathlib import Path

import pytest

from trackstream.core.consent import TRACKING_PURPOSES, may_be_guessed
from trackstream.core.records import Context
from trackstream.core.rules import Rules

NEEDED = Rules(probabilistic_needs_consent=True)


def guessed(rules: Rules, **consent: bool) -> bool:
    return may_be_guessed(Context(consent=consent), rules)


@pytest.mark.parametrize(
    "purpose",
    [
        *TRACKING_PURPOSES,
        *("adStorage", "Ad Personalization", "AD-USER-DATA", "appTracking", "ATT", "c0004"),
    ],
)
def test_a_purpose_of_advertising_denies_and_allows(purpose: str) -> None:
    assert not guessed(Rules(), **{purpose: False})
    assert not guessed(NEEDED, **{purpose: False, "Ads!": True})
    assert guessed(NEEDED, **{purpose: True})
    assert not guessed(Rules(probabilistic=False), **{purpose: True})


@pytest.mark.parametrize("purpose", ["analytics", "analytics_storage", "functional", "C0002", ""])
def test_another_purpose_says_nothing(purpose: str) -> None:
    assert guessed(Rules(), **{purpose: False})
    assert not guessed(NEEDED, **{purpose: True})


def test_without_a_context_nothing_is_denied_or_allowed() -> None:
    assert may_be_guessed(None, Rules())
    assert not may_be_guessed(None, NEEDED)


def test_the_purposes_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/events.md").read_text()
    table = page.partition("| purposes | |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert re.findall(r"`(.+?)`", "".join(rows)) == [*TRACKING_PURPOSES]
