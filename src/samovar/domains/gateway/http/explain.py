"""``POST /api/routes/explain``: the plan that a request would get, without sending it. It is this process's own answer: what
is known of targets is learned where calls are made."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict

from samovar.domains.catalog.model import Strategy
from samovar.domains.gateway.model import Call
from samovar.domains.gateway.service import Figures, GatewayService
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Flaw, Malformed
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.dialect import Dialect
from samovar.ports.problems import refusals
from samovar.ports.routes import Routes

Authenticate = Callable[[Request], Awaitable[Principal]]

EMBEDDINGS: Final = "embeddings"
# The surfaces' names for people, and the dialects'.
_DIALECTS: Final[Mapping[str, str]] = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "messages": "anthropic-messages",
    "gemini": "gemini",
    EMBEDDINGS: "openai-chat",
}
_WRAPPER: Final = frozenset({"surface", "request", "model", "stream", "prefer_cheaper"})
_REFUSALS: Final = {
    400: "The request is none of its surface",
    401: "No credential, or one that is not good",
    403: "The credential may neither call nor read the catalogue, or may not use that model",
    404: "No model goes by that name",
    422: "The body is no JSON object",
    429: "Too many requests; see Retry-After",
    503: "The database does not answer",
}


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AskedAnswer(_Answer):
    """What the call asks of a target, as we read and estimate it."""

    input_tokens: int
    max_output_tokens: int | None
    priced_output_tokens: int
    needs: tuple[str, ...]
    stream: bool


class PartsAnswer(_Answer):
    """What `balanced` weighs, each 0 to 1."""

    cost: float
    latency: float
    quality: float


class SeenAnswer(_Answer):
    """How the target did lately, in this process; what is left out is not known, or nothing."""

    first_s: float | None = None
    tokens_per_s: float | None = None
    whole_s: float | None = None
    failure: float = 0.0
    age_s: float | None = None
    headroom: float | None = None
    cooling_s: float = 0.0
    resting_s: float = 0.0


class ChoiceAnswer(_Answer):
    """A target in the ranking. `attempt` is its place among those that are tried. `score` is the strategy's own measure:
    credits, seconds, 0 to 100, 0 to 1, or weight; `null` where it is not known."""

    model: str
    provider: str
    attempt: int | None
    standing: str
    score: float | None
    parts: PartsAnswer | None
    cost_credits: str | None
    latency_s: float | None
    quality: int | None
    weight: int
    abilities: tuple[str, ...] | None
    seen: SeenAnswer
    notes: tuple[str, ...]


class RuledOutAnswer(_Answer):
    """A target that cannot take the call."""

    model: str
    provider: str
    reasons: tuple[str, ...]


class PlaceAnswer(_Answer):
    """Where the conversation was last answered, and what its cached prompt would cost more at full price."""

    model: str
    cached_tokens: int
    leaving_costs_credits: str


class ExplainAnswer(_Answer):
    """The plan. `attempts` are tried in this order; `explores` is the share of such calls that try a target not seen lately
    instead, which this answer leaves out, as it does the draw of `weighted`."""

    model: str
    strategy: Strategy
    why: str
    asked: AskedAnswer
    attempts: tuple[str, ...]
    targets: tuple[ChoiceAnswer, ...]
    excluded: tuple[RuledOutAnswer, ...]
    conversation: PlaceAnswer | None
    explores: float


class Explainer:
    """From a body to a call that is not made. Raises ``Malformed``, and what the surface raises of its requests."""

    def __init__(
        self, *, service: GatewayService, dialects: Mapping[str, Dialect], figures: Figures, clock: Clock, ids: Ids
    ) -> None:
        self._service = service
        self._dialects = dialects
        self._figures = figures
        self._clock = clock
        self._ids = ids

    def explain(self, principal: Principal, said: Mapping[str, Any]) -> bytes:
        """The explanation as JSON. Raises ``Forbidden``, ``ModelNotFound``, ``ModelNotAllowed`` too."""
        if Permission.GATEWAY_CALL not in principal.permissions:
            require(principal, Permission.CATALOG_READ)
        if "request" in said:
            if unknown := sorted(said.keys() - _WRAPPER):
                raise _bad(unknown[0], f"is not known here; beside request there are {', '.join(sorted(_WRAPPER))}")
        else:
            said = {"request": said}
        surface = said.get("surface", "chat")
        if surface not in _DIALECTS:
            raise _bad("surface", f"must be one of {', '.join(_DIALECTS)}")
        if not isinstance(said["request"], dict):
            raise _bad("request", "must be an object: the body of a call")
        call = self._call(principal, surface, said)
        found = self._service.routes.explain(call, is_chat=surface != EMBEDDINGS)
        return msgspec.json.encode(found)

    def _call(self, principal: Principal, surface: str, said: Mapping[str, Any]) -> Call:
        dialect = self._dialects[_DIALECTS[surface]]
        body = msgspec.json.encode(said["request"])
        figures = self._figures.embeddings["openai-embeddings"] if surface == EMBEDDINGS else None
        head = dialect.read_head(body) if figures is None else figures.read_head(body)
        model, stream, cheaper = (
            said.get("model", head.model),
            said.get("stream", head.stream),
            said.get("prefer_cheaper"),
        )
        for field, value, kind in (("model", model, str), ("stream", stream, bool), ("prefer_cheaper", cheaper, bool)):
            if value is not None and not isinstance(value, kind):
                raise _bad(field, f"must be a {'text' if kind is str else 'boolean'}")
        if not model:
            raise _bad("model", "is missing: this surface names it in the path, so say it beside request")
        call_id = self._ids.new("call")
        return Call(
            id=call_id,
            request_id=call_id,
            principal=principal,
            surface=dialect,
            head=msgspec.structs.replace(head, model=model, stream=bool(stream)),
            body=body,
            started=self._clock.monotonic(),
            started_at=self._clock.now(),
            surface_name="" if figures is None else figures.name,
            as_prompt=None if figures is None else figures.as_prompt,
            prefer_cheaper=bool(cheaper),
        )


def _bad(where: str, what: str) -> Malformed:
    return Malformed(f"{where} {what}", flaws=[Flaw(where, what)])


def explain_router(*, explainer: Explainer, authenticate: Authenticate) -> Routes:
    """``/api/routes``."""
    routes = Routes(prefix="/api/routes", tags=["routes"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.post(
        "/explain",
        summary="Explain where a request would go",
        response_model=ExplainAnswer,
        responses=refusals(_REFUSALS, *_REFUSALS),
    )
    async def explain(
        principal: caller,
        body: Annotated[
            dict[str, Any],
            Body(
                description="The body of `POST /v1/chat/completions`; or `{surface, request}` with a surface of `chat`, "
                "`responses`, `messages`, `gemini` (name the `model` beside it) or `embeddings`. Beside `request` may stand "
                "`model`, `stream` and `prefer_cheaper` (as if a budget asked for it).",
                examples=[
                    {"model": "auto:balanced", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 200}
                ],
            ),
        ],
    ) -> Response:
        """Nothing is sent and nothing is charged. Only models that the caller may use are shown."""
        # Encoded already: two hundred targets need not be checked against our own description.
        return Response(explainer.explain(principal, body), media_type="application/json")

    return routes
