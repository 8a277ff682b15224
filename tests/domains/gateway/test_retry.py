"""What happens after a failed attempt, case by case."""

import pytest

from samovar.domains.gateway.errors import BreakerOpen
from samovar.domains.gateway.model import Again, GatewaySettings, GiveUp, NextTarget, next_step
from samovar.domains.gateway.model.retry import is_targets_fault
from samovar.kernel.errors import Malformed, SamovarError
from samovar.ports.dialect import BadAnswer, Unsupported, UpstreamError
from samovar.ports.transport import ConnectFailed, ConnectionBroken, UpstreamTimeout

SETTINGS = GatewaySettings()


def step_after(error: SamovarError, *, tries: int = 1, targets_left: int = 0, jitter: float = 0.0) -> object:
    return next_step(error, tries=tries, targets_left=targets_left, settings=SETTINGS, jitter=jitter)


def answered(status: int, retry_after_s: float | None = None) -> UpstreamError:
    return UpstreamError("no", upstream_status=status, retry_after_s=retry_after_s)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_the_callers_own_fault_is_answered_at_once(status: int) -> None:
    assert step_after(answered(status), targets_left=3) == GiveUp()


def test_a_malformed_request_is_never_tried_elsewhere() -> None:
    assert step_after(Malformed("no"), targets_left=3) == GiveUp()


@pytest.mark.parametrize(
    "error",
    [
        answered(500),
        answered(503),
        answered(429),
        answered(401),
        answered(404),
        UpstreamTimeout("late"),
        ConnectionBroken("cut"),
        ConnectFailed("refused"),
        BadAnswer("html"),
        BreakerOpen("resting"),
        Unsupported("cannot"),
    ],
)
def test_whatever_another_target_may_do_better_goes_to_it_at_once(error: SamovarError) -> None:
    assert step_after(error, targets_left=1) == NextTarget()


def test_the_only_target_is_tried_again_when_nothing_reached_it() -> None:
    assert step_after(ConnectFailed("refused"), tries=1) == Again(0.5)
    assert step_after(ConnectFailed("refused"), tries=2, jitter=1.0) == Again(2.0)


def test_three_attempts_are_all_there_are() -> None:
    assert step_after(ConnectFailed("refused"), tries=3) == GiveUp()


@pytest.mark.parametrize("error", [answered(500), UpstreamTimeout("late"), ConnectionBroken("cut"), BadAnswer("html")])
def test_a_call_that_may_have_been_served_is_not_sent_to_the_same_target_twice(error: SamovarError) -> None:
    assert step_after(error) == GiveUp()


def test_a_short_retry_after_of_the_only_target_is_waited_for() -> None:
    assert step_after(answered(429, retry_after_s=2.0)) == Again(2.0)
    assert step_after(answered(429, retry_after_s=2.1)) == GiveUp()
    assert step_after(answered(503, retry_after_s=0.0)) == Again(0.0)


def test_the_breaker_counts_the_targets_faults_only() -> None:
    assert is_targets_fault(answered(500))
    assert is_targets_fault(UpstreamTimeout("late"))
    assert is_targets_fault(BadAnswer("html"))
    assert not is_targets_fault(answered(429))
    assert not is_targets_fault(answered(400))
    assert not is_targets_fault(Unsupported("cannot"))
