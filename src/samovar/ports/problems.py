"""How refusals look in the published description: RFC 9457 problem documents, in one place for every domain's routes.

What is answered at run time is written by the app's edge; this is what it promises.
"""

from collections.abc import Mapping
from typing import Any, Final

PROBLEM_TYPE: Final = "application/problem+json"
PROBLEM_NAME: Final = "Problem"
PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "A URN of the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong, where, and what to do."},
        "code": {"type": "string", "description": "Stable; for programs."},
        "request_id": {"type": "string"},
        "restore": {"type": "string", "description": "Of `content_cold`: the route that brings the content back."},
        "errors": {
            "type": "array",
            "description": "One for each flaw of the request.",
            "items": {
                "type": "object",
                "required": ["where", "what"],
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}
"""Stands in the document under ``#/components/schemas/Problem``."""


def refusal(words: str) -> dict[str, Any]:
    """One OpenAPI response."""
    reference = {"$ref": f"#/components/schemas/{PROBLEM_NAME}"}
    return {"description": words, "content": {PROBLEM_TYPE: {"schema": reference}}}


def refusals(words: Mapping[int, str], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these statuses, each with its words."""
    return {status: refusal(words[status]) for status in sorted(set(statuses))}
