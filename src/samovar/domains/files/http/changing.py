"""``PATCH`` and ``DELETE`` of a file, and its links."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Body, Depends, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.files.http.conventions import (
    Authenticate,
    FileIdInPath,
    IfMatch,
    answers,
    refusals,
    told_file,
)
from samovar.domains.files.http.later import QUEUED, IdempotencyKey, Prefer, or_later
from samovar.domains.files.http.upload import PREFIX
from samovar.domains.files.model.later import Doing
from samovar.domains.files.model.links import DEFAULT_LINK_S, MAX_LINK_S, MIN_LINK_S, Disposition, Link
from samovar.domains.files.model.names import MAX_FILENAME_BYTES
from samovar.domains.files.model.records import FileAnswer
from samovar.domains.files.model.rules import MAX_CUSTOM, MAX_CUSTOM_VALUE_CHARS, MAX_TAG_CHARS, MAX_TAGS
from samovar.domains.files.service import Amendment, Change, FileChanges, FileLinks, WaitingChanges
from samovar.kernel.principal import Principal
from samovar.kernel.time import rfc3339
from samovar.ports.revisions import expected_revision
from samovar.ports.routes import Routes

Value = Annotated[str, Field(max_length=MAX_CUSTOM_VALUE_CHARS)] | int | float | bool | None


class FilePatch(BaseModel):
    """What to say otherwise; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    filename: Annotated[str | None, Field(min_length=1, max_length=MAX_FILENAME_BYTES)] = None
    tags: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS)]] | None,
        Field(max_length=MAX_TAGS, description="All of them, in the place of those there are."),
    ] = None
    attributes: Annotated[
        dict[str, Value] | None,
        Field(max_length=MAX_CUSTOM, description="Each is set, or taken away where it is null (RFC 7396)."),
    ] = None


class LinkOrder(BaseModel):
    """What the link is to be."""

    model_config = ConfigDict(extra="forbid")

    ttl_s: Annotated[int, Field(ge=MIN_LINK_S, le=MAX_LINK_S, description="It ends after so many seconds.")] = (
        DEFAULT_LINK_S
    )
    disposition: Disposition = Disposition.ATTACHMENT


class LinkAnswer(BaseModel):
    """A link as it stands."""

    id: str
    file_id: str
    disposition: Disposition
    created_at: str
    expires_at: str
    revoked_at: str | None


class MadeLinkAnswer(LinkAnswer):
    """A link that was just made. What opens it can be read this once."""

    link: Annotated[str, Field(description="For `?link=`.")]
    url: Annotated[str, Field(description="The address, below that of Samovar.")]


class LinkList(BaseModel):
    """The newest links of a file."""

    items: list[LinkAnswer]


def add(routes: Routes, changes: FileChanges, later: WaitingChanges, authenticate: Authenticate) -> None:
    """Changes of one file."""
    who = Annotated[Principal, Depends(authenticate)]

    @routes.patch(
        "/{file_id}",
        summary="Say something else of a file",
        responses={**refusals(400, 404, 409, 412), **answers(FileAnswer, words="The file as it is now."), **QUEUED},
    )
    async def amend(
        principal: who,
        file_id: FileIdInPath,
        body: Annotated[FilePatch, Body(examples=[{"tags": ["report"], "attributes": {"project": "apollo"}}])],
        if_match: IfMatch = None,
        prefer: Prefer = None,
        _once: IdempotencyKey = None,
    ) -> Response:
        """Its name, tags or attributes. The content never changes."""
        amendment = Amendment(
            filename=body.filename, tags=None if body.tags is None else tuple(body.tags), custom=body.attributes
        )
        expected = expected_revision(if_match)

        async def now() -> Response:
            return told_file(await changes.amend(principal, file_id, amendment, expected=expected))

        change = Change(doing=Doing.AMEND, amendment=amendment, expected=expected)
        return await or_later(change, now=now, later=later, principal=principal, file_id=file_id, prefer=prefer)

    @routes.delete(
        "/{file_id}", status_code=204, summary="Delete a file", responses={**refusals(400, 404, 409, 412), **QUEUED}
    )
    async def delete(
        principal: who,
        file_id: FileIdInPath,
        if_match: IfMatch = None,
        prefer: Prefer = None,
        _once: IdempotencyKey = None,
    ) -> Response:
        """For good, with all its copies and links. Only an element in mode `edit` deletes."""
        expected = expected_revision(if_match)

        async def now() -> Response:
            await changes.delete(principal, file_id, expected=expected)
            return Response(status_code=204)

        change = Change(doing=Doing.DELETE, expected=expected)
        return await or_later(change, now=now, later=later, principal=principal, file_id=file_id, prefer=prefer)


def add_links(routes: Routes, links: FileLinks, authenticate: Authenticate) -> None:
    """Links of one file."""
    who = Annotated[Principal, Depends(authenticate)]

    @routes.post(
        "/{file_id}/links",
        status_code=201,
        summary="Make a link to a file",
        responses=refusals(400, 404),
        response_class=JSONResponse,
    )
    async def make(
        principal: who, file_id: FileIdInPath, response: Response, body: LinkOrder | None = None
    ) -> MadeLinkAnswer:
        """It opens this file's content, and nothing else, to whoever has it, until it ends or is revoked."""
        order = body or LinkOrder()
        made = await links.make(principal, file_id, ttl_s=order.ttl_s, disposition=order.disposition)
        response.headers["Location"] = f"{PREFIX}/{file_id}/links/{made.link.id}"
        url = f"{PREFIX}/{file_id}/content?link={made.token}"
        return MadeLinkAnswer(**_told(made.link), link=made.token, url=url)

    @routes.get(
        "/{file_id}/links",
        summary="List the links to a file",
        responses=refusals(404),
        response_class=JSONResponse,
    )
    async def listed(principal: who, file_id: FileIdInPath) -> LinkList:
        """The newest hundred, those that are over included. What opens them is not kept."""
        return LinkList(items=[LinkAnswer(**_told(link)) for link in await links.of_file(principal, file_id)])

    @routes.delete(
        "/{file_id}/links/{link_id}", status_code=204, summary="Revoke a link to a file", responses=refusals(404)
    )
    async def revoke(principal: who, file_id: FileIdInPath, link_id: str) -> Response:
        """It opens nothing from now on."""
        await links.revoke(principal, file_id, link_id)
        return Response(status_code=204)


def _told(link: Link) -> dict[str, Any]:
    return {
        "id": link.id,
        "file_id": link.file_id,
        "disposition": link.disposition,
        "created_at": rfc3339(link.created_at),
        "expires_at": rfc3339(link.expires_at),
        "revoked_at": _written(link.revoked_at),
    }


def _written(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
