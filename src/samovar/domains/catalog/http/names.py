"""``/api/aliases`` and ``/api/groups``: the team's own names for models."""

from typing import Annotated

from fastapi import Depends, Path, Response
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
from samovar.domains.catalog.model import MAX_GROUP_MODELS, MAX_WEIGHT, Alias, Group, Strategy
from samovar.domains.catalog.service import CatalogService
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes, join

ModelId = Annotated[
    str, Field(min_length=3, max_length=320, description="A full id, never an alias.", examples=["openai/gpt-5"])
]


class AliasBody(BaseModel):
    """What an alias stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: ModelId


class AliasAnswer(AliasBody):
    """An alias."""

    name: str
    revision: int


class AliasList(BaseModel):
    """By name; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[AliasAnswer, ...]
    next_cursor: str | None


class GroupBody(BaseModel):
    """What a group stands for: these models, ranked for each call by `strategy`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_ids: Annotated[tuple[ModelId, ...], Field(min_length=1, max_length=MAX_GROUP_MODELS)]
    strategy: Annotated[
        Strategy, Field(description="`order`: as they stand. A call may ask for another as `<group>:<strategy>`.")
    ] = Strategy.ORDER
    weights: Annotated[
        dict[ModelId, Annotated[int, Field(ge=0, le=MAX_WEIGHT)]],
        Field(
            max_length=MAX_GROUP_MODELS,
            description="For `weighted`: shares of the calls. A member that is left out weighs 1; 0 is a reserve.",
        ),
    ] = {}


class GroupAnswer(GroupBody):
    """A group."""

    name: str
    revision: int


class GroupList(BaseModel):
    """By name; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[GroupAnswer, ...]
    next_cursor: str | None


def _alias(alias: Alias) -> AliasAnswer:
    return AliasAnswer(name=alias.name, model_id=alias.model_id, revision=alias.revision)


def _group(group: Group) -> GroupAnswer:
    return GroupAnswer(
        name=group.name,
        model_ids=group.model_ids,
        strategy=group.strategy,
        weights=dict(group.weights),
        revision=group.revision,
    )


NameInPath = Annotated[str, Path(min_length=1, max_length=128)]


def router(*, service: CatalogService, authenticate: Authenticate) -> Routes:
    """List, set and delete, for both."""
    routes = Routes()
    join(routes, _aliases(service, authenticate))
    join(routes, _groups(service, authenticate))
    return routes


def _aliases(service: CatalogService, authenticate: Authenticate) -> Routes:
    routes = Routes(prefix="/api/aliases", tags=["models"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="List the team's aliases", responses=refusals())
    async def listing(principal: caller, limit: Limit = 50, cursor: Cursor = None) -> AliasList:
        found = await service.entries.aliases(principal)
        chosen, after = page(found, key=lambda alias: alias.name, limit=limit, cursor=cursor)
        return AliasList(items=tuple(_alias(alias) for alias in chosen), next_cursor=after)

    @routes.put("/{name}", summary="Give a model another name", responses=refusals(400, 409, 412))
    async def put(
        principal: caller, name: NameInPath, body: AliasBody, response: Response, if_match: IfMatch = None
    ) -> AliasAnswer:
        """It comes before a bare model name of the same spelling."""
        made = await service.entries.put_alias(
            principal, name, model_id=body.model_id, expected=expected_revision(if_match)
        )
        tag(response, made.revision)
        return _alias(made)

    @routes.delete("/{name}", status_code=204, summary="Delete an alias", responses=refusals(404))
    async def delete(principal: caller, name: NameInPath) -> None:
        await service.entries.delete_alias(principal, name)

    return routes


def _groups(service: CatalogService, authenticate: Authenticate) -> Routes:
    routes = Routes(prefix="/api/groups", tags=["models"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="List the team's groups", responses=refusals())
    async def listing(principal: caller, limit: Limit = 50, cursor: Cursor = None) -> GroupList:
        found = await service.entries.groups(principal)
        chosen, after = page(found, key=lambda group: group.name, limit=limit, cursor=cursor)
        return GroupList(items=tuple(_group(group) for group in chosen), next_cursor=after)

    @routes.put("/{name}", summary="Name several models, in order", responses=refusals(400, 409, 412))
    async def put(
        principal: caller, name: NameInPath, body: GroupBody, response: Response, if_match: IfMatch = None
    ) -> GroupAnswer:
        """A call to the name tries them as `strategy` ranks them: by default in this order."""
        made = await service.entries.put_group(
            principal,
            name,
            model_ids=body.model_ids,
            strategy=body.strategy,
            weights=body.weights,
            expected=expected_revision(if_match),
        )
        tag(response, made.revision)
        return _group(made)

    @routes.delete("/{name}", status_code=204, summary="Delete a group", responses=refusals(404))
    async def delete(principal: caller, name: NameInPath) -> None:
        await service.entries.delete_group(principal, name)

    return routes
