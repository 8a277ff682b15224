"""A call as data: what is asked, the plan for it, what became of it, and the pure rules between them."""

from samovar.domains.gateway.model.call import (
    Attempt,
    AttemptNote,
    Call,
    CallFinished,
    CallStatus,
    GatewaySettings,
    Plan,
    PromptUse,
)
from samovar.domains.gateway.model.plan import (
    attempted,
    counts_tokens,
    plan,
    plan_count,
    plan_embeddings,
    plan_for_makers,
    ranked,
)
from samovar.domains.gateway.model.retry import Again, GiveUp, Next, NextTarget, next_step
from samovar.kernel.breaker import Breaker, BreakerState

__all__ = [
    "Again",
    "Attempt",
    "AttemptNote",
    "Breaker",
    "BreakerState",
    "Call",
    "CallFinished",
    "CallStatus",
    "GatewaySettings",
    "GiveUp",
    "Next",
    "NextTarget",
    "Plan",
    "PromptUse",
    "attempted",
    "counts_tokens",
    "next_step",
    "plan",
    "plan_count",
    "plan_embeddings",
    "plan_for_makers",
    "ranked",
]
