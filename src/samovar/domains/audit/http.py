"""``/api/audit``: what happened, and the proof that nobody changed the record of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final

import structlog
from fastapi import Depends, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field
from starlette.types import Receive, Scope, Send

from samovar.domains.audit.model import Checkpoint, PublicKey, Record, Report, Result
from samovar.domains.audit.model.exports import FORMAT
from samovar.domains.audit.service import AuditService, Wanted
from samovar.kernel.errors import SamovarError
from samovar.kernel.principal import Principal
from samovar.ports import problems
from samovar.ports.routes import Routes

Authenticate = Callable[[Request], Awaitable[Principal]]

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=18, description="`next_cursor` of the page before.")]
Action = Annotated[str | None, Query(max_length=64, description="Only this, such as `key:create`.")]
User = Annotated[str | None, Query(max_length=160, description="Only what this principal did (its id).")]
Resource = Annotated[
    str | None, Query(max_length=320, description="Only what was done to this, such as `key:key_01...`.")
]
Ended = Annotated[Result | None, Query(description="Only what ended so.")]
From = Annotated[AwareDatetime | None, Query(alias="from", description="RFC 3339 with a zone: not before this.")]
To = Annotated[AwareDatetime | None, Query(alias="to", description="RFC 3339 with a zone: before this.")]
First = Annotated[
    int | None,
    Query(alias="from", ge=1, le=2**53, description="The first record's number; none: the first that is kept."),
]
Last = Annotated[int | None, Query(alias="to", ge=0, le=2**53, description="The last record's number; none: all.")]

_JSONL: Final = "application/jsonl"
_DOWNLOAD: Final[Mapping[int | str, dict[str, Any]]] = {
    200: {
        "description": f"JSON Lines in the form `{FORMAT}` (docs/audit.md); `samovar audit verify` reads it.",
        "content": {_JSONL: {"schema": {"type": "string"}}},
    }
}
_REFUSALS: Final = {
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission `audit:read`, or its team is not the installation's own",
    422: "A parameter breaks a rule; `errors` names each",
    429: "Too many requests; see Retry-After",
    503: "The database does not answer",
}


class AuditRecord(BaseModel):
    """``user_id`` is a principal's id, or ``anonymous``; ``signature`` is the hash that chains it to the one before."""

    sequence: int
    id: str
    timestamp: datetime
    service: str
    action: Annotated[str, Field(examples=["key:create"])]
    user_id: str
    resource: Annotated[str, Field(examples=["key:key_01JD"])]
    result: Annotated[str, Field(description="success, denied or failure.")]
    metadata: dict[str, str | int | bool | None]
    team_id: str | None
    request_id: str | None
    signature: str


