"""A key's guard rails at the beginning of a call: what it may not ask is refused, what it may not say is taken out, and the
call is told what its answer will be held against."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final, TypeVar

from msgspec.structs import replace

from samovar.domains.gateway.errors import BeyondKeyLimit
from samovar.domains.gateway.model import Attempt, Call, Plan
from samovar.domains.gateway.model.guard import CompiledGuard, CompiledRule, Screen, compile_guard
from samovar.domains.gateway.model.screening import screened_inputs, screened_request, screened_response
from samovar.domains.gateway.service.estimate import prompt_tokens
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import Flaw
from samovar.kernel.guard import NO_GUARD, Guard, GuardAction, GuardSide
from samovar.kernel.principal import Principal
from samovar.ports.dialect import Dialect, Unsupported
from samovar.ports.embeddings import CountSurface, EmbeddingsSurface
from samovar.ports.llm import ChatRequest, ChatResponse

T = TypeVar("T")

LONG_BYTES: Final = 500
"""A pattern that RE2 cannot make small takes 35 us for a character (measured)."""
_MAX_COMPILED_RULES: Final = 512
"""Of all keys together. RE2 grows each to its budget at most (``PATTERN_MEMORY_BYTES``), and most stay far below it."""


def is_guarded(principal: Principal) -> bool:
    """Whether its key has anything to guard."""
    return principal.guard is not None or principal.drop_params


class Guards:
    """Compiled guards by the key's id, the least recently used going first when there are too many rules. One is compiled
    anew when the key's guard is no longer the one it was made of."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, CompiledGuard] = OrderedDict()
        self._rules = 0
        self._lock = Lock()

    def of(self, principal: Principal, guard: Guard) -> CompiledGuard:
        """``guard`` is the principal's. Any thread may ask."""
        with self._lock:
            return self._of(principal, guard)

    def _of(self, principal: Principal, guard: Guard) -> CompiledGuard:
        known = self._by_key.get(principal.id)
        if known is not None:
            # A key is read again every few seconds: mostly the same guard in another object.
            if known.source is guard or known.source == guard:
                self._by_key.move_to_end(principal.id)
                return known
            del self._by_key[principal.id]
            self._rules -= len(known.source.rules)
        made = self._by_key[principal.id] = compile_guard(guard)
        self._rules += len(guard.rules)
        while self._rules > _MAX_COMPILED_RULES:
            _, oldest = self._by_key.popitem(last=False)
            self._rules -= len(oldest.source.rules)
        return made

    async def run(self, admit: Callable[[Trail], None], trail: Trail) -> None:
        """``admit`` (one of those below) for a call whose key :func:`is_guarded`. What a long body holds is read and ruled
        in a thread: a million characters take from 5 ms to some seconds, in which RE2 leaves the interpreter to others."""
        principal = trail.call.principal
        if len(trail.call.body) < LONG_BYTES or principal.guard is None or not principal.guard.rules:
            admit(trail)
            return
        await beside(lambda: admit(trail))

    def admit(self, trail: Trail) -> None:
        """A call for words. Raises ``GuardBlocked``, ``BeyondKeyLimit``, and ``Malformed`` for a body that cannot be read."""
        call, guard = trail.call, trail.call.principal.guard or NO_GUARD
        bound = None
        if guard is not NO_GUARD:
            _check_input(trail, trail.request(), guard)
            bound = _bound(trail, trail.request(), guard)
        if bound is not None or call.principal.drop_params:
            _amend(trail, bound)
        if guard.rules:
            self._rule(trail, guard)

    def admit_inputs(self, trail: Trail, surface: EmbeddingsSurface) -> None:
        """Texts to be embedded. As :meth:`admit`."""
        call, guard = trail.call, trail.call.principal.guard or NO_GUARD
        texts = None
        if guard is not NO_GUARD:
            _check_input(trail, surface.as_prompt(call.body), guard)
            rules = self.of(call.principal, guard).input_rules
            if rules:
                texts = self._ruled_texts(trail, surface, rules)
        body = surface.amended(call.body, texts=texts, drop_params=call.principal.drop_params)
        # The model may stand in the path, and is no rule's.
        trail.call = replace(call, body=body, head=replace(surface.read_head(body), model=call.head.model))

    def admit_count(self, trail: Trail, surface: CountSurface) -> None:
        """A prompt to be counted: bounds on tokens do not matter to it. As :meth:`admit`."""
        call, guard = trail.call, trail.call.principal.guard or NO_GUARD
        if call.principal.drop_params:
            _amend(trail, None)
        rules = self.of(call.principal, guard).input_rules if guard.rules else ()
        if rules:
            asked = surface.as_prompt(call.body)
            ruled = screened_request(asked, Screen(rules, GuardSide.INPUT, trail.guarded))
            if ruled is not asked:
                # Its body may not go out: what is left of it is ours to weigh.
                trail.asks(ruled)
                trail.is_read = True

    def _rule(self, trail: Trail, guard: Guard) -> None:
        rules = self.of(trail.call.principal, guard)
        asked = trail.request()
        ruled = screened_request(asked, Screen(rules.input_rules, GuardSide.INPUT, trail.guarded))
        if rules.output_rules:
            trail.screen = Screen(rules.output_rules, GuardSide.OUTPUT, trail.guarded)
        if ruled is asked and trail.screen is None:
            return
        trail.is_read = True
        trail.asks(_readable(ruled, trail.call))

    def _ruled_texts(
        self, trail: Trail, surface: EmbeddingsSurface, rules: tuple[CompiledRule, ...]
    ) -> tuple[str, ...] | None:
        asked = surface.texts(trail.call.body)
        texts = tuple([item for item in asked if isinstance(item, str)])
        if len(texts) != len(asked):
            flaw = Flaw("$.input", "tokens instead of texts")
            raise Unsupported(
                "This key has rules over what is sent, which cannot look into tokens: send texts.", flaws=[flaw]
            )
        ruled = screened_inputs(texts, Screen(rules, GuardSide.INPUT, trail.guarded))
        return None if ruled == texts else ruled


