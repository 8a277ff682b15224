"""Gemini's surfaces: contents, embeddings, counts of tokens, and the list of models."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from samovar.app.described import Described


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


GEMINI_PAGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "pageSize": {"type": "integer", "minimum": 0, "description": "0 is the default, 50; more than 1000 is 1000."},
    "pageToken": {"type": "string", "description": "`nextPageToken` of the page before."},
}

_GEMINI: Final = "/gemini/v1beta/models/{model}"

GOOGLE: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", f"{_GEMINI}:generateContent"): Described(
        summary="Contents, as Gemini's API",
        request=GeminiRequest,
        response=GeminiAnswer,
        error=GeminiError,
        parameters=("model",),
    ),
    ("POST", f"{_GEMINI}:streamGenerateContent"): Described(
        summary="Contents, as Gemini's API: a JSON array of pieces, or events with `alt=sse`",
        request=GeminiRequest,
        response=list[GeminiAnswer],
        error=GeminiError,
        streams=True,
        parameters=("model",),
        query={"alt": {"type": "string", "enum": ["sse", "json"]}},
    ),
    ("POST", f"{_GEMINI}:countTokens"): Described(
        summary="The tokens of a prompt, as Gemini's API: the vendor's own count, or an estimate (4 characters a token,"
        " 1,000 tokens an image or file), which the header `x-samovar-estimated: 1` marks",
        request=GeminiCountRequest,
        response=GeminiTokenCount,
        error=GeminiError,
        parameters=("model",),
    ),
    ("POST", f"{_GEMINI}:embedContent"): Described(
        summary="A vector for a text, as Gemini's API",
        request=GeminiEmbedRequest,
        response=GeminiEmbedding,
        error=GeminiError,
        parameters=("model",),
    ),
    ("POST", f"{_GEMINI}:batchEmbedContents"): Described(
        summary="Vectors for texts, as Gemini's API",
        request=GeminiEmbedBatch,
        response=GeminiEmbeddings,
        error=GeminiError,
        parameters=("model",),
    ),
    ("GET", "/gemini/v1beta/models"): Described(
        summary="The models that this key may use, as Gemini's API",
        response=GeminiModelList,
        error=GeminiError,
        query=GEMINI_PAGES,
        statuses=(400, 401, 403),
    ),
    ("GET", _GEMINI): Described(
        summary="One model, as Gemini's API",
        response=GeminiModel,
        error=GeminiError,
        parameters=("model",),
        statuses=(401, 403, 404),
    ),
}
