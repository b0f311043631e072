"""How sure a match by network and looks is, told by examples."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from tests.core.matching.world import conversion, touch
from trackstream.core.matching.resemblance import confidence
from trackstream.core.rules import DEFAULT

CLICK = msgspec.structs.replace(
    touch("t", 0, ["fp:f"]),
    ip="192.0.2.7",
    os_version="16.6.1",
    device_model="iPhone",
    language="it-IT",
)
INSTALL = msgspec.structs.replace(
    conversion("c", 1, ["fp:f"]),
    ip="192.0.2.7",
    os_version="16.6.1",
    device_model="iPhone15,2",
    language="it",
)


def test_the_same_surroundings_are_sure_at_home() -> None:
    assert confidence(INSTALL, CLICK) >= 0.9


@pytest.mark.parametrize(
    "contradiction", [{"language": "de-DE"}, {"device_model": "iPad"}, {"os_version": "18.1"}]
)
def test_what_contradicts_costs_more_the_more_are_behind_the_address(
    contradiction: dict[str, str],
) -> None:
    other = msgspec.structs.replace(CLICK, **contradiction)
    sure = [confidence(INSTALL, other, behind=n) for n in (1, 2, 5, 50, 500)]
    assert all(a > b for a, b in pairwise([confidence(INSTALL, CLICK), *sure]))
    assert sure[2] < DEFAULT.min_confidence


def test_what_is_rare_is_still_sure_in_a_crowd_and_what_is_common_is_not() -> None:
    rare = {"os_version": "14", "device_model": "Pixel 8", "language": "de"}
    mine, theirs = msgspec.structs.replace(INSTALL, **rare), msgspec.structs.replace(CLICK, **rare)
    assert confidence(mine, theirs, behind=100) > DEFAULT.min_confidence
    assert confidence(INSTALL, CLICK, behind=100) < DEFAULT.min_confidence


def test_an_app_says_more_of_an_iphone_than_a_browser_does() -> None:
    plain = msgspec.structs.replace(INSTALL, device_model="iPhone")
    assert confidence(INSTALL, CLICK) == confidence(plain, CLICK)
    other = msgspec.structs.replace(INSTALL, device_model="iPad13,1")
    assert confidence(other, CLICK) < confidence(plain, CLICK) - 0.2
