"""What is remembered of identifiers and conversions has a size that nothing that comes can pass."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.core.matching.world import conversion, touch
from trackstream import codec
from trackstream.core.matching.gather import gather
from trackstream.core.matching.owner import IdentifierState, own
from trackstream.core.matching.short import MOST_BYTES, shortened
from trackstream.core.records import (
    Answer,
    Attribution,
    Campaign,
    Outcome,
    Prior,
    Probe,
    Touch,
)
from trackstream.core.rules import DAY_MS, DEFAULT, Rules

if TYPE_CHECKING:
    from trackstream.core.matching.conversion import ConversionState

MOST_MESSAGE_BYTES = 5 * 2**20
TEXTS = ("x" * 8_000, "\N{PILE OF POO}" * 2_000)
NOW_MS = 1_000 * DAY_MS


def size(value: msgspec.Struct) -> int:
    return len(msgspec.msgpack.encode(value))


def largest(touch_id: str, at_ms: int, identifiers: list[str], text: str = TEXTS[0]) -> Touch:
    exact = {"touch_id", "app_id", "kind", "click_id", "link_id", "campaign_id", "channel"}
    texts = {
        name: text
        for name in Touch.__struct_fields__
        if name not in exact and Touch.__annotations__[name] == "str | None"
    }
    campaign = Campaign(
        campaign_id="c",
        **{name: text[:512] for name in Campaign.__struct_fields__ if name.startswith("utm")},
        click_ids={f"{n}": text[:512] for n in range(13)},
    )
    return msgspec.structs.replace(
        touch(touch_id, at_ms, identifiers), campaign=campaign, campaign_id="c", **texts
    )


@pytest.mark.parametrize("text", TEXTS)
def test_a_large_touch_is_kept_short_and_any_other_as_it_is(text: str) -> None:
    large = largest("t", 1, ["device:d"], text)
    short = shortened(large)
    assert size(large) > 50_000
    assert size(short) < 2 * MOST_BYTES
    assert shortened(short) == short
    assert (short.touch_id, short.at_ms, short.identifiers) == ("t", 1, ["device:d"])
    assert short.campaign is not None
    assert short.campaign.campaign_id == short.campaign_id == "c"
    usual = msgspec.structs.replace(touch("t", 1, ["device:d"]), destination="x" * 3_000)
    assert shortened(usual) is usual


def test_an_identifiers_state_and_its_answers_can_be_written() -> None:
    me, state = "device:d", None
    for n in range(300):
        message = largest(f"t{n}", NOW_MS + n, [me])
        state, _ = own(state, message, identifier=me, rules=DEFAULT)
        asked = conversion(f"c{n}", NOW_MS + n, [me], kind="event")
        probe = Probe(app_id="app", identifier=me, conversion=asked, depth=0)
        state, answers = own(state, probe, identifier=me, rules=DEFAULT)
        told = Outcome(
            app_id="app",
            identifier=me,
            conversion_id=f"unknown{n}",
            kind="install",
            at_ms=NOW_MS + n,
            revision=1,
            method="click_deterministic",
            touch=message,
        )
        state, news = own(state, told, identifier=me, rules=DEFAULT)
        sizes = [len(codec.encode(one)) for one in (*answers, *news)]
        assert max(sizes) < MOST_MESSAGE_BYTES
    assert isinstance(state, IdentifierState)
    assert [len(one) for one in (state.touches, state.probes, state.priors)] == [200] * 3
    assert size(state) < MOST_MESSAGE_BYTES


def answers_of(many: int) -> list[Answer]:
    """Of as many identifiers, each with touches and earlier conversions of its own."""
    asked = conversion("c", NOW_MS, [f"device:{n}" for n in range(many)])
    return [
        Answer(
            conversion=asked,
            identifier=f"device:{n}",
            depth=0,
            touches=[
                shortened(largest(f"t{n}-{k}", NOW_MS - n - 100 * k, [f"device:{n}"]))
                for k in range(60)
            ],
            priors=[
                Prior(
                    conversion_id=f"p{n}-{k}",
                    kind="install" if k == 59 else "event",
                    at_ms=NOW_MS - DAY_MS - n - 100 * k,
                    touch=shortened(largest(f"t{n}-{k}", 1, [f"device:{n}"])),
                )
                for k in range(60)
            ],
        )
        for n in range(many)
    ]


def gathered(answers: list[Answer]) -> tuple[ConversionState, Attribution]:
    state, made = None, None
    for offset, answer in enumerate(answers):
        state, out = gather(state, answer, offset=offset, at_ms=NOW_MS, rules=Rules())
        assert size(state) < MOST_MESSAGE_BYTES
        made = out.attribution or made
    assert state is not None
    assert made is not None
    return state, made


def test_a_conversions_state_and_its_attribution_can_be_written_in_whatever_order_they_came() -> (
    None
):
    answers = answers_of(12)
    state, made = gathered(answers)
    assert (len(state.found), len(state.priors)) == (200, 200)
    assert max(one.touch.at_ms for one in state.found.values()) == NOW_MS
    assert sum(one.prior.kind == "install" for one in state.priors.values()) == 12
    assert len(codec.encode(made)) < MOST_MESSAGE_BYTES
    Random(1).shuffle(answers)
    shuffled, again = gathered(answers)
    assert (shuffled.found, shuffled.priors) == (state.found, state.priors)
    assert again == made
