from __future__ import annotations

from trackstream.core.models import channel_of, path_of
from trackstream.core.records import Campaign, Candidate, Touch


def touch(touch_id: str, at_ms: int, channel: str | None = "email") -> Touch:
    return Touch(
        touch_id=touch_id,
        app_id="demo",
        kind="click",
        at_ms=at_ms,
        identifiers=[],
        click_id=touch_id,
        channel=channel,
    )


def candidate(one: Touch, verdict: str) -> Candidate:
    return Candidate(
        touch=one,
        identifier="device:d",
        match_type="click_deterministic",
        confidence=1.0,
        verdict=verdict,
    )


def test_the_path_is_what_was_eligible_oldest_first() -> None:
    chosen = touch("c", 30, "search")
    candidates = [
        candidate(chosen, "chosen"),
        candidate(touch("b", 20), "older"),
        candidate(touch("a", 20, "display"), "lower_class"),
        candidate(touch("x", 1), "outside_window"),
        candidate(touch("y", 40), "after_conversion"),
        candidate(touch("z", 25), "bot"),
    ]
    made = path_of(candidates, method="click_deterministic", touch=chosen)
    assert [(one.touch_id, one.channel) for one in made] == [
        ("a", "display"),
        ("b", "email"),
        ("c", "search"),
    ]


def test_an_inherited_touch_is_part_of_the_path() -> None:
    made = path_of(
        [candidate(touch("new", 50), "inherited")], method="inherited", touch=touch("install", 10)
    )
    assert [one.touch_id for one in made] == ["install", "new"]


def test_a_reinstall_is_the_first_installs_alone() -> None:
    candidates = [candidate(touch("new", 50), "reinstall"), candidate(touch("b", 60), "older")]
    made = path_of(candidates, method="reinstall", touch=touch("first", 10))
    assert [one.touch_id for one in made] == ["first"]
    assert path_of(candidates, method="reinstall", touch=None) == ()


def test_an_organic_conversion_has_no_path() -> None:
    assert path_of([candidate(touch("x", 1), "bot")], method="organic", touch=None) == ()


def test_the_channel_is_the_touchs_else_its_campaigns() -> None:
    def marked(channel: str | None, campaign: Campaign | None) -> str:
        one = touch("t", 1, channel)
        return channel_of(
            Touch(**{**{f: getattr(one, f) for f in one.__struct_fields__}, "campaign": campaign})
        )

    assert marked("push", Campaign(channel="email")) == "push"
    assert marked(None, Campaign(channel="email", utm_medium="cpc")) == "email"
    assert marked(None, Campaign(utm_medium="cpc")) == "cpc"
    assert marked(None, Campaign(utm_source="x")) == "(none)"
    assert marked(None, None) == "(none)"
