"""The reads that people ask for now and then: versions, history, differences; and a prompt filled."""

import re
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Query, Response

from samovar.domains.prompts.errors import BadPrompt
from samovar.domains.prompts.http.bodies import RenderOrder
from samovar.domains.prompts.http.conventions import Cursor, IdInPath, Limit, answers, refusals
from samovar.domains.prompts.http.writer import Authenticate
from samovar.domains.prompts.model import MAX_ID, Comparison, HistoryPage, PromptPage
from samovar.domains.prompts.service import Filled, PromptReads
from samovar.kernel.errors import Flaw
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes

_AGAINST: Final = r"^(revision:[0-9]{1,9}|[0-9]{1,19})$"
_MOST_REVISIONS: Final = 2**31 - 1
Against = Annotated[
    str | None,
    Query(
        pattern=_AGAINST,
        description="The id of another version, or `revision:` and the number of a former text of this one. Left out: the last"
        " former text.",
        examples=["revision:1"],
    ),
]


def add(routes: Routes, reads: PromptReads, authenticate: Authenticate) -> None:
    """Add them to the routes of prompts."""
    who = Annotated[Principal, Depends(authenticate)]

    @routes.get(
        "/{prompt_id}/versions",
        summary="List the versions of a prompt",
        responses={**refusals(400, 404), **answers(PromptPage)},
    )
    async def versions(principal: who, prompt_id: IdInPath, limit: Limit = 50, cursor: Cursor = None) -> Response:
        """Of the one that this is a version of, the newest first."""
        return _json(await reads.versions(principal, prompt_id, limit=limit, cursor=cursor))

    @routes.get(
        "/{prompt_id}/history",
        summary="List the former texts of a version",
        responses={**refusals(400, 404), **answers(HistoryPage)},
    )
    async def history(principal: who, prompt_id: IdInPath, limit: Limit = 50, cursor: Cursor = None) -> Response:
        """The newest first; the last 500 are kept."""
        return _json(await reads.history(principal, prompt_id, limit=limit, cursor=cursor))

    @routes.get(
        "/{prompt_id}/diff",
        summary="Show what changed up to this version's text",
        responses={**refusals(400, 404), **answers(Comparison)},
    )
    async def diff(principal: who, prompt_id: IdInPath, against: Against = None) -> Response:
        against_id, revision = _meant(against)
        return _json(await reads.diff(principal, prompt_id, against_id=against_id, revision=revision))

    @routes.post(
        "/{prompt_id}/render",
        summary="Fill a version's variables",
        responses={**refusals(400, 404, 409), **answers(Filled)},
    )
    async def render(principal: who, prompt_id: IdInPath, body: RenderOrder | None = None) -> Response:
        """Reads only: neither the limit on writes nor nonces concern it."""
        values = {} if body is None else body.variables
        return _json(await reads.render(principal, prompt_id, values))


def _meant(against: str | None) -> tuple[int | None, int | None]:
    if against is None:
        return None, None
    word, _, number = against.rpartition(":")
    value = int(re.sub("[^0-9]", "", number))
    if not 1 <= value <= (_MOST_REVISIONS if word else MAX_ID):
        raise BadPrompt([Flaw("against", "is neither an id nor a revision that there can be")])
    return (None, value) if word else (value, None)


def _json(answer: Any) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
