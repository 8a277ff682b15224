"""What the routes of money share: credits, pages, revisions, and how refusals look in the description."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import Header, Path, Query, Request, Response
from pydantic import BeforeValidator, Field

from samovar.kernel.money import NANO_USD_PER_CREDIT, is_decimal
from samovar.kernel.principal import Principal
from samovar.ports import problems
from samovar.ports.revisions import etag
from samovar.ports.revisions import expected_revision as expected_revision

Authenticate = Callable[[Request], Awaitable[Principal]]

_MOST_CREDITS: Final = 1_000_000_000
CREDIT_PLACES: Final = 7


def _as_written(credits: object) -> object:
    if isinstance(credits, str) and not is_decimal(credits):
        raise ValueError("is not a decimal number of credits, such as 12.5")
    return credits


Credits = Annotated[
    Decimal,
    Field(
        ge=0,
        le=_MOST_CREDITS,
        decimal_places=CREDIT_PLACES,
        description="Credits (100 are one US dollar), a number or a decimal string.",
        examples=["100"],
    ),
    BeforeValidator(_as_written),
]
SignedCredits = Annotated[
    Decimal,
    Field(
        ge=-_MOST_CREDITS,
        le=_MOST_CREDITS,
        decimal_places=CREDIT_PLACES,
        description="Credits (100 are one US dollar), a number or a decimal string; below zero takes out.",
        examples=["100"],
    ),
    BeforeValidator(_as_written),
]
CreditsText = Annotated[str, Field(description="Credits, exact, as a decimal string.", examples=["99.5"])]
IdInPath = Annotated[str, Path(min_length=1, max_length=64)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
IfMatch = Annotated[
    str | None, Header(max_length=64, description="The `ETag` you saw: 412 if it is no longer the current one.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, description="Sent again with the same key, the request is done once."),
]

_REFUSALS: Final = {
    400: "The body is not JSON, or a header or cursor cannot be read",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission",
    404: "Your team has no such thing",
    409: "Its state does not allow this",
    412: "`If-Match` is not the current revision",
    422: "A field or parameter breaks a rule; `errors` names each",
    429: "Too many requests; see Retry-After",
    503: "The database does not answer",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for these statuses and for those that every route here may answer."""
    return problems.refusals(_REFUSALS, 401, 403, 422, 429, 503, *statuses)


def nano_usd(credits: Decimal) -> int:
    """Credits of seven places at most are whole nano-dollars."""
    return int(credits * NANO_USD_PER_CREDIT)


def tag(response: Response, revision: int) -> None:
    """Set ``ETag``."""
    response.headers["ETag"] = etag(revision)
