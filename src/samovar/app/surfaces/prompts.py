"""The raw reads of prompts, for the description."""

from collections.abc import Mapping
from typing import Any, Final

from samovar.app.described import Described
from samovar.domains.prompts.model import (
    LABEL_PATTERN,
    LANG_PATTERN,
    MAX_CURSOR_CHARS,
    MAX_ID,
    MAX_NAME_CHARS,
    MAX_NAMESPACE_CHARS,
    MAX_PAGE,
    MAX_QUERY_CHARS,
    MAX_TAG_CHARS,
    Comparison,
    HistoryPage,
    Prompt,
    PromptPage,
    Sort,
)
from samovar.domains.prompts.service import Filled

_NAMESPACE: Final[Mapping[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_NAMESPACE_CHARS,
    "default": "default",
}
_LANG: Final[Mapping[str, Any]] = {"type": "string", "pattern": LANG_PATTERN}
_HEADERS: Final[Mapping[str, str]] = {
    "x-request-id": "This request's id.",
    "etag": "For `If-None-Match`, and for `If-Match` of a write: of one prompt its revision.",
    "x-cache": "`HIT` where memory had the answer, else `MISS`.",
}
_STATUSES: Final = (304, 401, 403, 404, 422, 429, 503)


def _text(most: int, description: str) -> Mapping[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most, "description": description}


def _read(summary: str, response: Any, **more: Any) -> Described:
    return Described(
        summary=summary, response=response, tag="prompts", headers=_HEADERS, is_ours=True, statuses=_STATUSES, **more
    )


PROMPTS: Final[Mapping[tuple[str, str], Described]] = {
    ("GET", "/v1/prompts"): _read(
        "List the prompts of a namespace",
        PromptPage,
        query={
            "namespace": _NAMESPACE,
            "lang": _LANG,
            "active": {"type": "integer", "enum": [0, 1]},
            "tag": _text(MAX_TAG_CHARS, "That have this tag."),
            "name": _text(MAX_NAME_CHARS, "The versions of this name."),
            "label": {"type": "string", "pattern": LABEL_PATTERN, "description": "To which this label points."},
            "q": _text(
                MAX_QUERY_CHARS, "Words, Russian or English, that begin words of name, tags or text; all of them."
            ),
            "sort": {
                "type": "string",
                "enum": [sort.value for sort in Sort],
                "default": "priority",
                "description": "`priority`: then name, then version downwards; `name`; `newest`: by id downwards.",
            },
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50},
            "cursor": _text(MAX_CURSOR_CHARS, "`next_cursor` of the page before."),
        },
    ),
    ("GET", "/v1/prompts/default"): _read(
        "The default prompt of a namespace and language",
        Prompt,
        query={"namespace": _NAMESPACE, "lang": {**_LANG, "default": "en"}},
    ),
    ("GET", "/v1/prompts/{prompt_id}"): _read(
        "One version of a prompt",
        Prompt,
        path={"prompt_id": {"type": "integer", "minimum": 1, "maximum": MAX_ID}},
        # Answered on the other plane, with the same types.
        also=(HistoryPage, Comparison, Filled),
    ),
}
