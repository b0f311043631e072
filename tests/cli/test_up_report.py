"""What `trackstream up` prints of a decision."""

from __future__ import annotations

from tests.core.postbacks.samples import a_touch, an_attribution
from trackstream.cli.up.report import attribution_line


def test_what_senders_have_put_in_makes_no_second_line() -> None:
    touch = a_touch(campaign_id="one\ntwo\x1b[2J")
    line = attribution_line(an_attribution(touch=touch))
    assert "one\ufffdtwo\ufffd[2J" in line
    assert len(line.splitlines()) == 1
