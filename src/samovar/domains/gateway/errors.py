"""What can go wrong with a call besides what the provider says."""

from types import MappingProxyType
from typing import Final

from samovar.kernel.errors import SamovarError
from samovar.kernel.guard import GuardSide


class MadeElsewhere(SamovarError):
    """The call goes on from what another provider keeps or encrypted."""

    code = "made_by_another_provider"
    status = 400
    title = "Only the provider that made it can go on from it"


class BreakerOpen(SamovarError):
    """The target failed again and again, and is left alone for a while."""

    code = "provider_resting"
    status = 503
    title = "The provider is failing and is left alone for a while"


class GuardBlocked(SamovarError):
    """A rule of the key's own guard rails found what it blocks: 400 for what was asked, 422 for what was answered."""

    code = "guard_blocked"
    status = 400
    title = "A guard rail of the key does not let this through"

    def __init__(self, rule: str, *, side: GuardSide) -> None:
        super().__init__(_BLOCKED[side].format(rule=rule))
        self.side = side
        self.passed = ""
        """Of a text that came in pieces: what may still go out before the end."""

    @property
    def http_status(self) -> int:
        """See the class."""
        return self.status if self.side is GuardSide.INPUT else 422


class BeyondKeyLimit(SamovarError):
    """The call asks for more than the key's guard rails allow."""

    code = "beyond_key_limit"
    status = 400
    title = "More than this key may ask for"


class IdempotencyKeyReused(SamovarError):
    """The ``Idempotency-Key`` stood on another request before."""

    code = "idempotency_key_reused"
    status = 422
    title = "This idempotency key belongs to another request"


class IdempotencyInFlight(SamovarError):
    """The first request with this ``Idempotency-Key`` has not been answered yet; ``Retry-After`` says when to ask again."""

    code = "idempotency_in_flight"
    status = 409
    title = "A request with this idempotency key is under way"


class IdempotentAnswerNotKept(SamovarError):
    """The request was done, and its answer was too large to be kept."""

    code = "idempotent_answer_not_kept"
    status = 422
    title = "The answer for this idempotency key was not kept"


_BLOCKED: Final = MappingProxyType(
    {
        GuardSide.INPUT: "The rule {rule!r} of this key does not let through what was sent: leave out what it is about, or ask "
        "an admin of the team.",
        GuardSide.OUTPUT: "The rule {rule!r} of this key does not let the model's answer through. The call was made and "
        "counts; ask for something else, or ask an admin of the team.",
    }
)
