"""What the raw surfaces take and give, as types: the published schema where the code keeps bytes.

The surfaces take every field of the vendor's own API; these types name the ones that every target understands, and allow
others beside them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from samovar.app.described import Described
from samovar.app.figure_types import CountRequest, EmbeddingsList, EmbeddingsQuestion, TokenCount
from samovar.app.gemini_types import (
    GeminiAnswer,
    GeminiCountRequest,
    GeminiEmbedBatch,
    GeminiEmbedding,
    GeminiEmbeddings,
    GeminiEmbedRequest,
    GeminiError,
    GeminiRequest,
    GeminiTokenCount,
)
from samovar.app.listing_types import ANTHROPIC_PAGES, GEMINI_PAGES, GeminiModel, GeminiModelList

Name: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=512, description="provider/model, an alias, a group, or a bare name")
]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=100_000_000)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]


# --- OpenAI chat -------------------------------------------------------------------------------------------------------


class ImageUrl(msgspec.Struct):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class TextPart(msgspec.Struct, tag="text"):
    text: str


class ImagePart(msgspec.Struct, tag="image_url"):
    image_url: ImageUrl


class FunctionCall(msgspec.Struct):
    name: str
    arguments: str


class ChatToolCall(msgspec.Struct, tag="function"):
    id: str
    function: FunctionCall


class ChatMessage(msgspec.Struct, omit_defaults=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart | ImagePart] | None = None
    tool_calls: list[ChatToolCall] | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ChatTool(msgspec.Struct, tag="function"):
    function: Function


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatCompletionRequest(msgspec.Struct, omit_defaults=True):
    """https://platform.openai.com/docs/api-reference/chat/create"""

    model: Name
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    temperature: Temperature | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: list[ChatTool] | None = None
    drop_params: (
        Annotated[bool, Meta(description="Samovar's own: leave out what the chosen vendor cannot do.")] | None
    ) = None


class ChatUsage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatChoice(msgspec.Struct):
    index: int
    message: ChatMessage
    finish_reason: str


class ChatCompletion(msgspec.Struct):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage


class OpenAIErrorBody(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct):
    error: OpenAIErrorBody


class OpenAIModel(msgspec.Struct):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelList(msgspec.Struct):
    object: Literal["list"]
    data: list[OpenAIModel]


# --- Anthropic messages ------------------------------------------------------------------------------------------------


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


# --- OpenAI responses --------------------------------------------------------------------------------------------------


class InputMessage(msgspec.Struct):
    role: Literal["user", "assistant", "system", "developer"]
    content: str


class ResponsesTool(msgspec.Struct, tag="function", omit_defaults=True):
    name: str
    parameters: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponsesRequest(msgspec.Struct, omit_defaults=True):
    """https://platform.openai.com/docs/api-reference/responses/create"""

    model: Name
    input: Annotated[str, Meta(min_length=1)] | list[InputMessage]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=16, le=100_000_000)] | None = None
    temperature: Temperature | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    tools: list[ResponsesTool] | None = None
    store: bool | None = None
    drop_params: (
        Annotated[bool, Meta(description="Samovar's own: leave out what the chosen vendor cannot do.")] | None
    ) = None


class ResponsesAnswer(msgspec.Struct):
    id: str
    object: Literal["response"]
    model: str
    status: str
    output: list[dict[str, Any]]
    usage: MessagesUsage | None = None


# --- the table ---------------------------------------------------------------------------------------------------------

_GEMINI: Final = "/gemini/v1beta/models/{model}"

DOCUMENTED: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", "/v1/chat/completions"): Described(
        summary="Chat, as OpenAI's API",
        request=ChatCompletionRequest,
        response=ChatCompletion,
        error=OpenAIError,
        streams=True,
    ),
    ("POST", "/v1/messages"): Described(
        summary="Messages, as Anthropic's API",
        request=MessagesRequest,
        response=AnthropicAnswer,
        error=AnthropicError,
        streams=True,
    ),
    ("POST", "/v1/responses"): Described(
        summary="Responses, as OpenAI's API",
        request=ResponsesRequest,
        response=ResponsesAnswer,
        error=OpenAIError,
        streams=True,
    ),
    ("POST", "/v1/embeddings"): Described(
        summary="Vectors for texts, as OpenAI's API",
        request=EmbeddingsQuestion,
        response=EmbeddingsList,
        error=OpenAIError,
    ),
    ("POST", "/v1/messages/count_tokens"): Described(
        summary="The tokens of a prompt, as Anthropic's API: the vendor's own count, or an estimate (4 characters a token,"
        " 1,000 tokens an image or file), which the header `x-samovar-estimated: 1` marks",
        request=CountRequest,
        response=TokenCount,
        error=AnthropicError,
    ),
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
    ("GET", "/v1/models"): Described(
        summary="The models that this key may use",
        response=OpenAIModelList,
        error=OpenAIError,
        query=ANTHROPIC_PAGES,
        statuses=(400, 401, 403),
    ),
    ("GET", "/v1/models/{id}"): Described(
        summary="One model",
        response=OpenAIModel,
        error=OpenAIError,
        parameters=("id",),
        statuses=(401, 403, 404),
    ),
}
"""Method and route template to what the document says of it."""
