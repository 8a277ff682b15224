"""``/api/wallets``: make, list, show, change, put credits in."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Response
from msgspec import UNSET
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.billing.http.conventions import (
    Authenticate,
    Credits,
    CreditsText,
    Cursor,
    IdempotencyKey,
    IdInPath,
    IfMatch,
    Limit,
    SignedCredits,
    expected_revision,
    nano_usd,
    refusals,
    tag,
)
from samovar.domains.billing.model.wallets import OwnerKind, Wallet
from samovar.domains.billing.service import WalletChange, WalletOrder, Wallets
from samovar.domains.billing.service.conventions import MAX_NAME_CHARS
from samovar.kernel.money import credits_text
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS, examples=["research"])]
OwnerId = Annotated[str, Field(min_length=1, max_length=128)]
Ceiling = Annotated[
    Credits | None,
    Field(description="What a call is held at whose cost has no other bound; null is the installation's ceiling."),
]


class NewWallet(BaseModel):
    """The wallet that is wanted. With an owner it pays for that owner's calls where their key names no other: a key's own
    comes first, then its project's, its person's (`user`), its team's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    credits: Credits = Decimal(0)
    unlimited: Annotated[bool, Field(description="Paid for later: the balance may go below zero.")] = False
    owner_kind: OwnerKind | None = None
    owner_id: OwnerId | None = None
    call_ceiling: Ceiling = None


class WalletPatch(BaseModel):
    """What to change; what is left out stays. ``owner_kind`` and ``owner_id`` go together, null takes the owner away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[Name | None, Field(description="null leaves it as it is.")] = None
    unlimited: Annotated[bool | None, Field(description="null leaves it as it is.")] = None
    owner_kind: OwnerKind | None = None
    owner_id: OwnerId | None = None
    call_ceiling: Ceiling = None

    def change(self) -> WalletChange:
        """Only what was sent."""
        sent = self.model_fields_set
        owner = None if self.owner_kind is None or self.owner_id is None else (self.owner_kind, self.owner_id)
        ceiling = None if self.call_ceiling is None else nano_usd(self.call_ceiling)
        return WalletChange(
            name=UNSET if self.name is None else self.name,
            unlimited=UNSET if self.unlimited is None else self.unlimited,
            owner=owner if sent & {"owner_kind", "owner_id"} else UNSET,
            call_ceiling_nano_usd=ceiling if "call_ceiling" in sent else UNSET,
        )


class MoreCredits(BaseModel):
    """How much to put in, or to take out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    credits: SignedCredits


class WalletAnswer(BaseModel):
    """A wallet. ``balance`` is what the ledger says; ``held`` the part of it that processes hold for calls; ``available``
    the rest, null where there is no bound; ``spent`` all that calls ever cost."""

    id: str
    name: str
    balance: CreditsText
    held: CreditsText
    available: CreditsText | None
    spent: CreditsText
    unlimited: bool
    owner_kind: OwnerKind | None
    owner_id: str | None
    call_ceiling: CreditsText | None
    revision: int
    created_at: datetime


class WalletList(BaseModel):
    """The newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[WalletAnswer, ...]
    next_cursor: str | None


def router(*, service: Wallets, authenticate: Authenticate) -> Routes:
    """Make, list, show, change, fund."""
    routes = Routes(prefix="/api/wallets", tags=["wallets"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.post("", status_code=201, summary="Make a wallet", responses=refusals(400, 409))
    async def create(
        principal: caller, order: NewWallet, response: Response, idempotency_key: IdempotencyKey = None
    ) -> WalletAnswer:
        made = await service.create(
            principal,
            WalletOrder(
                name=order.name,
                nano_usd=nano_usd(order.credits),
                unlimited=order.unlimited,
                owner_kind=order.owner_kind,
                owner_id=order.owner_id,
                call_ceiling_nano_usd=None if order.call_ceiling is None else nano_usd(order.call_ceiling),
            ),
            idempotency_key=idempotency_key,
        )
        return _tagged(made, response)

    @routes.get("", summary="List the team's wallets", responses=refusals())
    async def listing(principal: caller, limit: Limit = 50, cursor: Cursor = None) -> WalletList:
        found, after = await service.page(principal, limit=limit, cursor=cursor)
        return WalletList(items=tuple(_answer(one) for one in found), next_cursor=after)

    @routes.get("/{wallet_id}", summary="Show a wallet", responses=refusals(404))
    async def show(principal: caller, wallet_id: IdInPath, response: Response) -> WalletAnswer:
        return _tagged(await service.get(principal, wallet_id), response)

    @routes.patch("/{wallet_id}", summary="Change a wallet", responses=refusals(400, 404, 409, 412))
    async def change(
        principal: caller, wallet_id: IdInPath, patch: WalletPatch, response: Response, if_match: IfMatch = None
    ) -> WalletAnswer:
        changed = await service.change(principal, wallet_id, patch.change(), expected=expected_revision(if_match))
        return _tagged(changed, response)

    @routes.post("/{wallet_id}/credits", summary="Put credits into a wallet", responses=refusals(400, 404, 409))
    async def fund(
        principal: caller,
        wallet_id: IdInPath,
        more: MoreCredits,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> WalletAnswer:
        """Send an ``Idempotency-Key``, and a request that is repeated adds once. Only credits that no process holds can be
        taken out."""
        funded = await service.add_credits(
            principal, wallet_id, nano_usd(more.credits), idempotency_key=idempotency_key
        )
        return _tagged(funded, response)

    return routes


def _tagged(wallet: Wallet, response: Response) -> WalletAnswer:
    tag(response, wallet.revision)
    return _answer(wallet)


def _answer(wallet: Wallet) -> WalletAnswer:
    free = max(0, wallet.balance_nano_usd - wallet.leased_nano_usd)
    ceiling = wallet.call_ceiling_nano_usd
    return WalletAnswer(
        id=wallet.id,
        name=wallet.name,
        balance=credits_text(wallet.balance_nano_usd),
        held=credits_text(wallet.leased_nano_usd),
        available=None if wallet.unlimited else credits_text(free),
        spent=credits_text(wallet.spent_nano_usd),
        unlimited=wallet.unlimited,
        owner_kind=wallet.owner_kind,
        owner_id=wallet.owner_id,
        call_ceiling=None if ceiling is None else credits_text(ceiling),
        revision=wallet.revision,
        created_at=wallet.created_at,
    )
