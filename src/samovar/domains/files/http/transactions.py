"""``/api/transactions``: uploads as transactions."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, Field

from samovar.domains.files.http.conventions import ID_EXAMPLE, ID_PATTERN, Authenticate, refusals
from samovar.domains.files.model.query import DEFAULT_PAGE, MAX_PAGE
from samovar.domains.files.model.transactions import (
    StepStatus,
    TransactionAnswer,
    TransactionKind,
    TransactionState,
)
from samovar.domains.files.service.transactions.desk import TransactionDesk
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes

PREFIX = "/api/transactions"

TransactionIdInPath = Annotated[
    str,
    Path(json_schema_extra={"pattern": ID_PATTERN}, examples=[ID_EXAMPLE], description="The id of its file."),
]


class StepAnswer(BaseModel):
    """One step. `compensation` is what undoes it, null behind the commit point."""

    name: str
    by: str
    compensation: str | None
    status: StepStatus


class UploadTransaction(BaseModel):
    """An upload as a transaction; its id is that of its file. `led_until` is when an admin process takes it over, null where
    nobody has to; `resumes` is how often that was so; `error_code` says why there is no file."""

    id: str
    kind: TransactionKind
    state: TransactionState
    owner: str
    storage_element_id: str
    size_bytes: Annotated[int | None, Field(description="As it was announced.")]
    resumes: int
    error_code: str | None
    started_at: datetime
    led_until: datetime | None
    finished_at: datetime | None
    steps: list[StepAnswer]


class UploadTransactionList(BaseModel):
    """The newest first; `next_cursor` is `null` on the last page. The elements are not asked: a step that only they know of is
    `unknown`."""

    items: list[UploadTransaction]
    next_cursor: str | None


def router(*, desk: TransactionDesk, authenticate: Authenticate) -> Routes:
    """List, show, cancel."""
    routes = Routes(prefix=PREFIX, tags=["files"])
    who = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="List uploads as transactions", responses=refusals())
    async def listing(
        principal: who,
        state: Annotated[TransactionState | None, Query(description="Only those that stand so.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
        cursor: Annotated[
            str | None, Query(pattern=ID_PATTERN, description="`next_cursor` of the page before.")
        ] = None,
    ) -> UploadTransactionList:
        """Your own, or the team's for those who look after the storage."""
        page = await desk.page(principal, state=state, cursor=cursor, limit=limit)
        return UploadTransactionList(items=[_shown(one) for one in page.items], next_cursor=page.next_cursor)

    @routes.get("/{transaction_id}", summary="How an upload stands", responses=refusals(404))
    async def show(principal: who, transaction_id: TransactionIdInPath) -> UploadTransaction:
        """Step by step. Of one that is not over the storage element is asked."""
        return _shown(await desk.find(principal, transaction_id))

    @routes.post("/{transaction_id}/cancel", summary="Take an upload back", responses=refusals(404, 409))
    async def cancel(principal: who, transaction_id: TransactionIdInPath) -> UploadTransaction:
        """What is under way stops: `cancelling` until nobody writes for it any more. What stands is deleted, where the storage
        element's mode allows it (409 where not). May be asked again."""
        return _shown(await desk.cancel(principal, transaction_id))

    return routes


def _shown(one: TransactionAnswer) -> UploadTransaction:
    steps = [
        StepAnswer(name=step.name, by=step.by, compensation=step.compensation, status=step.status) for step in one.steps
    ]
    return UploadTransaction(
        id=one.id,
        kind=one.kind,
        state=one.state,
        owner=one.owner,
        storage_element_id=one.storage_element_id,
        size_bytes=one.size_bytes,
        resumes=one.resumes,
        error_code=one.error_code,
        started_at=one.started_at,
        led_until=one.led_until,
        finished_at=one.finished_at,
        steps=steps,
    )
