"""``/api/budgets``: bounds on what a wallet spends in a day, week, month or ever."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Response
from msgspec import UNSET
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.billing.http.conventions import (
    Authenticate,
    Credits,
    CreditsText,
    Cursor,
    IdInPath,
    IfMatch,
    Limit,
    expected_revision,
    nano_usd,
    refusals,
    tag,
)
from samovar.domains.billing.model.wallets import WARN_PERCENT, BudgetMode, BudgetPeriod, BudgetUse
from samovar.domains.billing.service import BudgetChange, BudgetOrder, Budgets
from samovar.kernel.money import credits_text
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes

WarnPercent = Annotated[int, Field(ge=1, le=100, description="Calls are marked from this part of the amount on.")]


class NewBudget(BaseModel):
    """The budget that is wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wallet_id: Annotated[str, Field(min_length=1, max_length=64)]
    period: Annotated[BudgetPeriod, Field(description="In UTC; a week begins on Monday.")]
    credits: Credits
    mode: Annotated[
        BudgetMode,
        Field(description="At the amount: no further call, a mark alone, or cheaper models."),
    ] = BudgetMode.HARD_STOP
    warn_percent: WarnPercent = WARN_PERCENT


class BudgetPatch(BaseModel):
    """What to change; null or left out stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    credits: Credits | None = None
    mode: BudgetMode | None = None
    warn_percent: WarnPercent | None = None


class BudgetAnswer(BaseModel):
    """A budget in its period of now. ``held`` is what processes hold for calls of this period."""

    id: str
    wallet_id: str
    period: BudgetPeriod
    credits: CreditsText
    mode: BudgetMode
    warn_percent: int
    spent: CreditsText
    held: CreditsText
    revision: int
    created_at: datetime


class BudgetList(BaseModel):
    """The newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[BudgetAnswer, ...]
    next_cursor: str | None


def router(*, service: Budgets, authenticate: Authenticate) -> Routes:
    """Make, list, show, change, delete."""
    routes = Routes(prefix="/api/budgets", tags=["wallets"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.post("", status_code=201, summary="Set a budget", responses=refusals(400, 404, 409))
    async def create(principal: caller, order: NewBudget, response: Response) -> BudgetAnswer:
        """What its period has seen already counts."""
        made = await service.create(
            principal,
            BudgetOrder(
                wallet_id=order.wallet_id,
                period=order.period,
                nano_usd=nano_usd(order.credits),
                mode=order.mode,
                warn_percent=order.warn_percent,
            ),
        )
        return _tagged(made, response)

    @routes.get("", summary="List the team's budgets", responses=refusals())
    async def listing(
        principal: caller,
        wallet: Annotated[str | None, Query(max_length=64, description="Those of this wallet alone.")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> BudgetList:
        found, after = await service.page(principal, wallet_id=wallet, limit=limit, cursor=cursor)
        return BudgetList(items=tuple(_answer(one) for one in found), next_cursor=after)

    @routes.get("/{budget_id}", summary="Show a budget", responses=refusals(404))
    async def show(principal: caller, budget_id: IdInPath, response: Response) -> BudgetAnswer:
        return _tagged(await service.get(principal, budget_id), response)

    @routes.patch("/{budget_id}", summary="Change a budget", responses=refusals(400, 404, 412))
    async def change(
        principal: caller, budget_id: IdInPath, patch: BudgetPatch, response: Response, if_match: IfMatch = None
    ) -> BudgetAnswer:
        changed = await service.change(
            principal,
            budget_id,
            BudgetChange(
                nano_usd=UNSET if patch.credits is None else nano_usd(patch.credits),
                mode=UNSET if patch.mode is None else patch.mode,
                warn_percent=UNSET if patch.warn_percent is None else patch.warn_percent,
            ),
            expected=expected_revision(if_match),
        )
        return _tagged(changed, response)

    @routes.delete("/{budget_id}", status_code=204, summary="Delete a budget", responses=refusals(404))
    async def delete(principal: caller, budget_id: IdInPath) -> None:
        await service.delete(principal, budget_id)

    return routes


def _tagged(use: BudgetUse, response: Response) -> BudgetAnswer:
    tag(response, use.budget.revision)
    return _answer(use)


def _answer(use: BudgetUse) -> BudgetAnswer:
    budget = use.budget
    return BudgetAnswer(
        id=budget.id,
        wallet_id=budget.wallet_id,
        period=budget.period,
        credits=credits_text(budget.amount_nano_usd),
        mode=budget.mode,
        warn_percent=budget.warn_percent,
        spent=credits_text(use.spent_nano_usd),
        held=credits_text(use.leased_nano_usd),
        revision=budget.revision,
        created_at=budget.created_at,
    )
