"""``/api/models``: what the caller may use, with abilities and prices, and what an admin says of a model."""

from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.catalog.http.conventions import (
    Authenticate,
    Cursor,
    IfMatch,
    Limit,
    expected_revision,
    page,
    refusals,
    tag,
)
from samovar.domains.catalog.model import MAX_QUALITY, Ability, Model, Override, PriceCard, Rates, Sheet, Tier
from samovar.domains.catalog.service import CatalogService
from samovar.kernel.money import NANO_USD_PER_USD
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes

# What an admin may say: to a nano-dollar, and no more than a slip of the finger would be.
Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=9, examples=["1.25"])]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]


class RatesBody(BaseModel):
    """US dollars for a million tokens; ``request`` and ``web_search``: for one. ``null`` is unknown, ``0`` is free."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Usd | None = None
    cached_input: Usd | None = None
    cache_write: Usd | None = None
    cache_write_1h: Usd | None = None
    audio_input: Usd | None = None
    image_input: Usd | None = None
    output: Usd | None = None
    reasoning: Usd | None = None
    audio_output: Usd | None = None
    image_output: Usd | None = None
    request: Usd | None = None
    web_search: Usd | None = None

    def rates(self) -> Rates:
        """As whole nano-dollars."""
        amounts = {kind: getattr(self, kind) for kind in Rates.__struct_fields__}
        return Rates(
            **{kind: None if amount is None else int(amount * NANO_USD_PER_USD) for kind, amount in amounts.items()}
        )

    @classmethod
    def of(cls, rates: Rates) -> "RatesBody":
        """As dollars, without trailing zeros."""
        return cls(
            **{
                kind: None if amount is None else _dollars(amount)
                for kind in Rates.__struct_fields__
                for amount in (getattr(rates, kind),)
            }
        )


class TierBody(BaseModel):
    """``rates`` for all tokens of a call with more than ``over_input_tokens``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    over_input_tokens: Tokens
    rates: RatesBody


class SheetBody(BaseModel):
    """Prices that hold now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rates: RatesBody
    tiers: Annotated[tuple[TierBody, ...], Field(max_length=8, description="Ascending.")] = ()

    @classmethod
    def of(cls, sheet: Sheet) -> "SheetBody":
        """As it is answered."""
        tiers = (TierBody(over_input_tokens=tier.over, rates=RatesBody.of(tier.rates)) for tier in sheet.tiers)
        return cls(rates=RatesBody.of(sheet.rates), tiers=tuple(tiers))


class PriceAnswer(BaseModel):
    """``source`` says whose figures these are. ``service_tiers`` are under the vendor's word for them."""

    source: str
    standard: SheetBody
    service_tiers: dict[str, SheetBody]


class ModelAnswer(BaseModel):
    """A model. What is ``null`` is unknown, never none: of ``abilities`` an empty list means "nothing but text"."""

    id: str
    provider: str
    name: str
    title: str | None
    context_window: int | None
    max_output_tokens: int | None
    abilities: tuple[Ability, ...] | None
    price: PriceAnswer | None
    deprecated: bool
    quality: int | None


class ModelList(BaseModel):
    """By id; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[ModelAnswer, ...]
    next_cursor: str | None


class OverrideBody(BaseModel):
    """What the admin knows better; ``null`` leaves the snapshot's word. It replaces the former override as a whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_window: Tokens | None = None
    max_output_tokens: Tokens | None = None
    abilities: Annotated[frozenset[Ability] | None, Field(max_length=len(Ability))] = None
    price: Annotated[SheetBody | None, Field(description="Stands alone: nothing of the snapshot's is kept.")] = None
    quality: Annotated[
        int | None, Field(ge=0, le=MAX_QUALITY, description="What the strategies `quality` and `balanced` go by.")
    ] = None


class OverrideAnswer(OverrideBody):
    """An override as it is stored."""

    model_id: str
    revision: int


