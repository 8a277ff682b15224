"""``GET /api/files`` and ``/api/files/search``."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from fastapi import Depends, Query, Response

from samovar.domains.files.errors import BadFile
from samovar.domains.files.http.conventions import Authenticate, answers, refusals
from samovar.domains.files.model.query import (
    DEFAULT_PAGE,
    MAX_CURSOR_CHARS,
    MAX_FILTERED_CUSTOM,
    MAX_FILTERED_TAGS,
    MAX_PAGE,
    FileQuery,
    Sort,
)
from samovar.domains.files.model.records import FilePage
from samovar.domains.files.model.rules import (
    MAX_CUSTOM_KEY_CHARS,
    MAX_CUSTOM_VALUE_CHARS,
    MAX_TAG_CHARS,
    MAX_TYPE_CHARS,
)
from samovar.domains.files.service import FileReads
from samovar.kernel.errors import Flaw
from samovar.kernel.principal import Principal
from samovar.ports.elements import RetentionKind
from samovar.ports.routes import Routes
from samovar.ports.words import MAX_QUERY_CHARS

_LARGEST: Final = 2**62
_Plain = r"^[^\x00-\x1f]*$"

Tags = Annotated[
    list[Annotated[str, Query(max_length=MAX_TAG_CHARS, pattern=_Plain)]],
    Query(max_length=MAX_FILTERED_TAGS, description="That have this tag; given several times, all of them."),
]
Customs = Annotated[
    list[Annotated[str, Query(max_length=MAX_CUSTOM_KEY_CHARS + MAX_CUSTOM_VALUE_CHARS + 1, pattern=_Plain)]],
    Query(
        max_length=MAX_FILTERED_CUSTOM, description="`name=value`: whose attribute is that; given several times, all."
    ),
]
Size = Annotated[int | None, Query(ge=0, le=_LARGEST)]


def add(routes: Routes, reads: FileReads, authenticate: Authenticate) -> None:
    """Both addresses are one list."""
    who = Annotated[Principal, Depends(authenticate)]

    async def files(
        principal: who,
        q: Annotated[
            str | None,
            Query(
                min_length=1,
                max_length=MAX_QUERY_CHARS,
                pattern=_Plain,
                description="Words, Russian or English, that begin words of file name, tags or attributes; all of them.",
            ),
        ] = None,
        tag: Tags = [],  # noqa: B006 - FastAPI copies defaults
        attribute: Customs = [],  # noqa: B006
        owner: Annotated[str | None, Query(max_length=128, pattern=_Plain)] = None,
        content_type: Annotated[
            str | None, Query(max_length=MAX_TYPE_CHARS, pattern=_Plain, description="`image/png`, or `image/*`.")
        ] = None,
        retention: Literal["temporary", "permanent"] | None = None,
        created_from: Annotated[datetime | None, Query(description="Made then or later.")] = None,
        created_to: Annotated[datetime | None, Query(description="Made before.")] = None,
        min_bytes: Size = None,
        max_bytes: Size = None,
        checksum: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the content.")] = None,
        sort: Sort = Sort.NEWEST,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
        cursor: Annotated[
            str | None, Query(max_length=MAX_CURSOR_CHARS, description="`next_cursor` of the page before.")
        ] = None,
    ) -> Response:
        """Your own files; those who look after the storage, or audit it, find the whole team's."""
        query = FileQuery(
            owner=owner,
            text=q,
            tags=tuple(tag),
            custom=_customs(attribute),
            content_type=content_type,
            retention=None if retention is None else RetentionKind(retention),
            created_from=_aware("created_from", created_from),
            created_to=_aware("created_to", created_to),
            min_bytes=min_bytes,
            max_bytes=max_bytes,
            checksum=checksum,
            sort=sort,
            cursor=cursor,
        )
        page = await reads.page(principal, query, limit=limit)
        return Response(msgspec.json.encode(page), media_type="application/json")

    responses = {**refusals(), **answers(FilePage, words="A page of files.")}
    routes.get("", summary="List files", responses=responses)(files)
    routes.get("/search", summary="Search files", responses=responses)(files)


def _customs(said: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in said:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise BadFile([Flaw("attribute", "is name=value")])
        found[key] = value
    return found


def _aware(where: str, at: datetime | None) -> datetime | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise BadFile([Flaw(where, "has no time zone: write 2026-11-21T03:50:00Z")])
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise BadFile([Flaw(where, "is outside the years 1 to 9999 of UTC")]) from error