async def ruled_answer(response: ChatResponse, screen: Screen, *, size_bytes: int) -> ChatResponse:
    """A whole answer under rules; a long one as a long call is (:meth:`Guards.run`). Raises ``GuardBlocked``."""
    if size_bytes < LONG_BYTES:
        return screened_response(response, screen)
    return await beside(lambda: screened_response(response, screen))


async def beside(rule: Callable[[], T]) -> T:
    """In a thread, which is waited for in every case."""
    work = asyncio.get_running_loop().run_in_executor(None, rule)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # The call is accounted for next, and the thread still writes to what is accounted.
        await asyncio.wait((work,))
        work.exception()
        raise


def read_through(planned: Plan, dialects: Mapping[str, Dialect]) -> Plan:
    """The same attempts, with the bytes of none passing through."""
    return Plan(tuple([_read(attempt, dialects) for attempt in planned.attempts]), planned.why)


def _read(attempt: Attempt, dialects: Mapping[str, Dialect]) -> Attempt:
    dialect = dialects.get(attempt.dialect.name, attempt.dialect)
    return Attempt(attempt.target, attempt.vendor, dialect, native=False) if attempt.native else attempt


def _check_input(trail: Trail, request: ChatRequest, guard: Guard) -> None:
    limit = guard.max_input_tokens
    if limit is None:
        return
    tokens = prompt_tokens(request)
    if tokens > limit:
        trail.guarded(GuardAction.BLOCK, GuardSide.INPUT)
        raise BeyondKeyLimit(
            f"This key may send {limit} tokens in a call, and this one has about {tokens}. Send less, or ask an admin of "
            "the team for more."
        )


def _bound(trail: Trail, request: ChatRequest, guard: Guard) -> int | None:
    """The bound on each answer that goes out with the call."""
    limit = guard.max_output_tokens
    if limit is None:
        return None
    answers = request.choices or 1
    wish = request.max_output_tokens
    if (wish or 1) * answers > limit:
        trail.guarded(GuardAction.BLOCK, GuardSide.OUTPUT)
        raise BeyondKeyLimit(
            f"This key may ask for {limit} tokens of answer in a call, and this one asks for {wish or 'no number'}"
            + (f" in each of {answers} answers" if answers > 1 else "")
            + ". Ask for fewer, or ask an admin of the team for more."
        )
    return wish or limit // answers


def _amend(trail: Trail, bound: int | None) -> None:
    """Put into the body what the key says, so that it goes whichever way an unguarded body goes."""
    call = trail.call
    body = call.surface.amended(call.body, max_output_tokens=bound, drop_params=call.principal.drop_params)
    head = call.surface.read_head(body)
    # The model and whether to stream may stand in the path.
    said = replace(call.head, drop_params=head.drop_params, max_output_tokens=head.max_output_tokens)
    trail.call = replace(call, body=body, head=said)
    if bound is not None:
        trail.asks(replace(trail.request(), max_output_tokens=bound))


def _readable(request: ChatRequest, call: Call) -> ChatRequest:
    """The request, if its answer is one that the neutral core can hold. Raises ``Unsupported``."""
    if call.head.makers:
        raise Unsupported(
            "This key has rules over what is said, and cannot go on from previous_response_id or encrypted reasoning. Send "
            "the conversation itself."
        )
    lost = {
        "n": request.choices not in (None, 1),
        "logprobs": bool(request.logprobs) or bool(request.top_logprobs),
        "audio": "audio" in request.extensions,
    }
    flaws = [Flaw(name, "its answer cannot be ruled") for name, is_asked in lost.items() if is_asked]
    if not flaws:
        return request
    if call.head.drop_params:
        kept = {name: raw for name, raw in request.extensions.items() if name not in ("audio", "modalities")}
        return replace(request, choices=None, logprobs=None, top_logprobs=None, extensions=kept)
    names = ", ".join(flaw.where for flaw in flaws)
    raise Unsupported(
        f"This key has rules over what is said, which cannot look into all that was asked for: {names}. Leave it out, or "
        "set drop_params.",
        flaws=flaws,
    )
