"""The lists of models as the OpenAPI document has them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class GeminiModel(msgspec.Struct, omit_defaults=True):
    """https://ai.google.dev/api/models"""

    name: str
    baseModelId: str
    version: str
    displayName: str
    supportedGenerationMethods: list[str]
    inputTokenLimit: int | None = None
    outputTokenLimit: int | None = None


class GeminiModelList(msgspec.Struct, omit_defaults=True):
    models: list[GeminiModel]
    nextPageToken: str | None = None


ANTHROPIC_PAGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
        "description": "With `anthropic-version`: page length.",
    },
    "after_id": {"type": "string", "description": "With `anthropic-version`: the page after this model."},
    "before_id": {"type": "string", "description": "With `anthropic-version`: the page before this model."},
}
GEMINI_PAGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "pageSize": {"type": "integer", "minimum": 0, "description": "0 is the default, 50; more than 1000 is 1000."},
    "pageToken": {"type": "string", "description": "`nextPageToken` of the page before."},
}
