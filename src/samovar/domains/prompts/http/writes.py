"""``/v1/prompts``: what is written, and the reads that people ask for."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Query, Response

from samovar.domains.prompts.errors import PromptNotFound
from samovar.domains.prompts.http import looking
from samovar.domains.prompts.http.bodies import NewPrompt, NewVersion, PromptPut, RestoreOrder
from samovar.domains.prompts.http.conventions import PREFIX, IdInPath, IfMatch, LabelInPath, answers, expected, refusals
from samovar.domains.prompts.http.writer import Authenticate
from samovar.domains.prompts.model import Prompt
from samovar.domains.prompts.service import PromptReads, PromptWrites
from samovar.kernel.principal import Principal
from samovar.ports.revisions import etag
from samovar.ports.routes import Routes

Writer = Callable[..., Awaitable[Principal]]


def router(*, reads: PromptReads, writes: PromptWrites, authenticate: Authenticate, writer: Writer) -> Routes:
    """All but the raw reads."""
    routes = Routes(prefix=PREFIX, tags=["prompts"], default_response_class=Response)
    _making(routes, writes, writer)
    _changing(routes, writes, writer)
    _pointing(routes, writes, writer)
    looking.add(routes, reads, authenticate)
    return routes


def nowhere_router() -> Routes:
    """For what no id can be. To be included after everything else below ``/v1/prompts``."""
    routes = Routes()

    @routes.get(f"{PREFIX}/{{word}}", include_in_schema=False)
    async def nothing(word: str) -> None:
        raise PromptNotFound(
            f"{word[:40]!r} is no id of a prompt: ids are whole numbers. GET /v1/prompts?name= finds by name."
        )

    return routes


def _making(routes: Routes, service: PromptWrites, writer: Writer) -> None:
    who = Annotated[Principal, Depends(writer)]

    @routes.post(
        "",
        status_code=201,
        summary="Make a version of a prompt",
        responses={**refusals(400, 409), **_prompt(201, "The version, which is there now.")},
    )
    async def create(principal: who, body: NewPrompt) -> Response:
        return _told(await service.create(principal, body.draft()), 201)

    @routes.post(
        "/{prompt_id}/versions",
        status_code=201,
        summary="Make the next version",
        responses={**refusals(400, 404, 409), **_prompt(201, "The new version.")},
    )
    async def new_version(principal: who, prompt_id: IdInPath, body: NewVersion) -> Response:
        return _told(await service.new_version(principal, prompt_id, body.change(), body.pointing()), 201)


def _changing(routes: Routes, service: PromptWrites, writer: Writer) -> None:
    who = Annotated[Principal, Depends(writer)]

    @routes.put(
        "/{prompt_id}",
        summary="Change a version",
        responses={**refusals(400, 404, 409, 412), **_prompt()},
    )
    async def change(principal: who, prompt_id: IdInPath, body: PromptPut, if_match: IfMatch = None) -> Response:
        """It keeps its id and its version; a former text goes into its history."""
        seen = expected(prompt_id, if_match)
        return _told(await service.update(principal, prompt_id, body.change(), expected=seen))

    @routes.post(
        "/{prompt_id}/restore",
        summary="Go back to a former text",
        responses={**refusals(400, 404, 409, 412), **_prompt()},
    )
    async def restore(principal: who, prompt_id: IdInPath, body: RestoreOrder, if_match: IfMatch = None) -> Response:
        """The text that there was until now goes into the history in its turn."""
        seen = expected(prompt_id, if_match)
        return _told(await service.restore(principal, prompt_id, revision=body.revision, expected=seen))

    @routes.delete("/{prompt_id}", status_code=204, summary="Delete a version", responses=refusals(400, 404, 409, 412))
    async def delete(
        principal: who,
        prompt_id: IdInPath,
        if_match: IfMatch = None,
        force: Annotated[
            bool, Query(description="Delete it although it is the default or has labels, which are gone with it.")
        ] = False,
    ) -> Response:
        """With its history. One that is the default, or that labels point to, is refused with 409."""
        await service.delete(principal, prompt_id, expected=expected(prompt_id, if_match), force=force)
        return Response(status_code=204)


def _pointing(routes: Routes, service: PromptWrites, writer: Writer) -> None:
    who = Annotated[Principal, Depends(writer)]

    @routes.put(
        "/{prompt_id}/default",
        summary="Make a version the default of its namespace and language",
        responses={**refusals(400, 404, 409, 412), **_prompt()},
    )
    async def set_default(principal: who, prompt_id: IdInPath, if_match: IfMatch = None) -> Response:
        """In the place of the one that was. An inactive version is refused with 409."""
        return _told(await service.set_default(principal, prompt_id, expected=expected(prompt_id, if_match)))

    @routes.delete(
        "/{prompt_id}/default",
        summary="Let there be no default",
        responses={**refusals(400, 404, 409, 412), **_prompt()},
    )
    async def clear_default(principal: who, prompt_id: IdInPath, if_match: IfMatch = None) -> Response:
        """Where this version is it."""
        return _told(await service.clear_default(principal, prompt_id, expected=expected(prompt_id, if_match)))

    @routes.put(
        "/{prompt_id}/labels/{label}",
        summary="Move a label of the prompt to this version",
        responses={**refusals(400, 404, 409, 412), **_prompt()},
    )
    async def set_label(principal: who, prompt_id: IdInPath, label: LabelInPath, if_match: IfMatch = None) -> Response:
        """A prompt is used by `production` where nobody says otherwise, and where there is no such label by its newest active
        version."""
        return _told(await service.set_label(principal, prompt_id, label, expected=expected(prompt_id, if_match)))

    @routes.delete(
        "/{prompt_id}/labels/{label}",
        summary="Take a label away from this version",
        responses={**refusals(400, 404, 409, 412), **_prompt()},
    )
    async def drop_label(principal: who, prompt_id: IdInPath, label: LabelInPath, if_match: IfMatch = None) -> Response:
        return _told(await service.drop_label(principal, prompt_id, label, expected=expected(prompt_id, if_match)))


def _prompt(status: int = 200, words: str = "The version as it is now.") -> dict[int | str, dict[str, Any]]:
    found = answers(Prompt, status, words)
    found[status]["headers"] = {"etag": {"description": "Its revision.", "schema": {"type": "string"}}}
    return found


def _told(prompt: Prompt, status: int = 200) -> Response:
    headers = {"ETag": etag(prompt.revision)}
    if status == 201:
        headers["Location"] = f"{PREFIX}/{prompt.id}"
    return Response(msgspec.json.encode(prompt), status, headers, media_type="application/json")
