"""Who pays for a call: money is held before it goes out, and its cost settled before its answer ends.

What a call may cost at most is known of none exactly; the hold is made so that it is hardly ever passed (docs/money.md):
every byte of what is said counts as a token, a picture or another file by what vendors count for a large one, the answer by
the caller's bound or else the model's.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from samovar.domains.billing.model.wallets import PurseState
from samovar.domains.billing.service.money import MoneyService, PriceUnknown, WalletRef
from samovar.domains.catalog.model import Model
from samovar.domains.gateway.model import Call, Plan
from samovar.domains.gateway.service.estimate import (
    MOST_TOKENS_A_FILE,
    SHORT_BYTES,
    may_hold_files,
    most_file_tokens,
    most_prompt_tokens,
)
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import SamovarError

# A member reached through its class costs a call of a function, and each gateway call takes this path.
_DEGRADE: Final = PurseState.DEGRADE


class Payments:
    """Part of :class:`~samovar.domains.gateway.service.GatewayService`. A call that nobody pays for passes through untouched."""

    def __init__(self, money: MoneyService) -> None:
        self._money = money

    def payer(self, trail: Trail) -> WalletRef | None:
        """The wallet that pays; ``None`` where nobody does."""
        return self._money.payer(trail.call.principal)

    async def held(
        self, trail: Trail, plan: Plan, wallet: WalletRef, plan_of: Callable[[Trail], Plan], *, has_output: bool = True
    ) -> Plan:
        """The plan as it can be paid for, and in ``trail.hold`` the money for it.

        A budget in its ``degrade`` mode makes the plan anew, the cheaper targets first. Targets without a price are left out.
        Raises what ``plan_of`` does, ``CreditSpent``, ``PriceUnknown``, ``WalletGone``, ``Unavailable``.
        """
        plan, bound = self._priced(trail, plan, wallet, has_output=has_output)
        call = trail.call
        principal_id = call.principal.id
        money = self._money
        hold = money.take(call.id, wallet, bound, principal_id=principal_id)
        if hold is None:
            hold = await money.hold(call.id, wallet, bound, principal_id=principal_id)
        trail.hold = hold
        if hold.state is _DEGRADE and not call.prefer_cheaper:
            hold.release()
            trail.call = msgspec.structs.replace(call, prefer_cheaper=True)
            plan, bound = self._priced(trail, plan_of(trail), wallet, has_output=has_output)
            trail.hold = await money.hold(call.id, wallet, bound, principal_id=principal_id)
        return plan

    def conclude(self, trail: Trail) -> Awaitable[None] | None:
        """The cost is known, or there is none: before the answer ends, and however the call ended. The first time counts.
        Await what comes back, if anything does."""
        hold, attempt, charge = trail.hold, trail.attempt, trail.charge
        if hold is None or hold.is_over:
            return None
        if charge is None or attempt is None:
            return hold.release()
        model = attempt.target.model.id
        memo = self._money.memo(charge, trail.usage, model=model, provider=attempt.target.provider.name)
        return hold.settle(charge, memo)

    def _priced(self, trail: Trail, plan: Plan, wallet: WalletRef, *, has_output: bool) -> tuple[Plan, int]:
        """The plan without targets whose price is not known, and the most that it may cost. Raises ``PriceUnknown``."""
        call = trail.call
        most_input = _most_input(trail)
        bound, priced = 0, []
        unknown: PriceUnknown | None = None
        for attempt in plan.attempts:
            try:
                most = self._bound(wallet, attempt.target.model, call, most_input, has_output=has_output)
            except PriceUnknown as error:
                unknown = error
                continue
            if most > bound:
                bound = most
            priced.append(attempt)
        if unknown is not None:
            if not priced:
                raise unknown
            plan = msgspec.structs.replace(plan, attempts=tuple(priced))
        return plan, bound

    def _bound(self, wallet: WalletRef, model: Model, call: Call, most_input: int, *, has_output: bool) -> int:
        window = model.context_window
        most_output = _most_output(call, model) if has_output else 0
        in_sight = self._money.bound(
            model.price,
            input_tokens=most_input if window is None or most_input < window else window,
            max_output_tokens=most_output,
            at=call.started_at,
            ceiling_nano_usd=wallet.ceiling_nano_usd,
        )
        if not call.head.leans_on_kept:
            return in_sight
        if window is None:
            return max(in_sight, wallet.ceiling_nano_usd)
        whole = self._money.bound(
            model.price,
            input_tokens=window,
            max_output_tokens=most_output,
            at=call.started_at,
            ceiling_nano_usd=wallet.ceiling_nano_usd,
        )
        return max(in_sight, min(whole, wallet.ceiling_nano_usd))


def _most_input(trail: Trail) -> int:
    body = trail.call.body
    size = len(body)
    is_short = size <= SHORT_BYTES
    if is_short and not may_hold_files(body):
        # No token is less than a byte; for a short body that is near enough, and costs nothing to know.
        return size
    read = trail.call.as_prompt
    try:
        request = trail.request() if read is None else read(body)
    except SamovarError:
        # A provider of the caller's own dialect takes what we cannot read.
        return size + MOST_TOKENS_A_FILE if is_short else size
    return size + most_file_tokens(request) if is_short else most_prompt_tokens(request)


def _most_output(call: Call, model: Model) -> int | None:
    most, models = call.head.max_output_tokens, model.max_output_tokens
    if most is None or (models is not None and models < most):
        most = models
    return None if most is None else most * call.head.choices
