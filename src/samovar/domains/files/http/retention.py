"""``POST /api/files/{file_id}/finalize``."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from samovar.domains.files.http.conventions import Authenticate, FileIdInPath, IfMatch, answers, refusals
from samovar.domains.files.http.upload import PREFIX
from samovar.domains.files.model.records import FileAnswer
from samovar.domains.files.service.care.retention import FileRetention
from samovar.kernel.principal import Principal
from samovar.ports.revisions import etag, expected_revision

JOB_HEADER = "X-Job-Id"


def router(*, retention: FileRetention, authenticate: Authenticate) -> APIRouter:
    """Beside those of the files."""
    routes = APIRouter(prefix=PREFIX, tags=["files"], default_response_class=Response)
    who = Annotated[Principal, Depends(authenticate)]

    @routes.post(
        "/{file_id}/finalize",
        summary="Make a file permanent",
        responses={
            **refusals(404, 409, 412),
            **answers(FileAnswer, words="It is permanent, and stands where it belongs."),
            **answers(FileAnswer, 202, "It is permanent, and moves to where it belongs by the job in `X-Job-Id`."),
        },
    )
    async def finalize(principal: who, file_id: FileIdInPath, if_match: IfMatch = None) -> Response:
        """A temporary file stays for good from now on. It is copied to a storage element that does not delete, verified, and
        served from there; what it leaves behind goes a day later."""
        done = await retention.finalize(principal, file_id, expected=expected_revision(if_match))
        headers = {"ETag": etag(done.file.revision), "Location": f"{PREFIX}/{file_id}"}
        if done.job_id is not None:
            headers[JOB_HEADER] = done.job_id
        status = 200 if done.job_id is None else 202
        return Response(msgspec.json.encode(done.file), status, headers, media_type="application/json")

    return routes
