"""What the routes of prompts share: parameters, and how answers and refusals look in the description."""

import re
from typing import Annotated, Any, Final

from fastapi import Header, Path, Query
from pydantic import BeforeValidator

from samovar.domains.prompts.model import LABEL_PATTERN, MAX_ID
from samovar.ports import problems
from samovar.ports.revisions import expected_revision

PREFIX: Final = "/v1/prompts"
_LED_TO: Final = re.compile(r'\s*(?:W/)?"(?P<id>[0-9]{1,19})\.(?P<revision>[0-9]{1,9})"\s*', re.ASCII)
_NEVER: Final = 0


def _digits(text: object) -> object:
    # As a number is read elsewhere, "1.0" would be 1.
    if isinstance(text, str) and not (text.isascii() and text.isdigit()):
        raise ValueError("is no id: ids are whole numbers")
    return text


IdInPath = Annotated[int, Path(ge=1, le=MAX_ID), BeforeValidator(_digits)]
LabelInPath = Annotated[str, Path(pattern=LABEL_PATTERN, examples=["production"])]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")]
IfMatch = Annotated[
    str | None, Header(max_length=64, description="The `ETag` you saw: 412 if it is no longer the current one.")
]


def expected(prompt_id: int, if_match: str | None) -> int | None:
    """The revision that the caller saw, ``None`` for whatever there is; one that never was where the caller saw another
    version. ``/v1/prompts/default`` names the version in its ``ETag``. Raises ``Malformed``."""
    led_to = _LED_TO.fullmatch(if_match or "")
    if led_to is None:
        return expected_revision(if_match)
    return expected_revision(led_to["revision"]) if int(led_to["id"]) == prompt_id else _NEVER


_REFUSALS: Final = {
    400: "The body is not JSON, or a header cannot be read",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission",
    404: "Your team has no such thing",
    409: "Its state does not allow this, or the nonce was used",
    412: "`If-Match` is not the current revision",
    413: "The body is too large",
    422: "A field or parameter breaks a rule; `errors` names each",
    429: "Too many writes; see Retry-After",
    503: "The database does not answer",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for these statuses and for those that every route here may answer."""
    return problems.refusals(_REFUSALS, 401, 403, 422, 429, 503, *statuses)


def answers(kind: type, status: int = 200, words: str = "The answer.") -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of an answer: ``kind`` is described with the raw reads, which answer the same."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {status: {"description": words, "content": {"application/json": {"schema": schema}}}}
