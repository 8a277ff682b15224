"""What the catalogue's routes share: pages, revisions, and how refusals look in the description."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, TypeVar

from fastapi import Header, Query, Request, Response

from samovar.kernel.principal import Principal
from samovar.ports import problems
from samovar.ports.revisions import etag
from samovar.ports.revisions import expected_revision as expected_revision

Authenticate = Callable[[Request], Awaitable[Principal]]

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before.")]
IfMatch = Annotated[
    str | None, Header(max_length=64, description="The `ETag` you saw: 412 if it is no longer the current one.")
]

_T = TypeVar("_T")


def page(
    items: Sequence[_T], *, key: Callable[[_T], str], limit: int, cursor: str | None
) -> tuple[tuple[_T, ...], str | None]:
    """One page of ``items``, which are sorted by ``key``, and the cursor of the next: the last item's key."""
    start = 0 if cursor is None else bisect_right(items, cursor, key=key)
    chosen = tuple(items[start : start + limit])
    return chosen, key(chosen[-1]) if start + limit < len(items) else None


def tag(response: Response, revision: int) -> None:
    """Set ``ETag``."""
    response.headers["ETag"] = etag(revision)


_REFUSALS: Final = {
    400: "The body is not JSON, or a header cannot be read",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission",
    404: "Your team has no such thing",
    409: "The name is taken, there are too many, or the environment owns it",
    412: "`If-Match` is not the current revision",
    422: "A field or parameter breaks a rule; `errors` names each",
    429: "Too many requests; see Retry-After",
    502: "The provider could not be reached, or did not answer with a list of models",
    503: "The database does not answer",
    504: "The provider did not answer in time",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for these statuses and for those that every route here may answer."""
    return problems.refusals(_REFUSALS, 401, 403, 422, 429, 503, *statuses)
