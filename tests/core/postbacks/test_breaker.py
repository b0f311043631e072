from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trackstream.core.postbacks.breaker import (
    Breaker,
    BreakerRules,
    allowed,
    failed,
    started,
    succeeded,
)

RULES = BreakerRules(failures=3, open_ms=1000, max_open_ms=4000)


def _broken(now_ms: int = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(RULES.failures):
        assert allowed(breaker, 5, now_ms=now_ms) == 5
        breaker = failed(breaker, now_ms=now_ms, rules=RULES)
    return breaker


def test_it_opens_after_failures_in_a_row_and_tries_one_later() -> None:
    breaker = _broken()
    assert allowed(breaker, 5, now_ms=999) == 0
    assert allowed(breaker, 5, now_ms=1000) == 1
    breaker = started(breaker)
    assert allowed(breaker, 5, now_ms=1000) == 0
    assert allowed(succeeded(breaker), 5, now_ms=1000) == 5


def test_each_trial_that_fails_doubles_the_wait_up_to_a_bound() -> None:
    breaker, now_ms, waits = _broken(), 0, []
    for _ in range(4):
        assert breaker.open_until_ms is not None
        waits.append(breaker.open_until_ms - now_ms)
        now_ms = breaker.open_until_ms
        breaker = failed(started(breaker), now_ms=now_ms, rules=RULES)
    assert waits == [1000, 2000, 4000, 4000]


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker = failed(breaker, now_ms=0, rules=RULES)
        breaker = failed(breaker, now_ms=0, rules=RULES)
        breaker = succeeded(breaker)
    assert allowed(breaker, 1, now_ms=0) == 1


def test_late_failures_of_before_it_opened_change_nothing() -> None:
    breaker = _broken()
    assert failed(breaker, now_ms=500, rules=RULES) == breaker


class Machine(RuleBasedStateMachine):
    """Any order of requests and outcomes: whatever happens, it can be asked again some day."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now_ms = 0
        self.under_way = 0

    @rule(ms=st.integers(0, 3000))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @precondition(lambda self: allowed(self.breaker, 3 - self.under_way, now_ms=self.now_ms) > 0)
    @rule()
    def start(self) -> None:
        self.breaker = started(self.breaker)
        self.under_way += 1

    @precondition(lambda self: self.under_way > 0)
    @rule(good=st.booleans())
    def end(self, *, good: bool) -> None:
        self.under_way -= 1
        self.breaker = (
            succeeded(self.breaker)
            if good
            else failed(self.breaker, now_ms=self.now_ms, rules=RULES)
        )

    @invariant()
    def it_is_never_shut_for_ever(self) -> None:
        later_ms = self.now_ms + RULES.max_open_ms
        assert allowed(self.breaker, 1, now_ms=later_ms) == 1 or self.breaker.trial

    @invariant()
    def a_trial_is_under_way_when_it_says_so(self) -> None:
        assert not self.breaker.trial or self.under_way > 0


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=40)


def test_it_is_a_value() -> None:
    assert msgspec.structs.asdict(succeeded(_broken())) == msgspec.structs.asdict(Breaker())
