"""``POST /api/files/{file_id}/finalize``."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Response

from samovar.domains.files.http.conventions import Authenticate, FileIdInPath, IfMatch, answers, refusals
from samovar.domains.files.http.later import JOB_HEADER, Prefer, or_later
from samovar.domains.files.http.upload import PREFIX
from samovar.domains.files.model.later import Doing
from samovar.domains.files.model.records import FileAnswer
from samovar.domains.files.service import Change, WaitingChanges
from samovar.domains.files.service.care.retention import FileRetention, Finalized
from samovar.kernel.principal import Principal
from samovar.ports.revisions import etag, expected_revision
from samovar.ports.routes import Routes

_ON_ITS_WAY: Final[dict[str, Any]] = {
    "description": "It is permanent, and moves to where it belongs by the job in `X-Job-Id`. Or, with `Prefer: respond-async` and"
    " its element being away, the change waits, and `Location` says how it stands.",
    "content": {
        "application/json": {
            "schema": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("FileAnswer", "WaitingAnswer")]}
        }
    },
}


def router(*, retention: FileRetention, later: WaitingChanges, authenticate: Authenticate) -> Routes:
    """Beside those of the files."""
    routes = Routes(prefix=PREFIX, tags=["files"], default_response_class=Response)
    who = Annotated[Principal, Depends(authenticate)]

    @routes.post(
        "/{file_id}/finalize",
        summary="Make a file permanent",
        responses={
            **refusals(404, 409, 412),
            **answers(FileAnswer, words="It is permanent, and stands where it belongs."),
            202: _ON_ITS_WAY,
        },
    )
    async def finalize(
        principal: who, file_id: FileIdInPath, if_match: IfMatch = None, prefer: Prefer = None
    ) -> Response:
        """A temporary file stays for good from now on. It is copied to a storage element that does not delete, verified, and
        served from there; what it leaves behind goes a day later."""
        expected = expected_revision(if_match)

        async def now() -> Response:
            return _finalized(await retention.finalize(principal, file_id, expected=expected))

        change = Change(doing=Doing.FINALIZE, expected=expected)
        return await or_later(change, now=now, later=later, principal=principal, file_id=file_id, prefer=prefer)

    return routes


def _finalized(done: Finalized) -> Response:
    headers = {"ETag": etag(done.file.revision), "Location": f"{PREFIX}/{done.file.file_id}"}
    if done.job_id is not None:
        headers[JOB_HEADER] = done.job_id
    status = 200 if done.job_id is None else 202
    return Response(msgspec.json.encode(done.file), status, headers, media_type="application/json")
