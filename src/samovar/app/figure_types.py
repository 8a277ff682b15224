"""What the surfaces of figures take and give, as types: embeddings and counts of tokens (see ``surfaces.py``)."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

_Name: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=512, description="provider/model, an alias, a group, or a bare name")
]
_Token: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]


class EmbeddingsQuestion(msgspec.Struct, omit_defaults=True):
    """https://platform.openai.com/docs/api-reference/embeddings/create"""

    model: _Name
    input: Annotated[str, Meta(min_length=1)] | list[str | _Token | list[_Token]]
    dimensions: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class Embedding(msgspec.Struct):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(msgspec.Struct):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsList(msgspec.Struct):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage | None = None


class CountedMessage(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[dict[str, Any]]


class CountRequest(msgspec.Struct, omit_defaults=True):
    """https://platform.claude.com/docs/en/api/messages-count-tokens"""

    model: _Name
    messages: Annotated[list[CountedMessage], Meta(min_length=1)]
    system: str | None = None
    tools: list[dict[str, Any]] | None = None


class TokenCount(msgspec.Struct):
    input_tokens: int
