"""What one identifier's owner remembers."""

from __future__ import annotations

import msgspec

from tests.core.matching.world import APP, conversion, touch
from trackstream.core.matching.owner import own
from trackstream.core.records import Probe
from trackstream.core.rules import DEFAULT

USER = "user:u"


def test_a_conversion_has_its_news_though_another_subjects_has_its_id() -> None:
    first = conversion("c", 1_000, ["device:a", USER])
    second = msgspec.structs.replace(first, subject=f"{APP}|device:b")
    state = None
    for one in (first, second, first, second):
        probe = Probe(app_id=APP, identifier=USER, conversion=one, depth=0)
        state, _ = own(state, probe, identifier=USER, rules=DEFAULT)
    _, news = own(state, touch("t", 500, [USER]), identifier=USER, rules=DEFAULT)
    assert sorted(one.conversion.subject for one in news) == [first.subject, second.subject]
