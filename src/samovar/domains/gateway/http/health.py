"""``GET /api/providers/{id}/health``: how a provider does. As with explaining, it is this process's own answer."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.gateway.model import BreakerState
from samovar.domains.gateway.model.key_pool import KeyState
from samovar.domains.gateway.service.health import MAX_MODELS, Healths
from samovar.kernel.principal import Principal
from samovar.ports.problems import refusals
from samovar.ports.routes import Routes

_REFUSALS: Final = {
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission",
    404: "Your team has no such provider",
    422: "A field or parameter breaks a rule; `errors` names each",
    429: "Too many requests; see Retry-After",
    503: "The database does not answer",
}

Share = Annotated[float, Field(ge=0, le=1)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyHealthAnswer(_Answer):
    """One of several keys. `hint` is its end; it gets no calls while `rests_for_s`, unless all rest. `calls`, `limited` and
    `refused` count since this process began, or since the provider's keys were changed."""

    hint: str
    state: KeyState
    rests_for_s: float
    calls: int
    limited: int
    refused: int


class ModelHealthAnswer(_Answer):
    """A model that this process has called. `null` is not known; `failure` is the share of its calls that failed lately,
    `headroom` what is left of its rate limit, `cooling_s` how long the provider asked to be left alone."""

    model: str
    breaker: BreakerState
    rests_for_s: float
    failure: Share
    headroom: Share | None
    cooling_s: float
    first_content_s: float | None
    tokens_per_s: float | None
    last_seen_s: float | None


class ProviderHealthAnswer(_Answer):
    """`keys` are listed where there are several, for then they take turns."""

    id: str
    name: str
    enabled: bool
    keys: tuple[KeyHealthAnswer, ...]
    models: Annotated[
        tuple[ModelHealthAnswer, ...], Field(max_length=MAX_MODELS, description="The worst first, of `models_seen`.")
    ]
    models_seen: int


def health_router(*, healths: Healths, authenticate: Callable[[Request], Awaitable[Principal]]) -> Routes:
    """``/api/providers/{id}/health``."""
    routes = Routes(prefix="/api/providers", tags=["providers"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("/{provider_id}/health", summary="Show how a provider does", responses=refusals(_REFUSALS, *_REFUSALS))
    async def health(principal: caller, provider_id: Annotated[str, Path(max_length=128)]) -> ProviderHealthAnswer:
        """As the process that answers knows it: with several workers, ask again for another's view."""
        found = await healths.of(principal, provider_id)
        return ProviderHealthAnswer(
            id=found.provider.id,
            name=found.provider.name,
            enabled=found.provider.enabled,
            keys=tuple(KeyHealthAnswer(**key._asdict()) for key in found.keys),
            models=tuple(
                ModelHealthAnswer(
                    model=one.model,
                    breaker=one.breaker,
                    rests_for_s=one.rests_for_s,
                    failure=one.vitals.failure,
                    headroom=one.vitals.headroom,
                    cooling_s=one.vitals.cooling_s,
                    first_content_s=one.vitals.first_s,
                    tokens_per_s=one.vitals.tokens_per_s,
                    last_seen_s=one.vitals.age_s,
                )
                for one in found.models
            ),
            models_seen=found.models_seen,
        )

    return routes
