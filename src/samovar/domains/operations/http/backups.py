"""``/admin/backup``: everything, as a download. ``/api/backups``: those in the configured place.

Nothing here restores: a restore replaces the database under the very process that would answer, so it is the command line's.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import structlog
from fastapi import Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from samovar.domains.operations.model.backups import StoredBackup, Verdict
from samovar.domains.operations.service.backups import Backups
from samovar.kernel.errors import SamovarError
from samovar.kernel.principal import Principal
from samovar.kernel.time import milliseconds
from samovar.ports import problems
from samovar.ports.envelopes import Keyring
from samovar.ports.routes import Routes

Authenticate = Callable[[Request], Awaitable[Principal]]
Name = Annotated[str, Path(min_length=1, max_length=100)]

_TAR: Final = "application/x-tar"
_AGE: Final = "application/vnd.age"
_JSON: Final = "application/json"
_MAX_RECIPIENTS: Final = 20

_REFUSALS: Final = {
    400: "The body is not JSON",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission, or is not of the installation's own team",
    404: "There is no such backup",
    409: "The database's tables are not those of this version",
    422: "A field breaks a rule; `errors` names each",
    429: "Too many requests; see Retry-After",
    503: "The database or the storage does not answer",
}
_DOWNLOAD: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The backup. A download that ends early is no backup: `samovar backup verify` finds it out.",
        "content": {
            _TAR: {"schema": {"type": "string", "format": "binary"}},
            _AGE: {"schema": {"type": "string", "format": "binary"}},
            _JSON: {"schema": {"type": "object"}},
        },
    }
}


class Encryption(BaseModel):
    """For whom this one backup is encrypted, with age; without either, as configured."""

    # A misspelt field must not end in a backup that anybody can read.
    model_config = ConfigDict(extra="forbid")

    recipients: Annotated[tuple[str, ...], Field(max_length=_MAX_RECIPIENTS, description="`age1…` keys.")] = ()
    passphrase: Annotated[str | None, Field(min_length=8, max_length=1024)] = None


class Unlocking(BaseModel):
    """What opens an encrypted backup; it is used for this request and kept nowhere."""

    model_config = ConfigDict(extra="forbid")

    identity: Annotated[str | None, Field(max_length=10_000, description="`AGE-SECRET-KEY-1…`")] = None
    passphrase: Annotated[str | None, Field(max_length=1024)] = None


class BackupAnswer(BaseModel):
    """A backup in the configured place."""

    name: str
    created_at: datetime
    size_bytes: int
    encrypted: bool


class BackupList(BaseModel):
    """The newest first, all of them."""

    items: tuple[BackupAnswer, ...]
    next_cursor: str | None = None


class OrderAnswer(BaseModel):
    """The job that makes it: `GET /api/jobs/{job_id}` says how it goes. ``is_new`` is false where one was under way."""

    job_id: str
    is_new: bool


class VerdictAnswer(BaseModel):
    """``problems`` is empty where the backup is ``good``; ``rows`` has the number of each table's."""

    good: bool
    problems: tuple[str, ...]
    samovar: str | None
    schema_revision: str | None
    created_at: str | None
    rows: dict[str, int]
    size_bytes: int


def router(
    *,
    service: Callable[[], Backups],
    keyring: Keyring,
    prompts: Callable[[str], AsyncIterator[bytes]],
    now: Callable[[], datetime],
    authenticate: Authenticate,
) -> Routes:
    """``service`` is asked for at the first request. ``prompts`` gives a team's prompts as one JSON document."""
    routes = Routes(tags=["backups"])
    _download(routes, service, keyring, prompts, now, authenticate)
    _stored(routes, service, keyring, authenticate)
    return routes


