"""``/api/storage-elements/{element_id}/rebuild``, ``/check`` and ``/scrub``: rounds over an element, ordered and told."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.files.http.conventions import Authenticate, refusals
from samovar.domains.files.http.elements import PREFIX, ElementIdInPath
from samovar.domains.files.model.rounds import Extent, Fault, Outcome, Round, RoundKind
from samovar.domains.files.service.care.rounds import ElementRounds
from samovar.kernel.principal import Principal
from samovar.kernel.time import rfc3339
from samovar.ports.routes import Routes


class RebuildOrder(BaseModel):
    """How much of the rows to write."""

    model_config = ConfigDict(extra="forbid")

    extent: Annotated[
        Extent,
        Field(
            description="`incremental`: rows that are missing or behind; `full`: also those that say something else."
        ),
    ] = Extent.INCREMENTAL


class CheckOrder(BaseModel):
    """How closely to look."""

    model_config = ConfigDict(extra="forbid")

    reads_contents: Annotated[bool, Field(description="Compare all contents with their checksums.")] = False


class OrderedRound(BaseModel):
    """The job that makes the round: one that was there already where `is_new` is false."""

    job_id: str
    is_new: bool


class FindingAnswer(BaseModel):
    """Something that is wrong, and what was done about it."""

    fault: Fault
    outcome: Outcome
    path: str
    file_id: str | None
    detail: str


class RoundAnswer(BaseModel):
    """The last round, as far as it has come; `started_at` is null where there was none yet. `cursor` is the path that was looked
    at last, `findings` are the first hundred."""

    element_id: str
    kind: RoundKind
    started_at: str | None
    updated_at: str | None
    finished_at: str | None
    cursor: str
    met: Annotated[int, Field(description="Things that were looked at.")]
    read_bytes: Annotated[int, Field(description="Of contents that were compared with their checksums.")]
    faults: dict[Fault, int]
    outcomes: dict[Outcome, int]
    findings: list[FindingAnswer]


def add(routes: Routes, rounds: ElementRounds, authenticate: Authenticate) -> None:
    """Three kinds of rounds: order one, and see how the last one went."""
    who = Annotated[Principal, Depends(authenticate)]

    async def ordered(
        principal: Principal, element_id: str, kind: RoundKind, options: Mapping[str, str | bool]
    ) -> OrderedRound:
        made = await rounds.order(principal, element_id, kind, options)
        return OrderedRound(job_id=made.id, is_new=made.is_new)

    @routes.post(
        "/{element_id}/rebuild", status_code=202, summary="Make an element's rows anew", responses=refusals(400, 404)
    )
    async def rebuild(principal: who, element_id: ElementIdInPath, body: RebuildOrder | None = None) -> OrderedRound:
        """From the attributes that stand on it, as a job. Rows without a file are taken away."""
        order = body or RebuildOrder()
        return await ordered(principal, element_id, RoundKind.REBUILD, {"extent": order.extent.value})

    @routes.get("/{element_id}/rebuild", summary="See the last rebuild of an element", responses=refusals(404))
    async def rebuilt(principal: who, element_id: ElementIdInPath) -> RoundAnswer:
        """As far as it has come."""
        return _told(element_id, RoundKind.REBUILD, await rounds.report(principal, element_id, RoundKind.REBUILD))

    @routes.post(
        "/{element_id}/check",
        status_code=202,
        summary="Check an element against its rows",
        responses=refusals(400, 404),
    )
    async def check(principal: who, element_id: ElementIdInPath, body: CheckOrder | None = None) -> OrderedRound:
        """As a job that changes nothing: attributes without rows, rows without attributes, orphans, sizes and checksums."""
        order = body or CheckOrder()
        return await ordered(principal, element_id, RoundKind.CHECK, {"reads_contents": order.reads_contents})

    @routes.get("/{element_id}/check", summary="See the last check of an element", responses=refusals(404))
    async def checked(principal: who, element_id: ElementIdInPath) -> RoundAnswer:
        """As far as it has come."""
        return _told(element_id, RoundKind.CHECK, await rounds.report(principal, element_id, RoundKind.CHECK))

    @routes.post("/{element_id}/scrub", status_code=202, summary="Scrub an element", responses=refusals(404))
    async def scrub(principal: who, element_id: ElementIdInPath) -> OrderedRound:
        """Read everything on it, slowly, as a job that goes on where the last one was left. What is damaged is set aside and made
        anew from a replica."""
        return await ordered(principal, element_id, RoundKind.SCRUB, {})

    @routes.get("/{element_id}/scrub", summary="See the last scrub of an element", responses=refusals(404))
    async def scrubbed(principal: who, element_id: ElementIdInPath) -> RoundAnswer:
        """As far as it has come."""
        return _told(element_id, RoundKind.SCRUB, await rounds.report(principal, element_id, RoundKind.SCRUB))


def router(*, rounds: ElementRounds, authenticate: Authenticate) -> Routes:
    """Below those of the elements."""
    routes = Routes(prefix=PREFIX, tags=["files"])
    add(routes, rounds, authenticate)
    return routes


def _told(element_id: str, kind: RoundKind, one: Round | None) -> RoundAnswer:
    if one is None:
        none: dict[str, None] = dict.fromkeys(("started_at", "updated_at", "finished_at"))
        return RoundAnswer(
            element_id=element_id,
            kind=kind,
            cursor="",
            met=0,
            read_bytes=0,
            faults={},
            outcomes={},
            findings=[],
            **none,
        )
    report = one.report
    return RoundAnswer(
        element_id=element_id,
        kind=kind,
        started_at=rfc3339(one.started_at),
        updated_at=rfc3339(one.updated_at),
        finished_at=None if one.finished_at is None else rfc3339(one.finished_at),
        cursor=one.cursor,
        met=report.met,
        read_bytes=report.read_bytes,
        faults=dict(report.faults),
        outcomes=dict(report.outcomes),
        findings=[
            FindingAnswer(
                fault=found.fault,
                outcome=found.outcome,
                path=found.path,
                file_id=found.file_id,
                detail=found.detail,
            )
            for found in report.findings
        ],
    )
