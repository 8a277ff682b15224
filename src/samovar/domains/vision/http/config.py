"""``/admin/config/regex``: the pattern that cleans answers."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final

from fastapi import Body, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from samovar.domains.vision.model.cleanup import DEFAULT_FLAGS, DEFAULT_PATTERN, MAX_PATTERN_CHARS
from samovar.domains.vision.model.config import RegexConfig, Source
from samovar.domains.vision.service import Cleanups
from samovar.kernel.principal import Principal
from samovar.kernel.time import rfc3339
from samovar.ports.problems import refusals
from samovar.ports.revisions import etag, expected_revision
from samovar.ports.routes import Routes

Authenticate = Callable[[Request], Awaitable[Principal]]

_REFUSALS: Final = {
    400: "The body is not JSON, or a header cannot be read",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission",
    412: "`If-Match` is not the current revision",
    422: "The pattern or its flags cannot be used; the detail says why",
    429: "Too many requests; see Retry-After",
    503: "The database does not answer",
}
_READING: Final = (401, 403, 422, 429, 503)
IfMatch = Annotated[
    str | None, Header(max_length=64, description="The `ETag` you saw: 412 if it is no longer the current one.")
]


class RegexBody(BaseModel):
    """A pattern in RE2's syntax."""

    model_config = ConfigDict(extra="forbid")

    pattern: Annotated[
        str,
        Field(min_length=1, max_length=MAX_PATTERN_CHARS, description="RE2; what it finds is taken out of answers."),
    ]
    flags: Annotated[
        str,
        Field(
            max_length=4,
            description="Of g (all finds, not only the first), i, m (^ and $ at lines), s (. at line ends).",
        ),
    ] = DEFAULT_FLAGS


class RegexAnswer(BaseModel):
    """What is in force."""

    pattern: str
    flags: str
    source: Annotated[Source, Field(description="`default` while nobody wrote one.")]
    revision: int
    updated_at: str | None


def config_router(*, cleanups: Cleanups, authenticate: Authenticate) -> Routes:
    """``/admin/config``."""
    routes = Routes(prefix="/admin/config", tags=["vision"])
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("/regex", summary="The pattern that cleans answers", responses=refusals(_REFUSALS, *_READING))
    async def read(principal: caller, response: Response) -> RegexAnswer:
        return _told(await cleanups.read(principal), response)

    @routes.put("/regex", summary="Set the pattern that cleans answers", responses=refusals(_REFUSALS, *_REFUSALS))
    async def write(
        principal: caller,
        response: Response,
        body: Annotated[RegexBody, Body(examples=[{"pattern": DEFAULT_PATTERN, "flags": DEFAULT_FLAGS}])],
        if_match: IfMatch = None,
    ) -> RegexAnswer:
        """It is in force at once here, and within ten seconds in other processes."""
        expected = expected_revision(if_match)
        return _told(
            await cleanups.write(principal, pattern=body.pattern, flags=body.flags, expected=expected), response
        )

    @routes.delete(
        "/regex", summary="Go back to the default pattern", responses=refusals(_REFUSALS, 400, 412, *_READING)
    )
    async def reset(principal: caller, response: Response, if_match: IfMatch = None) -> RegexAnswer:
        return _told(await cleanups.reset(principal, expected=expected_revision(if_match)), response)

    return routes


def _told(found: RegexConfig, response: Response) -> RegexAnswer:
    response.headers["ETag"] = etag(found.revision)
    changed: datetime | None = found.updated_at
    return RegexAnswer(
        pattern=found.pattern,
        flags=found.flags,
        source=found.source,
        revision=found.revision,
        updated_at=None if changed is None else rfc3339(changed),
    )
