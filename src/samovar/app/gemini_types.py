"""What Gemini's surface takes and gives, as types (see ``surfaces.py``)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class GeminiPart(msgspec.Struct):
    text: str


class GeminiContents(msgspec.Struct, omit_defaults=True):
    parts: list[GeminiPart]
    role: Literal["user", "model"] | None = None


class GeminiRequest(msgspec.Struct, omit_defaults=True):
    """https://ai.google.dev/api/generate-content"""

    contents: Annotated[list[GeminiContents], Meta(min_length=1)]
    systemInstruction: GeminiContents | None = None
    generationConfig: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None


class GeminiAnswer(msgspec.Struct):
    candidates: list[dict[str, Any]]
    usageMetadata: dict[str, Any]


class GeminiErrorBody(msgspec.Struct):
    code: int
    message: str
    status: str


class GeminiError(msgspec.Struct):
    error: GeminiErrorBody


class GeminiCountRequest(msgspec.Struct, omit_defaults=True):
    """https://ai.google.dev/api/tokens; one of the two."""

    contents: Annotated[list[GeminiContents], Meta(min_length=1)] | None = None
    generateContentRequest: GeminiRequest | None = None


class GeminiTextPart(msgspec.Struct):
    text: str


class GeminiTexts(msgspec.Struct):
    parts: Annotated[list[GeminiTextPart], Meta(min_length=1)]


class GeminiEmbedRequest(msgspec.Struct, omit_defaults=True):
    """https://ai.google.dev/api/embeddings"""

    content: GeminiTexts
    model: str | None = None
    taskType: str | None = None
    title: str | None = None
    outputDimensionality: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class GeminiEmbedBatch(msgspec.Struct):
    requests: Annotated[list[GeminiEmbedRequest], Meta(min_length=1)]


class GeminiVector(msgspec.Struct):
    values: list[float]


class GeminiEmbedding(msgspec.Struct, omit_defaults=True):
    embedding: GeminiVector
    usageMetadata: dict[str, Any] | None = None


class GeminiEmbeddings(msgspec.Struct, omit_defaults=True):
    embeddings: list[GeminiVector]
    usageMetadata: dict[str, Any] | None = None


class GeminiTokenCount(msgspec.Struct):
    totalTokens: int
