from __future__ import annotations

from trackstream.cli.simulation.outcomes import Difference, compared, differences
from trackstream.cli.simulation.steps import Expected, Journey

CAMPAIGNS = ["spring", "summer"]
JOURNEYS = [
    Journey(
        kind="device_in_link",
        steps=(),
        expected=(
            Expected(event_id="1", method="click_deterministic", campaign=0),
            Expected(event_id="2", method="inherited", campaign=0),
        ),
    ),
    Journey(kind="organic", steps=(), expected=(Expected(event_id="3", method="organic"),)),
]
RIGHT: dict[str, tuple[str, str, str | None]] = {
    "1": ("demo:1", "click_deterministic", "spring"),
    "2": ("demo:2", "inherited", "spring"),
    "3": ("demo:3", "organic", None),
}


def test_what_is_true_is_no_difference() -> None:
    assert differences(RIGHT, JOURNEYS, CAMPAIGNS) == []


def test_another_method_another_campaign_and_nothing_differ() -> None:
    found: dict[str, tuple[str, str, str | None]] = {
        "1": ("demo:1", "click_deterministic", "summer"),
        "3": ("demo:3", "click_probabilistic", "spring"),
    }
    assert differences(found, JOURNEYS, CAMPAIGNS) == [
        Difference(
            kind="device_in_link",
            event_id="1",
            conversion_id="demo:1",
            expected="click_deterministic, spring",
            found="click_deterministic, summer",
        ),
        Difference(
            kind="device_in_link",
            event_id="2",
            conversion_id=None,
            expected="inherited, spring",
            found="nothing",
        ),
        Difference(
            kind="organic",
            event_id="3",
            conversion_id="demo:3",
            expected="organic",
            found="click_probabilistic, spring",
        ),
    ]


def test_the_table_adds_up() -> None:
    found: dict[str, tuple[str, str, str | None]] = {
        "1": RIGHT["1"],
        "3": ("demo:3", "click_probabilistic", "spring"),
    }
    rows = compared(JOURNEYS, differences(found, JOURNEYS, CAMPAIGNS))
    counts = [
        (
            row["journey"],
            row["users"],
            row["expected"],
            row["as expected"],
            row["wrong"],
            row["missing"],
        )
        for row in rows
    ]
    assert counts == [
        ("organic", 1, 1, 0, 1, 0),
        ("device_in_link", 1, 2, 1, 0, 1),
        ("all", 2, 3, 1, 1, 1),
    ]
