"""Errors on our own surfaces: RFC 9457 problem documents."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from samovar.kernel.errors import Flaw, SamovarError

MEDIA_TYPE: Final = b"application/problem+json"
# What a caller sent may stand in a sentence, but shall not make the answer as large as the request.
_MAX_DETAIL_CHARS: Final = 2000
_MAX_WHERE_CHARS: Final = 200
_MAX_FLAWS: Final = 50
# What Pydantic says of Python's types, said of JSON's.
_OF_JSON: Final = {
    "tuple_type": "Input should be a list",
    "set_type": "Input should be a list",
    "frozen_set_type": "Input should be a list",
    "dataclass_type": "Input should be an object",
    "model_attributes_type": "Input should be an object",
    "dict_type": "Input should be an object",
    "mapping_type": "Input should be an object",
}


def problem(error: SamovarError, request_id: str) -> tuple[int, bytes]:
    """Status and body. ``type`` is a URN of the stable code, so that nobody fetches it."""
    status = error.http_status
    document: dict[str, Any] = {
        "type": f"urn:samovar:error:{error.code}",
        "title": error.title,
        "status": status,
        "detail": _bounded(error.detail, _MAX_DETAIL_CHARS),
        "code": error.code,
        "request_id": request_id,
        **error.hints,
    }
    if error.flaws:
        document["errors"] = [
            {"where": _bounded(flaw.where, _MAX_WHERE_CHARS), "what": _bounded(flaw.what, _MAX_DETAIL_CHARS)}
            for flaw in error.flaws[:_MAX_FLAWS]
        ]
    return status, msgspec.json.encode(document)


def flaws_of(errors: Sequence[Any]) -> list[Flaw]:
    """FastAPI's validation errors as flaws; the input is left out, for it may be a secret."""
    return [
        Flaw(".".join(str(step) for step in error["loc"]), _OF_JSON.get(error["type"], error["msg"]))
        for error in errors[:_MAX_FLAWS]
    ]


def _bounded(text: str, most: int) -> str:
    cut = text if len(text) <= most else text[: most - 3] + "..."
    # Half of a surrogate pair, which JSON can say escaped and UTF-8 cannot.
    return cut.encode("utf-8", "replace").decode()
