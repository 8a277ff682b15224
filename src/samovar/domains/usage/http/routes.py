"""The routes of ``/api/usage``."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from samovar.domains.gateway.model import CallStatus
from samovar.domains.usage.http.answers import (
    BreakdownAnswer,
    BudgetForecastAnswer,
    EventList,
    ForecastAnswer,
    SeriesAnswer,
    breakdown_of,
    budget_forecast_of,
    forecast_of,
    series_of,
)
from samovar.domains.usage.model import Buckets, Dimension, Filters, Place, Record
from samovar.domains.usage.model.records import csv_header, csv_of, json_of
from samovar.domains.usage.service.budgets import BudgetOutlooks
from samovar.domains.usage.service.reading import MAX_AHEAD_DAYS, MAX_GROUPS, MAX_PAGE, UsageQueries
from samovar.kernel.errors import Flaw, Malformed
from samovar.kernel.principal import Principal
from samovar.ports import problems
from samovar.ports.routes import Routes

Authenticate = Callable[[Request], Awaitable[Principal]]

_CURSOR: Final = re.compile(r"(\d{1,17})_([!-~]{1,64})", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class ExportFormat(StrEnum):
    """How single calls are written out."""

    CSV = "csv"
    JSONL = "jsonl"


_MEDIA: Final = {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.JSONL: "application/jsonl"}
_REFUSALS: Final = {
    400: "The cursor is not one of ours",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission",
    404: "Your team has no such budget",
    422: "A parameter breaks a rule, or the window of time cannot be shown; `errors` names each",
    429: "Too many requests; see Retry-After",
    503: "The database does not answer",
}

From = Annotated[
    AwareDatetime | None, Query(alias="from", description="RFC 3339 with a zone; calls that began then count.")
]
To = Annotated[AwareDatetime | None, Query(alias="to", description="Calls that began then no longer count; now.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """The window and the filters that all routes take."""

    start: datetime | None
    end: datetime | None
    filters: Filters


def _filters(
    model: Annotated[str | None, Query(max_length=320, description="`provider/model`, as it was called.")] = None,
    provider: Annotated[str | None, Query(max_length=64)] = None,
    key: Annotated[str | None, Query(max_length=64, description="Id of the key, or other principal.")] = None,
    surface: Annotated[str | None, Query(max_length=32, description="Such as `openai-chat`.")] = None,
    status: Annotated[CallStatus | None, Query(description="How calls ended.")] = None,
    project: Annotated[str | None, Query(max_length=128, description="The project that the key names.")] = None,
    user: Annotated[
        str | None, Query(max_length=128, description="The person that the key names, or `~` and what callers say.")
    ] = None,
    route: Annotated[
        str | None, Query(max_length=255, description="The model, alias or group that was asked for.")
    ] = None,
    prompt: Annotated[
        int | None,
        Query(ge=0, le=2**63 - 1, description="Id of a prompt's version in the registry; 0: none was asked."),
    ] = None,
) -> Filters:
    return Filters(
        model=model,
        provider=provider,
        key=key,
        surface=surface,
        status=status,
        project=project,
        user=user,
        route=route,
        prompt=prompt,
    )


_Filters = Annotated[Filters, Depends(_filters)]


def _asked(filters: _Filters, start: From = None, end: To = None) -> Asked:
    return Asked(start, end, filters)


_Asked = Annotated[Asked, Depends(_asked)]


def router(*, service: UsageQueries, budgets: BudgetOutlooks, authenticate: Authenticate) -> Routes:
    """Series, breakdown, events, export, forecasts. All need ``usage:read`` (a budget's ``wallets:read``) and tell of the
    caller's team alone."""
    routes = Routes(prefix="/api/usage", tags=["usage"])
    _sums(routes, service, authenticate)
    _calls(routes, service, authenticate)
    _budgets(routes, budgets, authenticate)
    return routes


def _sums(routes: Routes, service: UsageQueries, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("", summary="Usage over time", responses=_refusals())
    async def series(principal: caller, asked: _Asked, bucket: Buckets = Buckets.DAY) -> SeriesAnswer:
        """Calls, errors, tokens and cost a minute, hour or day (UTC). A call shows within some seconds of its end. Without
        `from`: a day of minutes, a week of hours, 30 days."""
        found = await service.series(principal, start=asked.start, end=asked.end, filters=asked.filters, buckets=bucket)
        return series_of(found, bucket)

    @routes.get(
        "/breakdown",
        summary="Usage by model, provider, key, surface, project, user, route or prompt",
        responses=_refusals(),
    )
    async def breakdown(
        principal: caller,
        asked: _Asked,
        by: Dimension = Dimension.MODEL,
        latency: Annotated[bool, Query(description="Estimate p50 and p95 too.")] = False,
        limit: Annotated[int, Query(ge=1, le=MAX_GROUPS)] = 50,
    ) -> BreakdownAnswer:
        """What cost most comes first. Without `from`: 30 days."""
        found = await service.breakdown(
            principal, start=asked.start, end=asked.end, filters=asked.filters, by=by, latency=latency, limit=limit
        )
        return breakdown_of(found, by)

    @routes.get("/forecast", summary="What will be spent", responses=_refusals())
    async def forecast(
        principal: caller,
        filters: _Filters,
        days: Annotated[int, Query(ge=1, le=MAX_AHEAD_DAYS, description="Days to tell, today included.")] = 30,
    ) -> ForecastAnswer:
        """From whole days of the past eight weeks; the answer says how."""
        outlook = await service.outlook(principal, days=days, filters=filters)
        dates = tuple((outlook.start + timedelta(days=number)).date() for number in range(days))
        return forecast_of(outlook, dates)


def _budgets(routes: Routes, service: BudgetOutlooks, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("/forecast/budgets/{budget_id}", summary="Whether a budget will last", responses=_refusals(404))
    async def budget(principal: caller, budget_id: Annotated[str, Path(max_length=128)]) -> BudgetForecastAnswer:
        """From what its wallet spent on the whole days of the past eight weeks."""
        return budget_forecast_of(await service.outlook(principal, budget_id))


def _calls(routes: Routes, service: UsageQueries, authenticate: Authenticate) -> None:
    caller = Annotated[Principal, Depends(authenticate)]

    @routes.get("/events", summary="Single calls", responses=_refusals(400))
    async def events(
        principal: caller,
        asked: _Asked,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")] = None,
    ) -> EventList:
        """The newest first, as far back as they are kept (`SAMOVAR_USAGE_RETENTION_DAYS`)."""
        page = await service.page(
            principal,
            start=asked.start,
            end=asked.end,
            filters=asked.filters,
            after=_place_of(cursor),
            limit=limit,
        )
        return EventList(items=page.items, next_cursor=None if page.next is None else _cursor_of(page.next))

    @routes.get(
        "/export",
        summary="Export single calls",
        response_class=StreamingResponse,
        responses={**_refusals(), 200: _EXPORTED},
    )
    async def export(
        principal: caller,
        asked: _Asked,
        form: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.CSV,
    ) -> StreamingResponse:
        """All that fit, the oldest first, streamed. In CSV a text that a spreadsheet would take for a formula begins with
        an apostrophe. An answer that breaks off was not whole."""
        pages = service.export(principal, start=asked.start, end=asked.end, filters=asked.filters)
        # Read before anything is answered: a refusal still has its true status.
        first = await anext(pages)
        name = f'attachment; filename="usage.{form.value}"'
        return StreamingResponse(
            _written(first, pages, form), media_type=_MEDIA[form], headers={"Content-Disposition": name}
        )


_EXPORTED: Final[dict[str, Any]] = {
    "description": "A line a call",
    "content": {media.partition(";")[0]: {"schema": {"type": "string"}} for media in _MEDIA.values()},
}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return problems.refusals(_REFUSALS, 401, 403, 422, 429, 503, *statuses)


async def _written(first: list[Record], pages: AsyncIterator[list[Record]], form: ExportFormat) -> AsyncIterator[bytes]:
    if form is ExportFormat.CSV:
        yield csv_header().encode()
    yield _lines(first, form)
    async for page in pages:
        yield _lines(page, form)


def _lines(records: list[Record], form: ExportFormat) -> bytes:
    if form is ExportFormat.CSV:
        return "".join(map(csv_of, records)).encode()
    return b"".join(map(json_of, records))


def _cursor_of(place: Place) -> str:
    return f"{(place.at - _EPOCH) // _MICROSECOND}_{place.id}"


def _place_of(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    found = _CURSOR.fullmatch(cursor)
    micros = int(found[1]) if found else 0
    if found is None or micros > 7_258_118_400_000_000:
        raise Malformed(
            "The cursor is not one that a page before this gave.", flaws=[Flaw("cursor", "is not one of ours")]
        )
    return Place(_EPOCH + micros * _MICROSECOND, found[2])
