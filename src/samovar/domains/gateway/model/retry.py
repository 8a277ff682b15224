"""What to do after an attempt failed: pure, so that the policy can be read and tested apart from the network.

The rule: the next target at once; the same one again only when it is the only one left
and either nothing reached it or it asked for a short wait.
"""

from typing import Final, TypeAlias

import msgspec

from samovar.domains.billing import TargetLimited
from samovar.domains.gateway.errors import BreakerOpen
from samovar.domains.gateway.model.call import GatewaySettings
from samovar.kernel.errors import SamovarError
from samovar.ports.dialect import BadAnswer, Unsupported, UpstreamError
from samovar.ports.transport import NotCalled, TransportFailure

SHORT_RETRY_AFTER_S: Final = 2.0
_CALLERS_FAULT: Final = frozenset({400, 409, 413, 415, 422})


class NextTarget(msgspec.Struct, frozen=True):
    """Try the plan's next attempt now."""


class Again(msgspec.Struct, frozen=True):
    """Try the same target after a wait."""

    after_s: float


class GiveUp(msgspec.Struct, frozen=True):
    """Answer the caller with the error."""


Next: TypeAlias = NextTarget | Again | GiveUp


def next_step(
    error: SamovarError,
    *,
    tries: int,
    targets_left: int,
    settings: GatewaySettings,
    jitter: float,
    has_other_key: bool = False,
) -> Next:
    """``tries`` counts attempts made, the failed one included; ``targets_left`` those of the plan not tried yet;
    ``jitter`` is between 0 and 1; ``has_other_key`` is whether the fault was a key's and the provider has another."""
    if not worth_another(error):
        return GiveUp()
    if tries >= settings.max_attempts:
        return GiveUp()
    if has_other_key:
        return Again(0.0)
    if targets_left > 0:
        return NextTarget()
    if isinstance(error, TransportFailure) and not error.sent:
        ceiling = min(settings.retry_max_s, settings.retry_base_s * 2.0 ** (tries - 1))
        return Again(ceiling * (0.5 + jitter / 2))
    wait_s = error.retry_after_s if isinstance(error, UpstreamError) else None
    if wait_s is not None and wait_s <= SHORT_RETRY_AFTER_S:
        return Again(wait_s + jitter * 0.1)
    return GiveUp()


def worth_another(error: SamovarError) -> bool:
    """Whether another target might do better: not where the fault is the caller's."""
    if isinstance(error, UpstreamError):
        return error.upstream_status not in _CALLERS_FAULT
    return isinstance(error, TransportFailure | BadAnswer | BreakerOpen | TargetLimited | Unsupported)


def is_targets_fault(error: SamovarError) -> bool:
    """Whether the breaker counts it: the target is ill, not merely asked something wrong or too often."""
    if isinstance(error, UpstreamError):
        return error.upstream_status >= 500
    return isinstance(error, TransportFailure | BadAnswer) and not isinstance(error, NotCalled)
