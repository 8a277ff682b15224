"""Anthropic's surfaces: messages, and counts of their tokens."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from samovar.app.described import Described
from samovar.app.surfaces.values import Name, Positive


class Base64Source(msgspec.Struct, tag="base64"):
    media_type: str
    data: str


class UrlSource(msgspec.Struct, tag="url"):
    url: str


class ImageBlock(msgspec.Struct, tag="image"):
    source: Base64Source | UrlSource


class TextBlock(msgspec.Struct, tag="text"):
    text: str


class ToolUseBlock(msgspec.Struct, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]


class ToolResultBlock(msgspec.Struct, tag="tool_result", omit_defaults=True):
    tool_use_id: str
    content: str | None = None


class AnthropicMessage(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[TextBlock | ImageBlock | ToolUseBlock | ToolResultBlock]


class AnthropicTool(msgspec.Struct, omit_defaults=True):
    name: str
    input_schema: dict[str, Any]
    description: str | None = None


class MessagesRequest(msgspec.Struct, omit_defaults=True):
    """https://platform.claude.com/docs/en/api/messages"""

    model: Name
    max_tokens: Positive
    messages: Annotated[list[AnthropicMessage], Meta(min_length=1)]
    system: str | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop_sequences: list[str] | None = None
    tools: list[AnthropicTool] | None = None
    drop_params: (
        Annotated[bool, Meta(description="Samovar's own: leave out what the chosen vendor cannot do.")] | None
    ) = None


class MessagesUsage(msgspec.Struct):
    input_tokens: int
    output_tokens: int


class AnthropicAnswer(msgspec.Struct):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    usage: MessagesUsage


class AnthropicErrorBody(msgspec.Struct):
    type: str
    message: str


class AnthropicError(msgspec.Struct):
    type: Literal["error"]
    error: AnthropicErrorBody
    request_id: str


class CountedMessage(msgspec.Struct):
    role: Literal["user", "assistant"]
    content: str | list[dict[str, Any]]


class CountRequest(msgspec.Struct, omit_defaults=True):
    """https://platform.claude.com/docs/en/api/messages-count-tokens"""

    model: Name
    messages: Annotated[list[CountedMessage], Meta(min_length=1)]
    system: str | None = None
    tools: list[dict[str, Any]] | None = None


class TokenCount(msgspec.Struct):
    input_tokens: int


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
ANTHROPIC: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", "/v1/messages"): Described(
        summary="Messages, as Anthropic's API",
        request=MessagesRequest,
        response=AnthropicAnswer,
        error=AnthropicError,
        streams=True,
    ),
    ("POST", "/v1/messages/count_tokens"): Described(
        summary="The tokens of a prompt, as Anthropic's API: the vendor's own count, or an estimate (4 characters a token,"
        " 1,000 tokens an image or file), which the header `x-samovar-estimated: 1` marks",
        request=CountRequest,
        response=TokenCount,
        error=AnthropicError,
    ),
}