def _download(
    routes: Routes,
    service: Callable[[], Backups],
    keyring: Keyring,
    prompts: Callable[[str], AsyncIterator[bytes]],
    now: Callable[[], datetime],
    authenticate: Authenticate,
) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.post(
        "/admin/backup",
        summary="Download a backup of everything",
        response_class=Response,
        responses=_refusals(400, 409) | _DOWNLOAD,
    )
    async def download(
        principal: caller,
        encryption: Encryption | None = None,
        only: Annotated[Literal["prompts"] | None, Query(description="`prompts`: these alone, as JSON.")] = None,
    ) -> Response:
        """All tables as they are at this moment, as one file (docs/backups.md tells its format), made while it is sent."""
        given = encryption or Encryption()
        sealer = keyring.sealer(given.recipients, given.passphrase)
        if only == "prompts":
            service().check_download(principal)
            name, content = f"backup-{milliseconds(now())}.json", prompts(principal.team_id)
            if sealer is not None:
                return await _begun(_owned(sealer.seal(content)), f"{name}.age", _AGE)
            return await _begun(_owned(content), name, _JSON)
        draft = service().draft(principal, sealer=sealer)
        return await _begun(draft.content, draft.name, _AGE if draft.name.endswith(".age") else _TAR)


def _stored(routes: Routes, service: Callable[[], Backups], keyring: Keyring, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("/api/backups", summary="List the backups in the configured place", responses=_refusals())
    async def listing(principal: caller) -> BackupList:
        return BackupList(items=tuple(_answer(one) for one in await service().list(principal)))

    @routes.post("/api/backups", status_code=202, summary="Make a backup", responses=_refusals())
    async def order(principal: caller) -> OrderAnswer:
        """A job makes it and puts it in the configured place; then those past their time are deleted."""
        ordered = await service().order(principal)
        return OrderAnswer(job_id=ordered.id, is_new=ordered.is_new)

    @routes.post("/api/backups/{name}/verify", summary="Verify a backup", responses=_refusals(400, 404, 409))
    async def verify(principal: caller, name: Name, unlocking: Unlocking | None = None) -> VerdictAnswer:
        """Reads all of it, which takes its time, and says what is wrong. An encrypted one needs its key: 422 without."""
        given = unlocking or Unlocking()
        backups = service()
        opener = keyring.opener(given.identity, given.passphrase)
        return _verdict(await backups.verify(principal, backups.read(principal, name), opener=opener))


async def _begun(content: AsyncGenerator[bytes, None], name: str, media_type: str) -> Response:
    """What goes wrong before the first piece is answered as a problem."""
    try:
        first = await anext(content)
    except BaseException:
        await content.aclose()
        raise
    return _Download(first, content, name=name, media_type=media_type)


class _Download(Response):
    """Closes its content however it ends; and if that breaks off, so does the answer, without its proper end."""

    def __init__(self, first: bytes, content: AsyncGenerator[bytes, None], *, name: str, media_type: str) -> None:
        super().__init__(media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})
        del self.headers["content-length"]
        self._first = first
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._content) as content:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            try:
                async for piece in content:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except SamovarError as error:
                structlog.get_logger("samovar.backups").error("a backup's download broke off", reason=error.detail)
                raise _BrokenOff from error
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _BrokenOff(Exception):
    """The answer had begun: all that can be done is to end the connection."""


async def _owned(content: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for piece in content:
        yield piece


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return problems.refusals(_REFUSALS, 401, 403, 422, 429, 503, *statuses)


def _answer(one: StoredBackup) -> BackupAnswer:
    return BackupAnswer(name=one.name, created_at=one.created_at, size_bytes=one.size_bytes, encrypted=one.encrypted)


def _verdict(verdict: Verdict) -> VerdictAnswer:
    manifest = verdict.manifest
    return VerdictAnswer(
        good=verdict.is_good,
        problems=verdict.problems,
        samovar=None if manifest is None else manifest.samovar,
        schema_revision=None if manifest is None else manifest.schema,
        created_at=None if manifest is None else manifest.created_at,
        rows=verdict.rows,
        size_bytes=verdict.size_bytes,
    )
