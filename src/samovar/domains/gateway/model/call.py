"""The data of a call, in the order in which it comes to be: Call, Plan of Attempts, CallFinished."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from samovar.domains.catalog.model import Target
from samovar.domains.gateway.model.routing import Ranking
from samovar.kernel.guard import GuardAction, GuardSide
from samovar.kernel.principal import Principal
from samovar.ports.asgi import Lines
from samovar.ports.dialect import Dialect, Head, Surface, Vendor
from samovar.ports.llm import ChatRequest, Usage
from samovar.ports.transport import Timeouts


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on every call (docs/operations.md). A JSON call has a total over all its attempts and the waits between
    them, a stream has none."""

    json_timeouts: Timeouts = Timeouts(first_byte_s=30.0, idle_s=30.0, total_s=30.0)
    stream_timeouts: Timeouts = Timeouts()
    max_attempts: int = 3
    retry_base_s: float = 1.0
    retry_max_s: float = 10.0
    max_answer_bytes: int = 64 * 1024 * 1024
    keep_alive_after_s: float = 10.0
    keep_alive_every_s: float = 15.0
    breaker_failures: int = 5
    breaker_rest_s: float = 60.0


class Allowed(Protocol):
    """What the limits of caller and target grant a call. Each wait raises ``RateLimited``, ``QuotaUnavailable``."""

    @property
    def counts_tokens(self) -> bool:
        """Whether any limit on tokens or on targets asks for an estimate."""
        ...

    def take_tokens(self, input_tokens: int, output_tokens: int, *, is_named: bool = True) -> Awaitable[None] | None:
        """Take an estimate, before the call goes out. ``is_named``: the caller said that it may be answered so many. Await
        what comes back, if anything does."""
        ...

    def to_target(self, provider: str, model: str) -> Awaitable[None] | None:
        """Ask the limits of a target, where it has any; what is awaited raises ``TargetLimited`` too."""
        ...

    def settle(self, tokens: int) -> None:
        """The call is over and used so many."""
        ...

    def headers(self) -> list[tuple[bytes, bytes]]:
        """``X-RateLimit-*``, where a limit applies."""
        ...

    def lines(self) -> Lines:
        """The same, joined."""
        ...


class CacheAsk(msgspec.Struct, frozen=True, kw_only=True):
    """That an answer be remembered ``ttl_s`` seconds, or given from memory: of all keys of the team, or the key's ``own``;
    ``always``, or only one that is made at temperature 0. ``form`` is how a stream is framed."""

    ttl_s: int
    own: bool
    always: bool
    form: str


class PromptUse(msgspec.Struct, frozen=True):
    """Which prompt of the registry a call asks: the id of the version, its number, and the revision of its text."""

    id: int
    version: int
    revision: int


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in. ``started`` is the monotonic second of its first byte; ``forwarded`` are the caller's
    headers that mean something to a vendor of the same dialect; ``wants_cost`` asks for the cost in a stream's last
    event. ``traceparent`` (W3C Trace Context) names this call as the parent of what the vendor does for it. Where
    figures are asked for instead of chat, ``surface_name`` is the log's name for that and ``as_prompt`` reads what is said in
    the body."""

    id: str
    request_id: str
    principal: Principal
    surface: Surface
    head: Head
    body: bytes
    started: float
    started_at: datetime
    forwarded: Sequence[tuple[str, str]] = ()
    wants_cost: bool = False
    trace_id: str = ""
    parent_span_id: str = ""
    traceparent: str = ""
    surface_name: str = ""
    as_prompt: Callable[[bytes], ChatRequest] | None = None
    cache: CacheAsk | None = None
    user_label: str = ""
    prefer_cheaper: bool = False
    """A budget asks for cheaper targets: of several the cheapest comes first, whatever the strategy."""
    grant: Allowed | None = None
    prompt: PromptUse | None = None
    is_slow: bool = False
    """What is written of an answer may take long for its size: in a thread, and never for a surface that bytes pass through."""


class Attempt(msgspec.Struct, frozen=True):
    """One target in the plan and the language we will speak to it. ``native``: it is the caller's own, so bytes pass
    through."""

    target: Target
    vendor: Vendor
    dialect: Dialect
    native: bool


class Plan(msgspec.Struct, frozen=True):
    """Attempts, best first; never empty. ``why`` explains the order to the caller (``x-samovar-route``). ``ranking`` is what
    it was made of, where several targets were weighed."""

    attempts: tuple[Attempt, ...]
    why: str
    ranking: Ranking | None = None
    conversation: bytes | None = None


class AttemptNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one attempt went. ``error`` is the code of its failure, ``None`` for the one that answered."""

    model: str
    provider: str
    took_ms: float
    error: str | None = None
    status: int | None = None


class CallStatus(StrEnum):
    """How a call ended, from the caller's side."""

    OK = "ok"
    ERROR = "error"
    BROKEN = "broken"
    """It failed after content had been sent."""
    CANCELLED = "cancelled"
    """The caller went away first."""


class CallFinished(msgspec.Struct, frozen=True, kw_only=True):
    """The one wide event of each call: who, what, how long, how much, how it ended. Units last in the names.

    ``cost_nano_usd`` is ``None`` where no price is known. ``overhead_ms`` is what we added to the provider's own time.
    """

    id: str
    request_id: str
    team_id: str
    principal_id: str
    principal_kind: str
    surface: str
    requested_model: str
    model: str
    provider: str
    vendor: str
    native: bool
    stream: bool
    status: CallStatus
    http_status: int
    error_code: str | None
    started_at: datetime
    duration_ms: float
    first_content_ms: float | None
    overhead_ms: float
    usage: Usage | None
    cost_nano_usd: int | None
    price_source: str | None
    stop: str | None
    attempts: tuple[AttemptNote, ...]
    guard_actions: tuple[tuple[GuardAction, GuardSide, int], ...] = ()
    """What the key's guard rails did, and how often."""
    unknown_events: int = 0
    """Events of the vendor's stream whose kind this version does not know."""
    trace_id: str
    parent_span_id: str
    project_id: str = ""
    user_id: str = ""
    """The person that the key names."""
    user_label: str = ""
    """Where it names none: what the caller says of whom the call is for (``x-samovar-user``). A word in the log, nothing else."""
    strategy: str = ""
    """By what the target was chosen, where several were weighed."""
    answered_model: str = ""
    """The provider's own name of the model that answered, where it is not the one that was asked."""
    prompt: PromptUse | None = None
    """The prompt of the registry that was asked, where it was one."""
