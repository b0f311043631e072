"""Files of event definitions, and what they say of events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trackstream.core.definitions import Definitions, judge, marked
from trackstream.core.definitions_file import DefinitionsError, definitions_of_text
from trackstream.core.records import Context, RawEvent
from trackstream.core.segment import EVENT_NAMES, TYPES
from trackstream.core.standard_events import STANDARD_EVENTS

FILE = """
mode = "strict"
[events.level_up]
closed = true
[events.level_up.properties]
level = { type = "integer", required = true, min = 1, max = 100 }
hero = { type = "text", enum = ["elf", "orc"], max = 3 }
tags = { type = "list", min = 1 }
ratio = { type = "number" }
won = { type = "boolean", enum = [true] }
any = { min = 2 }
[events."Tutorial Ended"]
"""
_BAD_PROPERTIES = """
[events.x.properties]
a = "text"
b = { type = "date" }
c = { min = 2, max = 1 }
d = { enum = [] }
e = { type = "object", min = 1 }
f = { required = "yes" }
"""


@pytest.mark.parametrize(
    ("properties", "problems"),
    [
        ({"level": 1, "hero": "elf", "tags": [0], "ratio": 1, "won": True, "any": "ab"}, {}),
        ({"level": 100, "hero": None}, {}),
        ({}, {"level": "is missing"}),
        ({"level": None}, {"level": "is missing"}),
        ([], {"level": "is missing"}),
        ({"level": "1"}, {"level": "has to be of type integer"}),
        ({"level": True}, {"level": "has to be of type integer"}),
        ({"level": 1.5}, {"level": "has to be of type integer"}),
        ({"level": 5.0}, {}),
        ({"level": 1e308}, {"level": "has to be at most 100"}),
        ({"level": 0}, {"level": "has to be at least 1"}),
        ({"level": 101}, {"level": "has to be at most 100"}),
        ({"level": 1, "hero": "troll"}, {"hero": "has to be one of elf, orc"}),
        ({"level": 1, "tags": []}, {"tags": "has to have a length of at least 1"}),
        ({"level": 1, "won": 1}, {"won": "has to be of type boolean"}),
        ({"level": 1, "any": {}}, {"any": "has to be a number, text or list"}),
        ({"level": 0, "other": 1}, {"level": "has to be at least 1", "other": "is not defined"}),
    ],
)
def test_every_difference_from_a_definition_is_told(
    properties: Any, problems: dict[str, str]
) -> None:
    found = judge(definitions_of_text(FILE), "level_up", properties)
    assert {one.field for one in found} == {f"properties.{name}" for name in problems}
    assert {one.reason for one in found} <= {"invalid_property"}
    for one in found:
        assert one.detail.startswith(problems[one.field.removeprefix("properties.")])


def test_what_is_known_is_what_is_defined_and_what_is_standard() -> None:
    made = definitions_of_text(FILE)
    assert judge(made, "Tutorial Ended", {"x": 1}) == ()
    assert judge(made, "purchase", {"price": "free"}) == ()
    assert judge(Definitions(), "Checkout Started", {}) == ()
    (unknown,) = judge(made, "Level_up", {})
    assert (unknown.reason, unknown.field) == ("unknown_event", "event")
    assert judge(definitions_of_text("standard = false"), "purchase", {}) != ()


def test_all_that_segments_calls_are_named_is_standard() -> None:
    assert {*EVENT_NAMES, *EVENT_NAMES.values()} <= STANDARD_EVENTS
    assert {name for name in TYPES.values() if name} <= STANDARD_EVENTS


def test_a_mark_leaves_the_event_as_it_was() -> None:
    event = RawEvent(
        event_id="e", event="x", timestamp_ms=1, context=Context(locale="de", extra='{"a": 1}')
    )
    problems = judge(Definitions(), "x", {})
    context = marked(event, problems).context
    assert context is not None
    assert context.locale == "de"
    assert json.loads(context.extra or "") == {"a": 1, "$definition": {"event": "unknown_event"}}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("mode =", ["not TOML"]),
        (f"mode = {'9' * 5000}", ["not TOML"]),
        (f"mode = {'[' * 10_000}", ["not TOML"]),
        (
            "[events.x.properties]\na = { min = nan }\nb = { max = inf }\nc = { min = -inf }",
            [f"events.x.properties.{name}: min and max take" for name in "abc"],
        ),
        ('mode = "loose"\nmood = 1\nevents = 1', ["mode:", "mood is not known", "events takes"]),
        (
            "[events]\nx = 1\n[events.y]\nclosed = 1\nproperties = 2",
            ["events.x", "events.y.closed", "events.y.properties"],
        ),
        (
            _BAD_PROPERTIES,
            [f"events.x.properties.{name}" for name in "abcdef"],
        ),
    ],
)
def test_every_problem_of_a_file_is_told_at_once(text: str, problems: list[str]) -> None:
    with pytest.raises(DefinitionsError) as caught:
        definitions_of_text(text)
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(sorted(caught.value.problems), sorted(problems), strict=True):
        assert found.startswith(expected)


def test_an_empty_file_defines_nothing() -> None:
    assert definitions_of_text("") == Definitions()
