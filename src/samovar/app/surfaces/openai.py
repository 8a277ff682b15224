"""OpenAI's surfaces: chat, responses, embeddings, and the list of models."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from samovar.app.described import Described
from samovar.app.surfaces.anthropic import ANTHROPIC_PAGES, MessagesUsage
from samovar.app.surfaces.values import Name, Positive, Temperature

# --- chat --------------------------------------------------------------------------------------------------------------


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


# --- responses ---------------------------------------------------------------------------------------------------------


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


# --- embeddings --------------------------------------------------------------------------------------------------------

Token: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]


class EmbeddingsQuestion(msgspec.Struct, omit_defaults=True):
    """https://platform.openai.com/docs/api-reference/embeddings/create"""

    model: Name
    input: Annotated[str, Meta(min_length=1)] | list[str | Token | list[Token]]
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


# --- models ------------------------------------------------------------------------------------------------------------


class OpenAIModel(msgspec.Struct):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelList(msgspec.Struct):
    object: Literal["list"]
    data: list[OpenAIModel]


OPENAI: Final[Mapping[tuple[str, str], Described]] = {
    ("POST", "/v1/chat/completions"): Described(
        summary="Chat, as OpenAI's API",
        request=ChatCompletionRequest,
        response=ChatCompletion,
        error=OpenAIError,
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
