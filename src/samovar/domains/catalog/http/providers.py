"""``/api/providers``. Keys are write-only: an answer carries the hint alone."""

from typing import Annotated, Self

from fastapi import Depends, Path, Response
from msgspec import UNSET
from pydantic import BaseModel, ConfigDict, Field, model_validator

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
from samovar.domains.catalog.model import MAX_NAME_CHARS, ProviderInfo, ProviderSource
from samovar.domains.catalog.service import CatalogService, ProviderChange
from samovar.domains.catalog.service.providers import MAX_KEY_CHARS, MAX_KEYS, MAX_PROVIDER_MODELS, MAX_URL_CHARS
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$",
        description="What stands before the slash in its models' ids.",
        examples=["openai"],
    ),
]
BaseUrl = Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARS, examples=["https://api.openai.com/v1"])]
ProviderKey = Annotated[
    str,
    Field(min_length=1, max_length=MAX_KEY_CHARS, description="Kept sealed and never shown again."),
]
ModelNames = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)], ...],
    Field(
        max_length=MAX_PROVIDER_MODELS,
        description="The vendor's names of the only models it serves; null for whatever the vendor has.",
    ),
]


class Keyed(BaseModel):
    """What brings a provider's key, or several of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_key: Annotated[ProviderKey | None, Field(repr=False, description="null is none.")] = None
    api_keys: Annotated[
        tuple[ProviderKey, ...] | None,
        Field(max_length=MAX_KEYS, repr=False, description="Several, which take turns; instead of `api_key`."),
    ] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.api_key is not None and self.api_keys is not None:
            raise ValueError("send api_key or api_keys, not both")
        return self

    def keys(self) -> tuple[str, ...]:
        """All of them."""
        return (self.api_key,) if self.api_key is not None else self.api_keys or ()


class ProviderOrder(Keyed):
    """The provider that is wanted."""

    name: Name
    vendor: Annotated[str, Field(min_length=1, max_length=64, examples=["openai"])]
    base_url: Annotated[BaseUrl | None, Field(description="null for the vendor's own.")] = None
    models: ModelNames | None = None
    enabled: bool = True


class ProviderPatch(Keyed):
    """What to change; what is left out stays."""

    base_url: Annotated[
        BaseUrl | None, Field(description="null for the vendor's own. On another server, send `api_key` with it.")
    ] = None
    models: ModelNames | None = None
    enabled: Annotated[bool | None, Field(description="null leaves it as it is.")] = None

    def change(self) -> ProviderChange:
        """Only what was sent."""
        sent = self.model_fields_set
        return ProviderChange(
            base_url=self.base_url if "base_url" in sent else UNSET,
            api_keys=self.keys() if {"api_key", "api_keys"} & sent else UNSET,
            models=self.models if "models" in sent else UNSET,
            enabled=UNSET if self.enabled is None else self.enabled,
        )


class ProviderAnswer(BaseModel):
    """A provider. ``key_hint`` is the end of its first key, ``null`` where it has none; ``key_hints`` those of all."""

    id: str
    name: str
    vendor: str
    base_url: str
    source: ProviderSource
    models: tuple[str, ...] | None
    enabled: bool
    key_hint: str | None
    key_hints: tuple[str, ...]
    revision: int


class ProviderList(BaseModel):
    """By name; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[ProviderAnswer, ...]
    next_cursor: str | None


class DiscoveredModels(BaseModel):
    """What the provider lists. Nothing is stored: PATCH the provider's ``models`` to keep some."""

    models: tuple[str, ...]


def _answer(provider: ProviderInfo) -> ProviderAnswer:
    return ProviderAnswer(
        id=provider.id,
        name=provider.name,
        vendor=provider.vendor,
        base_url=provider.base_url,
        source=provider.source,
        models=provider.models,
        enabled=provider.enabled,
        key_hint=provider.key_hint,
        key_hints=provider.key_hints,
        revision=provider.revision,
    )


def router(*, service: CatalogService, authenticate: Authenticate) -> Routes:
    """Create, list, show, change, delete, discover."""
    routes = Routes(prefix="/api/providers", tags=["providers"])
    caller = Annotated[Principal, Depends(authenticate)]
    provider_id_in_path = Annotated[str, Path(max_length=128)]

    @routes.post("", status_code=201, summary="Add a provider", responses=refusals(400, 409))
    async def create(principal: caller, order: ProviderOrder, response: Response) -> ProviderAnswer:
        """One with the name of a provider from the environment takes its place."""
        made = await service.providers.create(
            principal,
            name=order.name,
            vendor=order.vendor,
            base_url=order.base_url,
            api_keys=order.keys(),
            models=order.models,
            enabled=order.enabled,
        )
        tag(response, made.revision)
        return _answer(made)

    @routes.get("", summary="List the team's providers", responses=refusals())
    async def listing(principal: caller, limit: Limit = 50, cursor: Cursor = None) -> ProviderList:
        found = await service.providers.list(principal)
        chosen, after = page(found, key=lambda one: one.name, limit=limit, cursor=cursor)
        return ProviderList(items=tuple(_answer(one) for one in chosen), next_cursor=after)

    @routes.get("/{provider_id}", summary="Show a provider", responses=refusals(404))
    async def show(principal: caller, provider_id: provider_id_in_path, response: Response) -> ProviderAnswer:
        found = await service.providers.get(principal, provider_id)
        tag(response, found.revision)
        return _answer(found)

    @routes.patch("/{provider_id}", summary="Change a provider", responses=refusals(400, 404, 409, 412))
    async def change(
        principal: caller,
        provider_id: provider_id_in_path,
        patch: ProviderPatch,
        response: Response,
        if_match: IfMatch = None,
    ) -> ProviderAnswer:
        changed = await service.providers.change(
            principal, provider_id, patch.change(), expected=expected_revision(if_match)
        )
        tag(response, changed.revision)
        return _answer(changed)

    @routes.delete("/{provider_id}", status_code=204, summary="Delete a provider", responses=refusals(404, 409))
    async def delete(principal: caller, provider_id: provider_id_in_path) -> None:
        await service.providers.delete(principal, provider_id)

    @routes.post("/{provider_id}/discover", summary="Ask a provider for its models", responses=refusals(404, 502, 504))
    async def discover(principal: caller, provider_id: provider_id_in_path) -> DiscoveredModels:
        return DiscoveredModels(models=tuple(await service.providers.discover(principal, provider_id)))

    return routes
