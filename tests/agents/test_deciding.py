"""A conversion is decided again by the rules of its first decision, whatever counts by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agents.deciding import Decider
from agents.steps import At
from tests.core.matching.world import conversion, touch
from trackstream.core.credits import MODELS
from trackstream.core.records import Answer
from trackstream.core.rules import HOUR_MS, Rules

if TYPE_CHECKING:
    import pytest

NOW_MS = 100 * HOUR_MS
ASKED = conversion("c", NOW_MS, ["device:a"])
OLD = Rules(version="old", click_window_ms=50 * HOUR_MS)
NEW = Rules(version="new", click_window_ms=5 * HOUR_MS)


class Book:
    """`ports.RulesBook` that a test writes in."""

    def __init__(self) -> None:
        self.now = OLD
        self.known = {"old": OLD, "new": NEW}

    async def up_to(self, at_ms: int) -> None:
        pass

    def current(self, app_id: str, *, at_ms: int) -> Rules:
        return self.now

    def version(self, app_id: str, version: str) -> Rules | None:
        return self.known.get(version)


def at(offset: int) -> At:
    return At(key="c", partition=0, offset=offset, ms=1000)


def test_news_is_decided_by_the_first_rules_and_new_conversions_by_the_new() -> None:
    book = Book()
    decider = Decider(book, MODELS)
    first = Answer(conversion=ASKED, identifier="device:a", depth=0)
    state, _ = decider.gather(None, first, at(0))
    book.now = NEW
    late = Answer(
        conversion=ASKED,
        identifier="device:a",
        touches=[touch("t", NOW_MS - 40 * HOUR_MS, ["device:a"])],
    )
    _, out = decider.gather(state, late, at(1))
    assert out.attribution is not None
    assert (out.attribution.method, out.attribution.rules_version) == ("click_deterministic", "old")

    other = msgspec.structs.replace(ASKED, conversion_id="d")
    found = msgspec.structs.replace(late, conversion=other, depth=0)
    _, out = decider.gather(None, found, at(2))
    assert out.attribution is not None
    assert (out.attribution.method, out.attribution.rules_version) == ("organic", "new")


def test_rules_that_are_gone_are_replaced_and_it_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    book = Book()
    decider = Decider(book, MODELS)
    state, _ = decider.gather(None, Answer(conversion=ASKED, identifier="device:a", depth=0), at(0))
    book.now = NEW
    del book.known["old"]
    for offset in (1, 2):
        news = Answer(
            conversion=ASKED,
            identifier="device:a",
            touches=[touch(f"t{offset}", NOW_MS - (4 - offset) * HOUR_MS, ["device:a"])],
        )
        state, out = decider.gather(state, news, at(offset))
        assert out.attribution is not None
        assert out.attribution.rules_version == "new"
    assert [record.message for record in caplog.records] == [
        "the rules old of app are gone: what they decided is decided again by new"
    ]


def test_a_model_that_fails_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    book = Book()
    book.now = Rules(version="mine", models=("last", "mine"))
    decider = Decider(book, MODELS)
    touches = [touch(f"t{n}", NOW_MS - (9 - n) * HOUR_MS, ["device:a"]) for n in range(2)]
    for offset in range(2):
        answer = Answer(conversion=ASKED, identifier="device:a", depth=0, touches=touches)
        _, out = decider.gather(None, answer, at(offset))
        assert out.attribution is not None
        assert {one.model for one in out.attribution.credits} == {"last"}
    assert [record.message for record in caplog.records] == [
        "the model mine gives no credits: there is no model of this name here"
    ]
