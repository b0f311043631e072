"""A rules file is checked as a whole, and the same rules always have the same version."""

from __future__ import annotations

import tomllib

import pytest

from trackstream.core.credits import MODELS
from trackstream.core.rules import DAY_MS, DEFAULT
from trackstream.core.rules_file import RulesError, rules_from, rules_of_text

GOOD = """
click_window = "14d"
view_window = "90m"
waterfall = ["click_deterministic", "view_deterministic"]
conversion_events = ["subscribe"]
min_confidence = 0.75

[channel_weights]
search = 2.5

[fraud]
min_click_to_install = "5s"
data_centre_asns = [64500]
[fraud.actions]
bot = "flag"
[fraud.blocklists]
ips = ["203.0.113.0/24", "2001:db8::1"]
"""


def test_a_file_changes_what_it_names_and_nothing_else() -> None:
    rules = rules_from(tomllib.loads(GOOD), base=DEFAULT)
    assert rules.click_window_ms == 14 * DAY_MS
    assert rules.view_window_ms == 90 * 60_000
    assert rules.waterfall == ("click_deterministic", "view_deterministic")
    assert rules.channel_weights == {"search": 2.5}
    assert rules.fraud.min_click_to_install_ms == 5000
    assert rules.fraud.data_centre_asns == (64500,)
    assert rules.fraud.actions["bot"] == "flag"
    assert rules.fraud.actions["emulator"] == DEFAULT.fraud.actions["emulator"]
    assert rules.fraud.blocklists.ips == ("203.0.113.0/24", "2001:db8::1")
    assert rules.depth == DEFAULT.depth


def test_the_version_is_the_contents() -> None:
    one = rules_from(tomllib.loads(GOOD), base=DEFAULT)
    same = rules_from(tomllib.loads("\n# a remark\n" + GOOD), base=DEFAULT)
    other = rules_from(tomllib.loads(GOOD.replace("14d", "13d")), base=DEFAULT)
    assert one.version == same.version
    assert one.version != other.version
    assert one.version.startswith("rules-")


def test_every_problem_is_told_at_once() -> None:
    bad = """
click_window = "31d"
view_window = 5
colour = "red"
version = "mine"
depth = 9
max_touches = 1001
waterfall = ["click_deterministic", "guess"]
min_confidence = 2
conversion_events = "purchase"
channel_weights = { search = -1.0 }
[fraud]
speed = 3
data_centre_asns = ["AS64500"]
[fraud.actions]
bot = "shoot"
luck = "reject"
[fraud.blocklists]
ips = ["somewhere"]
"""
    with pytest.raises(RulesError) as caught:
        rules_from(tomllib.loads(bad), base=DEFAULT)
    told = "\n".join(caught.value.problems)
    for part in (
        "click_window takes at most 30d",
        "view_window takes a duration",
        "colour is not a rule",
        "version is not a rule",
        "depth takes",
        "max_touches takes a number from 1 to 1000",
        "waterfall: guess",
        "min_confidence takes",
        "conversion_events Expected `array`",
        "channel_weights: search takes a number",
        "fraud.speed is not a rule",
        "fraud.data_centre_asns Expected `int`",
        "fraud.actions.bot takes reject",
        "fraud.actions.luck is not a rule",
        "somewhere is no address",
    ):
        assert part in told
    assert len(caught.value.problems) == 15


def test_models_have_to_be_there_and_to_take_their_parameters() -> None:
    bad = """
model = "data_driven"
models = ["linear", "position", "markov", "linear", "mine"]
[model_parameters.position]
first = 0.8
[model_parameters.linear]
speed = 3
[model_parameters.first]
"""

    def mine(path: object, **_: object) -> list[int]:
        return [1, 2, 3]

    with pytest.raises(RulesError) as caught:
        rules_of_text(bad, base=DEFAULT, models={**MODELS, "mine": mine})
    assert caught.value.problems == [
        "models names a model twice",
        "model: data_driven is not among models",
        "model_parameters.first belongs to no model among models",
        "model_parameters.linear: no such parameter: speed; it has none",
        "model_parameters.position: first and last are shares: their sum is at most 1",
        "models: markov is not among first, last, linear, position, time_decay, priority, mine",
    ]


def test_what_is_not_toml_says_where() -> None:
    with pytest.raises(RulesError, match=r"not TOML: .*line 2"):
        rules_of_text("depth = 1\n= 3", base=DEFAULT)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 10_000])
def test_what_no_program_should_read_is_not_toml_either(value: str) -> None:
    with pytest.raises(RulesError, match="not TOML"):
        rules_of_text(f"depth = {value}", base=DEFAULT)
