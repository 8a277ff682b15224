"""``POST /api/files/{file_id}/restore``."""

from typing import Annotated

import msgspec
from fastapi import Depends, Response

from samovar.domains.files.http.conventions import Authenticate, FileIdInPath, answers, refusals
from samovar.domains.files.http.later import JOB_HEADER
from samovar.domains.files.http.upload import PREFIX
from samovar.domains.files.model.records import FileAnswer
from samovar.domains.files.service.care.restoring import FileRestoring
from samovar.kernel.principal import Principal
from samovar.ports.revisions import etag
from samovar.ports.routes import Routes

_ASK_AGAIN_S = 5


def router(*, restoring: FileRestoring, authenticate: Authenticate) -> Routes:
    """Beside those of the files."""
    routes = Routes(prefix=PREFIX, tags=["files"], default_response_class=Response)
    who = Annotated[Principal, Depends(authenticate)]

    @routes.post(
        "/{file_id}/restore",
        summary="Bring a file's content back from an archive",
        responses={
            **refusals(404, 409),
            **answers(FileAnswer, words="It is no archive's: its content is read, and nothing was to be done."),
            **answers(FileAnswer, 202, "It is brought back by the job in `X-Job-Id`. Ask again until it is `200`."),
        },
    )
    async def restore(principal: who, file_id: FileIdInPath) -> Response:
        """A file on a storage element in mode `ar` is copied to one that is read, verified, and served from there. Asked again
        meanwhile there is one copy and one job; what stands in the archive stays there. 409 `content_damaged` where no good copy
        is left."""
        done = await restoring.restore(principal, file_id)
        headers = {"ETag": etag(done.file.revision), "Location": f"{PREFIX}/{file_id}"}
        if done.job_id is not None:
            headers |= {JOB_HEADER: done.job_id, "Retry-After": str(_ASK_AGAIN_S)}
        status = 200 if done.job_id is None else 202
        return Response(msgspec.json.encode(done.file), status, headers, media_type="application/json")

    return routes
