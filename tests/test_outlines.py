"""An outline that is filled is, byte for byte, the record with these values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream import codec
from trackstream.core.records import Campaign, Touch
from trackstream.outlines import Outlines

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
OPTIONAL = st.none() | TEXTS
CAMPAIGNS = st.builds(
    Campaign, utm_source=OPTIONAL, click_ids=st.dictionaries(TEXTS, TEXTS, max_size=2)
)
OWN: dict[str, st.SearchStrategy[Any]] = {
    "touch_id": TEXTS,
    "at_ms": st.integers(0, 2**53),
    "identifiers": st.lists(TEXTS, max_size=3),
    "campaign.click_ids": st.dictionaries(TEXTS, TEXTS, max_size=2),
    "ip": OPTIONAL,
    "cost_micros": st.none() | st.integers(-(2**40), 2**40),
    "currency": OPTIONAL,
}
TOUCHES = st.builds(
    Touch,
    touch_id=TEXTS,
    app_id=TEXTS,
    kind=TEXTS,
    at_ms=st.integers(0, 2**53),
    identifiers=st.lists(TEXTS, max_size=3),
    click_id=TEXTS,
    network=OPTIONAL,
    campaign=st.none() | CAMPAIGNS,
    user_agent=OPTIONAL,
    bot=st.booleans(),
    cost_micros=st.none() | st.integers(0, 5),
)


@given(touch=TOUCHES, values=st.fixed_dictionaries(OWN), data=st.data())
def test_a_filled_outline_is_the_record(
    touch: Touch, values: dict[str, Any], data: st.DataObject
) -> None:
    gaps = [name for name in OWN if data.draw(st.booleans(), label=name)]
    changed = {name: values[name] for name in gaps if "." not in name}
    if "campaign.click_ids" in gaps and touch.campaign is not None:
        changed["campaign"] = msgspec.structs.replace(
            touch.campaign, click_ids=values["campaign.click_ids"]
        )
    expected = msgspec.structs.replace(touch, **changed)

    outline = codec.outlines(Touch, gaps).of(touch)

    assert outline.filled([values[name] for name in gaps]) == codec.encode(expected)
    assert codec.decode(outline.filled([values[name] for name in gaps])) == expected


@pytest.mark.parametrize(
    "gaps", [["ip", "touch_id"], ["nothing"], ["campaign.nothing"], ["ip", "ip"]]
)
def test_gaps_are_fields_in_their_order(gaps: list[str]) -> None:
    with pytest.raises(ValueError, match="the schema has"):
        codec.outlines(Touch, gaps)


def test_each_gap_has_a_value() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}
    outline = Outlines(schema, ["a"]).of(None)
    assert outline.filled(["x"]) == b"\x02x"
    with pytest.raises(ValueError, match="zip"):
        outline.filled([])
