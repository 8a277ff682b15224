"""What the routes of files share: parameters, and how answers and refusals look in the description."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import Header, Path, Request, Response
from pydantic import AfterValidator

from samovar.domains.files.errors import FileUnknown
from samovar.domains.files.http.upload import PREFIX
from samovar.domains.files.model.records import FileAnswer
from samovar.kernel.principal import Principal
from samovar.ports import problems
from samovar.ports.revisions import etag

Authenticate = Callable[[Request], Awaitable[Principal]]

ID_PATTERN: Final = r"^[0-9A-Fa-f-]{36}$"
ID_EXAMPLE: Final = "0192f0c1-7a4e-7c3a-9f0e-5d2b8e1a4c77"
_ID: Final = re.compile(ID_PATTERN)


def file_id_in(text: str) -> str:
    """An id as it stands in a path. Raises :class:`FileUnknown`: what is no id is the id of no file."""
    if _ID.fullmatch(text) is None:
        raise FileUnknown("There is no such file.")
    return text


FileIdInPath = Annotated[
    str,
    # Told as a pattern and not checked as one: what breaks a rule is a 422, and what is not there a 404.
    Path(json_schema_extra={"pattern": ID_PATTERN}, examples=[ID_EXAMPLE], description="A file's id."),
    AfterValidator(file_id_in),
]
IfMatch = Annotated[
    str | None, Header(max_length=64, description="The `ETag` you saw: 412 if it is no longer the current one.")
]

_REFUSALS: Final = {
    400: "The body is not JSON, or a header cannot be read",
    401: "No credential, or one that is not good",
    403: "The credential lacks the permission",
    404: "There is no such thing, or it is not yours",
    409: "The storage element's mode, or the state of the thing, does not allow this",
    412: "`If-Match` is not the current revision",
    422: "A field or parameter breaks a rule; `errors` names each",
    429: "Too many requests; see Retry-After",
    503: "The storage or the database does not answer; see Retry-After",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for these statuses and for those that every route here may answer."""
    return problems.refusals(_REFUSALS, 401, 403, 422, 429, 503, *statuses)


def answers(kind: type, status: int = 200, words: str = "The answer.") -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of an answer: ``kind`` is described with the raw routes, which answer the same."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {status: {"description": words, "content": {"application/json": {"schema": schema}}}}


def told_file(file: FileAnswer) -> Response:
    """A file, and its revision as the ``ETag``."""
    headers = {"ETag": etag(file.revision), "Location": f"{PREFIX}/{file.file_id}"}
    return Response(msgspec.json.encode(file), 200, headers, media_type="application/json")
