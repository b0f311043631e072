"""What of an event's statement of money cannot be read is marked on the event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.core.visiting import NOW, START, apply, envelope, page
from trackstream.core.money import Revenue, revenue
from trackstream.core.records import Context
from trackstream.core.rules import Rules


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"revenue": "1,234.50", "currency": "EUR"}, Revenue(None, None, ("revenue",))),
        ({"revenue": 5, "currency": "€"}, Revenue(5_000_000, None, ("currency",))),
        ({"revenue": True, "currency": 7}, Revenue(None, None, ("revenue", "currency"))),
        (
            {"revenue": "5 EUR", "total": {}, "value": 5, "currency": "eur"},
            Revenue(5_000_000, "EUR", ("revenue", "total")),
        ),
        ({"revenue": 1e30}, Revenue(None, None, ("revenue",))),
        ({"revenue": 5, "value": "?"}, Revenue(5_000_000, None, ())),
        ({"revenue": None, "total": "", "currency": ""}, Revenue(None, None, ())),
        ({"revenue": 5, "currency": ""}, Revenue(5_000_000, None, ())),
        ({"currency": "€"}, Revenue(None, None, ())),
    ],
)
def test_what_states_money_and_is_none_is_told(stated: dict[str, Any], expected: Revenue) -> None:
    assert revenue("purchase", json.dumps(stated)) == expected


def test_only_what_would_count_is_told() -> None:
    assert revenue("Product Viewed", '{"value": "?", "total": "?"}').unread == ()
    assert revenue("Checkout Started", '{"revenue": "?"}').unread == ()
    assert revenue("Product Viewed", '{"value": "?"}', declared=True).unread == ("value",)
    assert revenue("refund", '{"total": "?"}').unread == ("total",)
    assert revenue("refund", '{"total": 0}') == Revenue(0, None, ())


def test_an_event_is_marked_with_it_and_otherwise_as_it_was_sent() -> None:
    said = Context(page_url="/thanks", extra='{"a": 1}')
    odd = '{"revenue": "1,234.50", "currency": "€"}'
    events = [
        page(1, START, "purchase", properties=odd, context=said),
        page(2, START, "purchase", properties=odd, context=None),
        page(3, START, "purchase", properties='{"revenue": 5, "currency": "EUR"}', context=None),
    ]
    _, out = apply(None, envelope(*events, received_at_ms=NOW), 0, Rules())
    mark = {"properties.revenue": "invalid_property", "properties.currency": "invalid_property"}
    contexts = [one.context for one in sorted(out.events, key=lambda one: one.event_id)]
    assert contexts[2] is None
    assert contexts[0] is not None
    assert contexts[1] is not None
    assert contexts[0].page_url == "/thanks"
    assert json.loads(contexts[0].extra or "") == {"a": 1, "$money": mark}
    assert json.loads(contexts[1].extra or "") == {"$money": mark}
    assert [one.properties for one in out.events].count(odd) == 2