class AuditRecordList(BaseModel):
    """The newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[AuditRecord, ...]
    next_cursor: str | None


class CheckpointAnswer(BaseModel):
    """Signed (Ed25519, base64): the chain held ``sequence`` records and the last had this ``hash``."""

    chain: str
    sequence: int
    hash: str
    count: Annotated[int, Field(description="Records since the checkpoint before.")]
    time: str
    key_id: str
    signature: str


class CheckpointList(BaseModel):
    """The newest first; ``next_cursor`` is ``null`` on the last page."""

    items: tuple[CheckpointAnswer, ...]
    next_cursor: str | None


class SigningKeyAnswer(BaseModel):
    """The public half of a key that signs checkpoints: Ed25519, base64."""

    key_id: str
    public_key: str
    created_at: datetime | None


class SigningKeyList(BaseModel):
    """The newest first."""

    items: tuple[SigningKeyAnswer, ...]
    next_cursor: str | None = None


class ChainVerdict(BaseModel):
    """``why`` is the first fault, ``sequence`` the record it is about. ``unsealed`` records at the end have no checkpoint yet.
    What was before ``first`` was pruned, as a signed anchor says."""

    good: bool
    chain: str
    first: int
    pruned_at: Annotated[str | None, Field(description="When records were pruned last; null: never.")]
    records: int
    checkpoints: int
    unsealed: int
    sequence: int | None
    why: str | None


def router(*, service: AuditService, authenticate: Authenticate) -> Routes:
    """List, export, verify, checkpoints, public keys. All need ``audit:read``."""
    routes = Routes(tags=["audit"], prefix="/api/audit")
    _lists(routes, service, authenticate)
    _proof(routes, service, authenticate)
    return routes


def _lists(routes: Routes, service: AuditService, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="List what happened", responses=_refusals())
    async def listing(
        principal: caller,
        action: Action = None,
        user_id: User = None,
        resource: Resource = None,
        result: Ended = None,
        start: From = None,
        end: To = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> AuditRecordList:
        """The newest first. Those of the installation's own team see all teams' records, others their own."""
        wanted = Wanted(
            team_id=None, action=action, user_id=user_id, resource=resource, result=result, start=start, end=end
        )
        page = await service.reading.page(principal, wanted, cursor=cursor, limit=limit)
        return AuditRecordList(items=tuple(_answer(record) for record in page.items), next_cursor=page.next_cursor)

    @routes.get("/checkpoints", summary="List the signed checkpoints", responses=_refusals())
    async def checkpoints(principal: caller, limit: Limit = 50, cursor: Cursor = None) -> CheckpointList:
        """The newest first."""
        page = await service.reading.checkpoints(principal, cursor=cursor, limit=limit)
        return CheckpointList(items=tuple(_checkpoint(one) for one in page.items), next_cursor=page.next_cursor)

    @routes.get("/keys", summary="List the public keys of checkpoints", responses=_refusals())
    async def keys(principal: caller) -> SigningKeyList:
        """The newest signs; older ones are needed to verify what they signed."""
        return SigningKeyList(items=tuple(_key(key) for key in await service.reading.keys(principal)))


def _proof(routes: Routes, service: AuditService, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get(
        "/export",
        summary="Export the chain",
        response_class=Response,
        responses=_refusals() | dict(_DOWNLOAD),
    )
    async def export(principal: caller, first: First = None, last: Last = None) -> Response:
        """For `samovar audit verify`. Where it reaches to the end, a checkpoint is put there first."""
        pieces = await service.reading.export(principal, first=first, last=last)
        try:
            return _Download(await anext(pieces), pieces)
        except BaseException:
            await pieces.aclose()
            raise

    @routes.get("/verify", summary="Verify the chain in the database", responses=_refusals())
    async def verify(principal: caller) -> ChainVerdict:
        """Reads all of it, which takes its time. It finds what was changed, not a chain that was cut off along with its head and
        its checkpoints: for that, verify an export against a checkpoint that was kept elsewhere."""
        return _verdict(await service.reading.verify(principal))


class _Download(Response):
    """Sent as it is made. If that breaks off, so does the answer, without the end that a verifier asks for."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        super().__init__(media_type=_JSONL, headers={"content-disposition": 'attachment; filename="audit.jsonl"'})
        del self.headers["content-length"]
        self._first = first
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._rest) as rest:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            try:
                async for piece in rest:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except SamovarError as error:
                structlog.get_logger("samovar.audit").error("an audit export broke off", reason=error.detail)
                raise _BrokenOff from error
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _BrokenOff(Exception):
    """The answer had begun: all that can be done is to end the connection."""


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return problems.refusals(_REFUSALS, 401, 403, 422, 429, 503, *statuses)


def _answer(record: Record) -> AuditRecord:
    entry = record.entry
    return AuditRecord(
        sequence=record.sequence,
        id=entry.id,
        timestamp=entry.at,
        service=entry.service,
        action=entry.action,
        user_id=entry.user_id,
        resource=entry.resource,
        result=str(entry.result),
        metadata=dict(entry.metadata),
        team_id=entry.team_id,
        request_id=entry.request_id,
        signature=record.hash,
    )


def _checkpoint(one: Checkpoint) -> CheckpointAnswer:
    return CheckpointAnswer(**one.statement(), signature=one.signature)


def _key(key: PublicKey) -> SigningKeyAnswer:
    return SigningKeyAnswer(key_id=key.id, public_key=key.text, created_at=key.created_at)


def _verdict(report: Report) -> ChainVerdict:
    return ChainVerdict(
        good=report.is_good,
        chain=report.chain,
        first=report.first,
        pruned_at=report.pruned_at,
        records=report.records,
        checkpoints=report.checkpoints,
        unsealed=report.unsealed,
        sequence=report.sequence,
        why=report.why,
    )