def _dollars(nano_usd: int) -> Decimal:
    whole = Decimal(nano_usd) / NANO_USD_PER_USD
    return Decimal(f"{whole:f}".rstrip("0").rstrip(".") if whole % 1 else f"{int(whole)}")


def _answer(service: CatalogService, model: Model) -> ModelAnswer:
    return ModelAnswer(
        id=model.id,
        provider=model.provider,
        name=model.name,
        title=model.title,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        abilities=None if model.abilities is None else tuple(sorted(model.abilities)),
        price=None if model.price is None else _price(service, model.price),
        deprecated=model.deprecated,
        quality=model.quality,
    )


def _price(service: CatalogService, card: PriceCard) -> PriceAnswer:
    now = {name: SheetBody.of(sheet) for name, sheet in service.prices_now(card).items()}
    return PriceAnswer(source=card.source, standard=now.pop("standard"), service_tiers=now)


def _sheet(body: SheetBody) -> Sheet:
    tiers = sorted(body.tiers, key=lambda tier: tier.over_input_tokens)
    return Sheet(
        rates=body.rates.rates(),
        tiers=tuple(Tier(over=tier.over_input_tokens, rates=tier.rates.rates()) for tier in tiers),
    )


def _override_answer(found: Override) -> OverrideAnswer:
    return OverrideAnswer(
        model_id=found.model_id,
        context_window=found.context_window,
        max_output_tokens=found.max_output_tokens,
        abilities=found.abilities,
        price=None if found.price is None else SheetBody.of(found.price.sheets[0]),
        quality=found.quality,
        revision=found.revision,
    )


def router(*, service: CatalogService, authenticate: Authenticate) -> Routes:
    """List; show, set and drop an override."""
    routes = Routes(prefix="/api/models", tags=["models"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="List the models you may use", responses=refusals())
    async def listing(
        principal: caller,
        limit: Limit = 50,
        cursor: Cursor = None,
        provider: Annotated[str | None, Query(max_length=64, description="Only this provider's.")] = None,
        q: Annotated[str | None, Query(max_length=100, description="Part of an id, in any case.")] = None,
    ) -> ModelList:
        found = service.visible(principal)
        if provider is not None:
            found = [model for model in found if model.provider == provider]
        if q:
            found = [model for model in found if q.lower() in model.id.lower()]
        chosen, after = page(found, key=lambda model: model.id, limit=limit, cursor=cursor)
        return ModelList(items=tuple(_answer(service, model) for model in chosen), next_cursor=after)

    _overrides(routes, service, authenticate)
    return routes


def _overrides(routes: Routes, service: CatalogService, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]
    model_id_in_path = Annotated[
        str, Path(max_length=400, description="The full id, its slashes as they are.", examples=["openai/gpt-5"])
    ]

    @routes.get("/{model_id:path}/override", summary="Show what is overridden of a model", responses=refusals(404))
    async def show(principal: caller, model_id: model_id_in_path, response: Response) -> OverrideAnswer:
        found = await service.entries.override(principal, model_id)
        tag(response, found.revision)
        return _override_answer(found)

    @routes.put("/{model_id:path}/override", summary="Override a model's figures", responses=refusals(400, 409, 412))
    async def put(
        principal: caller,
        model_id: model_id_in_path,
        body: OverrideBody,
        response: Response,
        if_match: IfMatch = None,
    ) -> OverrideAnswer:
        made = await service.entries.put_override(
            principal,
            model_id,
            context_window=body.context_window,
            max_output_tokens=body.max_output_tokens,
            abilities=body.abilities,
            price=None if body.price is None else _sheet(body.price),
            quality=body.quality,
            expected=expected_revision(if_match),
        )
        tag(response, made.revision)
        return _override_answer(made)

    @routes.delete(
        "/{model_id:path}/override",
        status_code=204,
        summary="Go back to the snapshot's figures",
        responses=refusals(404),
    )
    async def delete(principal: caller, model_id: model_id_in_path) -> None:
        await service.entries.delete_override(principal, model_id)
