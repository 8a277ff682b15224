"""``/api/ledger``: what moved, and whether all figures agree. ``/api/leases``: what processes hold, and lost hosts' rest."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Path, Query
from pydantic import BaseModel

from samovar.domains.billing.http.conventions import (
    Authenticate,
    CreditsText,
    Cursor,
    IdInPath,
    Limit,
    refusals,
)
from samovar.domains.billing.model.ledger import (
    HeldLease,
    LeaseState,
    Transfer,
    TransferKind,
    instant_of,
    microseconds_of,
)
from samovar.domains.billing.service import Books, Verdict, Wallets
from samovar.kernel.errors import Flaw, Malformed
from samovar.kernel.money import credits_text
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes


class TransferAnswer(BaseModel):
    """A row of the ledger: ``credits`` went from the account ``debit`` to the account ``credit``. A charge has its call's id,
    and in ``memo`` its usage and rates, from which it can be computed again."""

    id: str
    at: datetime
    wallet_id: str
    kind: TransferKind
    debit: str
    credit: str
    credits: CreditsText
    principal_id: str | None
    source: str | None
    estimated: bool
    mark: str | None
    memo: Any


class TransferList(BaseModel):
    """The newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[TransferAnswer, ...]
    next_cursor: str | None


class DifferenceAnswer(BaseModel):
    """A figure that is kept beside the ledger and does not agree with it."""

    what: str
    id: str
    kept: CreditsText
    found: CreditsText


class CheckAnswer(BaseModel):
    """``differences`` is empty where all is well."""

    differences: tuple[DifferenceAnswer, ...]


class LeaseAnswer(BaseModel):
    """What a process took from a wallet to spend. ``rest`` is not spent; ``lost`` is a lease that its process will not
    settle any more: nobody but you will."""

    id: str
    wallet_id: str
    state: LeaseState
    lost: bool
    credits: CreditsText
    spent: CreditsText
    rest: CreditsText
    host_id: str
    process_id: str
    taken_at: datetime
    seen_at: datetime


class LeaseList(BaseModel):
    """The newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[LeaseAnswer, ...]
    next_cursor: str | None


def router(*, wallets: Wallets, books: Books, authenticate: Authenticate) -> Routes:
    """The ledger and the leases."""
    routes = Routes(tags=["wallets"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("/api/ledger", summary="List what moved in a wallet", responses=refusals(400, 404))
    async def listing(
        principal: caller,
        wallet: Annotated[str, Query(min_length=1, max_length=64)],
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> TransferList:
        found = await wallets.transfers(principal, wallet, limit=limit, before=_place(cursor))
        shown, more = found[:limit], len(found) > limit
        after = f"{microseconds_of(shown[-1].at)}~{shown[-1].id}" if more else None
        return TransferList(items=tuple(_transfer(one) for one in shown), next_cursor=after)

    @routes.get("/api/ledger/check", summary="Check all figures against the ledger", responses=refusals())
    async def check(principal: caller) -> CheckAnswer:
        """Reads the team's whole ledger as it is at one moment: what is written meanwhile makes no difference."""
        found = await books.check(principal)
        return CheckAnswer(
            differences=tuple(
                DifferenceAnswer(what=one.what, id=one.id, kept=credits_text(one.kept), found=credits_text(one.found))
                for one in found
            )
        )

    @routes.get("/api/leases", summary="List what processes hold of wallets", responses=refusals())
    async def leases(
        principal: caller,
        wallet: Annotated[str | None, Query(max_length=64, description="Of this wallet alone.")] = None,
        state: Annotated[LeaseState | None, Query(description="Without it those open or in suspense.")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> LeaseList:
        states = (LeaseState.OPEN, LeaseState.SUSPENSE) if state is None else (state,)
        found, after = await books.page(principal, wallet_id=wallet, states=states, limit=limit, cursor=cursor)
        return LeaseList(items=tuple(_lease(one, books) for one in found), next_cursor=after)

    @routes.post("/api/leases/{lease_id}/{verdict}", summary="Decide about a lost lease", responses=refusals(404, 409))
    async def decide(
        principal: caller,
        lease_id: IdInPath,
        verdict: Annotated[
            Verdict,
            Path(description="settle: the rest goes to the suspense account. From there: release it, or charge it."),
        ],
    ) -> LeaseAnswer:
        """For a host that will not come back. Charges of it that come all the same are paid from the suspense account."""
        return _lease(await books.decide(principal, lease_id, verdict), books)

    return routes


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    at, _, last = cursor.partition("~")
    if not (at.isascii() and at.isdigit() and len(at) <= 17 and last):
        raise Malformed("cursor is not one that a page before this gave.", flaws=[Flaw("cursor", "is not one of ours")])
    return instant_of(int(at)), last


def _transfer(found: Transfer) -> TransferAnswer:
    return TransferAnswer(
        id=found.id,
        at=found.at,
        wallet_id=found.wallet_id,
        kind=found.kind,
        debit=found.debit,
        credit=found.credit,
        credits=credits_text(found.amount_nano_usd),
        principal_id=found.principal_id,
        source=found.source,
        estimated=found.estimated,
        mark=found.mark,
        memo=None if found.memo is None else msgspec.json.decode(found.memo),
    )


def _lease(held: HeldLease, books: Books) -> LeaseAnswer:
    lease = held.lease
    return LeaseAnswer(
        id=lease.id,
        wallet_id=lease.wallet_id,
        state=lease.state,
        lost=books.is_lost(held),
        credits=credits_text(lease.amount_nano_usd),
        spent=credits_text(lease.spent_nano_usd),
        rest=credits_text(lease.outstanding),
        host_id=held.host_id,
        process_id=held.spender_id,
        taken_at=held.taken_at,
        seen_at=held.seen_at,
    )
