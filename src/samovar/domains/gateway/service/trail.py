"""What is noted of a call while it runs, and the one event it becomes."""

from typing import Final

from samovar.domains.billing.model import Charge, price
from samovar.domains.billing.service.money import Hold
from samovar.domains.catalog.model import ApiKey
from samovar.domains.gateway.model import Attempt, AttemptNote, Call, CallFinished, CallStatus
from samovar.domains.gateway.model.guard import Screen
from samovar.kernel.errors import SamovarError
from samovar.kernel.guard import GuardAction, GuardSide
from samovar.ports.clock import Clock
from samovar.ports.dialect import UpstreamError
from samovar.ports.llm import ChatRequest, Stop, Usage

# A member reached through its class costs a call of a function, and each gateway call takes this path.
_OK: Final = CallStatus.OK


class Trail:
    """One for each call. ``upstream_s`` is time spent waiting for providers: the rest is our overhead. ``in_flight`` is
    whether a provider has our request and has not answered it yet; ``is_estimate`` whether the answer itself is our guess.
    ``screen`` are the rules over the answer, if there are any; ``is_read`` is whether bytes may not pass through, because
    rules look at the answer or changed the request."""

    __slots__ = (
        "_attempt_started",
        "_clock",
        "_request",
        "answered_model",
        "attempt",
        "cache",
        "call",
        "charge",
        "conversation",
        "cost_nano_usd",
        "ended_at",
        "ends_at",
        "error_code",
        "first_content_s",
        "guard_actions",
        "hold",
        "http_status",
        "in_flight",
        "is_estimate",
        "is_lesson",
        "is_read",
        "key",
        "notes",
        "price_source",
        "screen",
        "status",
        "stop",
        "strategy",
        "unknown_events",
        "upstream_s",
        "usage",
    )

    def __init__(self, call: Call, clock: Clock) -> None:
        self.call = call
        self._clock = clock
        self.attempt: Attempt | None = None
        self.key: ApiKey | None = None
        self.notes: list[AttemptNote] = []
        self.upstream_s = 0.0
        self.first_content_s: float | None = None
        self.usage: Usage | None = None
        self.stop: Stop | None = None
        self.hold: Hold | None = None
        self.charge: Charge | None = None
        self.cost_nano_usd: int | None = None
        self.price_source: str | None = None
        self.in_flight = False
        self.is_estimate = False
        self.cache = ""
        self.ends_at: float | None = None
        self.ended_at = 0.0
        self.status = _OK
        self.http_status = 200
        self.error_code: str | None = None
        # Whether there is something to learn from it of the target that answered.
        self.is_lesson = False
        self._attempt_started = 0.0
        self._request: ChatRequest | None = None
        # Names what may stay with the target that answers it, where that is asked for.
        self.conversation: bytes | None = None
        self.screen: Screen | None = None
        self.is_read = False
        self.guard_actions: dict[tuple[GuardAction, GuardSide], int] = {}
        self.unknown_events = 0
        self.strategy = ""
        self.answered_model = ""

    def request(self) -> ChatRequest:
        """What the caller asks, in the neutral core; the body is read once, however many attempts there are. Raises
        ``Malformed`` or ``Unsupported``."""
        if self._request is None:
            self._request = self.call.surface.read_request(self.call.body)
        return self._request

    def asks(self, request: ChatRequest) -> None:
        """From here on the call asks this instead of what stands in its body."""
        self._request = request

    def guarded(self, action: GuardAction, side: GuardSide) -> None:
        """A guard rail of the key did something."""
        self.guard_actions[action, side] = self.guard_actions.get((action, side), 0) + 1

    def bounded(self, total_s: float | None) -> "Trail":
        """With a total for all attempts and the waits between them, from now on. Returns itself."""
        self.ends_at = None if total_s is None else self._clock.monotonic() + total_s
        return self

    def rest_s(self) -> float | None:
        """What is left of the total."""
        return None if self.ends_at is None else self.ends_at - self._clock.monotonic()

    def begin(self, attempt: Attempt, key: ApiKey | None = None) -> None:
        """An attempt goes out, with this key of its provider's."""
        self.attempt, self.key = attempt, key
        self._attempt_started = self._clock.monotonic()

    def from_memory(self, attempt: Attempt, *, source: str) -> None:
        """Answered without asking anybody: what ``attempt`` would be asked is known, and costs nothing."""
        self.attempt = attempt
        self.cost_nano_usd, self.price_source = 0, source

    def sent(self) -> float:
        """The attempt's request goes to the provider. Returns the monotonic second."""
        self.in_flight = True
        return self._clock.monotonic()

    def waited_since(self, sent: float) -> None:
        """The provider's part of the attempt is over."""
        self.upstream_s += self._clock.monotonic() - sent

    def succeeded(self) -> None:
        """The attempt under way answered (a stream: with its first content)."""
        self._note(None, None)

    def failed(self, error: SamovarError) -> None:
        """The attempt under way failed."""
        self._note(error.code, error.upstream_status if isinstance(error, UpstreamError) else None)

    def used(self, usage: Usage | None, stop: Stop | None) -> None:
        """The provider's last word on tokens, priced at once with the card of the target that answered."""
        self.stop = stop or self.stop
        if usage is None or self.attempt is None:
            return
        self.usage = usage
        charge = self.charge = price(usage, self.attempt.target.model.price, at=self.call.started_at)
        self.cost_nano_usd, self.price_source = charge.nano_usd, charge.source
        if charge.nano_usd is None and self.hold is not None:
            # What nobody knows the price of is charged at its hold.
            self.cost_nano_usd = self.hold.amount_nano_usd

    def answered_by(self, name: str) -> None:
        """The provider's own word for the model that answered. It is noted where it is another than was asked for: a dated
        version, or what the provider itself fell back to."""
        if self.attempt is not None and name != self.attempt.target.model.name:
            self.answered_model = name

    def pace(self) -> tuple[float | None, float]:
        """Seconds from the last attempt's start to a stream's first content, and to the end."""
        first = self.first_content_s
        return None if first is None else first - self._attempt_started, self.ended_at - self._attempt_started

    def overhead_ms(self) -> float:
        """Milliseconds since the call began that were not spent waiting for a provider."""
        return self._overhead_ms(self._clock.monotonic())

    def _overhead_ms(self, now: float) -> float:
        ours_s = now - self.call.started - self.upstream_s
        return ours_s * 1000 if ours_s > 0.0 else 0.0

    def ended(self, status: CallStatus, http_status: int, error_code: str | None, *, is_lesson: bool) -> "Trail":
        """From here on nothing changes. Returns itself."""
        self.ended_at = self._clock.monotonic()
        self.status, self.http_status, self.error_code, self.is_lesson = status, http_status, error_code, is_lesson
        return self

    def finished(self) -> CallFinished:
        """The event of a call that has ended. Call it once."""
        call, attempt, now = self.call, self.attempt, self.ended_at
        principal = call.principal
        model = attempt.target.model if attempt else None
        return CallFinished(
            id=call.id,
            request_id=call.request_id,
            team_id=principal.team_id,
            principal_id=principal.id,
            # Not `.value`, which is a function's call twice over.
            principal_kind=str(principal.kind),
            surface=call.surface_name or call.surface.name,
            requested_model=call.head.model,
            model=model.id if model else "",
            provider=attempt.target.provider.name if attempt else "",
            vendor=attempt.vendor.name if attempt else "",
            native=attempt.native if attempt else False,
            stream=call.head.stream,
            status=self.status,
            http_status=self.http_status,
            error_code=self.error_code,
            started_at=call.started_at,
            duration_ms=(now - call.started) * 1000,
            first_content_ms=None if self.first_content_s is None else (self.first_content_s - call.started) * 1000,
            overhead_ms=self._overhead_ms(now),
            usage=self.usage,
            cost_nano_usd=self.cost_nano_usd,
            price_source=self.price_source,
            stop=str(self.stop.kind) if self.stop else None,
            attempts=tuple(self.notes),
            guard_actions=self._guarded() if self.guard_actions else (),
            unknown_events=self.unknown_events,
            trace_id=call.trace_id,
            parent_span_id=call.parent_span_id,
            project_id=principal.project_id or "",
            user_id=(user_id := principal.person_id or ""),
            user_label="" if user_id else call.user_label,
            strategy=self.strategy,
            answered_model=self.answered_model,
            prompt=call.prompt,
        )

    def _guarded(self) -> tuple[tuple[GuardAction, GuardSide, int], ...]:
        return tuple([(*what, count) for what, count in self.guard_actions.items()])

    def _note(self, error: str | None, status: int | None) -> None:
        assert self.attempt is not None
        self.in_flight = False
        took_ms = (self._clock.monotonic() - self._attempt_started) * 1000
        target = self.attempt.target
        self.notes.append(AttemptNote(target.model.id, target.provider.name, took_ms, error, status))
