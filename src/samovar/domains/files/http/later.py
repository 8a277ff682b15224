"""``Prefer: respond-async`` (RFC 7240): a change whose element is away is taken, and made when it is back."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Header, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from samovar.domains.files.errors import NoElement
from samovar.domains.files.http.conventions import Authenticate, FileIdInPath, refusals
from samovar.domains.files.http.upload import PREFIX
from samovar.domains.files.model.later import Doing, WaitingChange, WaitingState
from samovar.domains.files.service import Change, WaitingChanges
from samovar.kernel.principal import Principal
from samovar.ports.elements import ElementUnavailable
from samovar.ports.routes import Routes

JOB_HEADER: Final = "X-Job-Id"
ASYNC: Final = "respond-async"
_ASK_AGAIN_S: Final = 5

Prefer = Annotated[
    list[str] | None,
    Header(
        description="`respond-async`: where the file's storage element is away the change is written down, answered with"
        " `202`, and made when the element is back. It changes nothing where the element answers (RFC 7240)."
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="With `Prefer: respond-async`: sent again, the first answer is given."),
]


class WaitingAnswer(BaseModel):
    """A change that waits for its storage element. `reason` says why it waits, or why it was refused: the code of the refusal
    and its words. At `until` it is given up."""

    id: str
    file_id: str
    change: Doing
    state: WaitingState
    reason: str | None
    taken_at: datetime
    until: datetime
    ended_at: datetime | None


QUEUED: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "model": WaitingAnswer,
        "description": "With `Prefer: respond-async`, its element being away: the change waits; `Location` says how it stands.",
    }
}


async def or_later(
    change: Change,
    *,
    now: Callable[[], Awaitable[Response]],
    later: WaitingChanges,
    principal: Principal,
    file_id: str,
    prefer: list[str] | None,
) -> Response:
    """Do it ``now``; where the element is away and the caller prefers that to a refusal, later."""
    try:
        return await now()
    except (ElementUnavailable, NoElement) as refusal:
        if not _prefers_async(prefer):
            raise
        return _taken(await later.take(principal, file_id, change, refusal))


def add(routes: Routes, later: WaitingChanges, authenticate: Authenticate) -> None:
    """How a change stands that was taken."""
    who = Annotated[Principal, Depends(authenticate)]

    @routes.get(
        "/{file_id}/changes/{change_id}",
        summary="Show a change that waits for its storage element",
        responses=refusals(404),
        response_class=JSONResponse,
    )
    async def show(
        principal: who, file_id: FileIdInPath, change_id: Annotated[str, Path(min_length=1, max_length=64)]
    ) -> WaitingAnswer:
        """One that was answered with `202`, by the id in its `X-Job-Id`; also when it is over, as long as jobs are kept, and when
        the file is deleted."""
        found = await later.of_file(principal, file_id, change_id)
        return WaitingAnswer(**msgspec.structs.asdict(found))


def _prefers_async(prefer: list[str] | None) -> bool:
    said = [one.partition(";")[0].strip().lower() for line in prefer or () for one in line.split(",")]
    return ASYNC in said


def _taken(change: WaitingChange) -> Response:
    headers = {
        "Location": f"{PREFIX}/{change.file_id}/changes/{change.id}",
        JOB_HEADER: change.id,
        "Preference-Applied": ASYNC,
        "Retry-After": str(_ASK_AGAIN_S),
    }
    return Response(msgspec.json.encode(change), 202, headers, media_type="application/json")
