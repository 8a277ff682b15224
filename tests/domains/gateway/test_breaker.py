"""The breaker: against a plain model of what it promises."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from samovar.domains.gateway.model import Breaker, BreakerState

FAILURES, REST_S = 5, 60.0


def opened() -> Breaker:
    """A breaker that opened at second 0."""
    breaker = Breaker(failures=FAILURES, rest_s=REST_S)
    for _ in range(FAILURES):
        breaker.failed(0.0)
    return breaker


def test_the_fifth_failure_in_a_row_opens_it() -> None:
    breaker = Breaker(failures=FAILURES, rest_s=REST_S)
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    assert breaker.admits(0.0)
    breaker.failed(0.0)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.admits(59.9)


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = Breaker(failures=FAILURES, rest_s=REST_S)
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    assert breaker.state is BreakerState.CLOSED


def test_after_its_rest_one_probe_goes_out_and_only_one() -> None:
    breaker = opened()
    assert breaker.admits(60.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.admits(60.1)
    assert not breaker.admits(100.0)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    assert breaker.admits(60.0)
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admits(60.1)


def test_a_probe_that_fails_opens_it_for_another_rest() -> None:
    breaker = opened()
    assert breaker.admits(60.0)
    breaker.failed(61.0)
    assert not breaker.admits(120.9)
    assert breaker.rests_for_s(61.0) == REST_S
    assert breaker.admits(121.0)


def test_a_probe_that_is_never_heard_of_again_does_not_keep_it_open_for_ever() -> None:
    breaker = opened()
    assert breaker.admits(60.0)
    assert not breaker.admits(119.9)
    assert breaker.admits(120.0)


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, outcomes and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(failures=FAILURES, rest_s=REST_S)
        self.run = 0
        self.admitted_since_opening: list[float] = []

    @rule(seconds=st.floats(0.1, 200))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(well=st.booleans())
    def call(self, well: bool) -> None:
        was = self.breaker.state
        admitted = self.breaker.admits(self.now)
        if was is BreakerState.CLOSED:
            assert admitted
        if not admitted:
            assert self.breaker.rests_for_s(self.now) > 0
            return
        if well:
            self.breaker.succeeded()
            self.run = 0
        else:
            self.breaker.failed(self.now)
            self.run += 1

    @invariant()
    def it_is_closed_exactly_while_failures_are_few(self) -> None:
        assert (self.breaker.state is BreakerState.CLOSED) == (self.run < FAILURES)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_a_probe_whose_caller_left_makes_room_for_another_at_once() -> None:
    breaker = opened()
    assert breaker.admits(REST_S)
    assert not breaker.admits(REST_S + 1)
    breaker.abandoned()
    assert breaker.admits(REST_S + 1)
    assert not breaker.admits(REST_S + 2)


def test_a_call_that_was_left_does_not_close_what_is_open() -> None:
    breaker = opened()
    breaker.abandoned()
    assert not breaker.admits(1.0)
