"""The shapes of OpenAI's chat format, as far as we look at them (openai-python, ``src/openai/types/chat``).

Lenient where servers differ: a field that one vendor leaves out and another sends as ``null`` is optional here. What we
only pass on stays ``Raw``.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

DIALECT: Final = "openai-chat"
OWN_FIELDS: Final = frozenset({"drop_params", "samovar"})
"""Request fields that are ours and no vendor's."""

ABSENT: Final = Raw(b"")
"""A field that was not said. (msgspec takes ``Raw`` only alone, never in a union.)"""
_NULL: Final = Raw(b"null")
Positive = Annotated[int, Meta(ge=1)]

# --- request --------------------------------------------------------------------------------------------------------


class StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


class HeadMessage(Struct, frozen=True):
    role: str


class HeadBody(Struct, frozen=True):
    """The fields that routing and holds stand on, with the types of those a caller gets wrong most often."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[HeadMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    drop_params: bool | None = None


class RequestBody(Struct, frozen=True):
    """Every request field that the neutral core has a place for."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Raw], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    service_tier: str | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = ABSENT
    response_format: Raw = ABSENT
    metadata: dict[str, Raw] | None = None
    drop_params: bool | None = None


class ThinkingSwitch(Struct, frozen=True):
    """BigModel's ``thinking`` and OpenRouter's ``reasoning`` objects in one."""

    type: str | None = None
    enabled: bool | None = None
    effort: str | None = None
    budget_tokens: int | None = None
    max_tokens: int | None = None


class Typed(Struct, frozen=True):
    """Anything that says what it is."""

    type: str = ""


class CacheControl(Struct, frozen=True):
    """OpenRouter's ``cache_control`` and OpenAI's ``prompt_cache_breakpoint`` alike."""

    ttl: str | None = None


class TextPart(Struct, frozen=True):
    text: str
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheControl | None = None


class RefusalPart(Struct, frozen=True):
    refusal: str


class MediaUrl(Struct, frozen=True):
    url: str
    detail: str | None = None


class ImagePart(Struct, frozen=True):
    image_url: MediaUrl | str
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheControl | None = None


class VideoPart(Struct, frozen=True):
    video_url: MediaUrl | str
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheControl | None = None


class AudioData(Struct, frozen=True):
    data: str
    format: str


class AudioPart(Struct, frozen=True):
    input_audio: AudioData
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheControl | None = None


class FileData(Struct, frozen=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Struct, frozen=True):
    file: FileData
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheControl | None = None


class Function(Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None


class FunctionTool(Struct, frozen=True):
    function: Function
    cache_control: CacheControl | None = None


class NamedFunction(Struct, frozen=True):
    name: str


class NamedChoice(Struct, frozen=True):
    function: NamedFunction


class JsonSchema(Struct, frozen=True):
    name: str
    description: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None


class SchemaFormat(Struct, frozen=True):
    json_schema: JsonSchema


class GoogleProof(Struct, frozen=True):
    thought_signature: str | None = None


class ExtraContent(Struct, frozen=True):
    """Where Google's OpenAI-compatible surface keeps a thought signature."""

    google: GoogleProof | None = None


class CalledFunction(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class FunctionCallPart(Struct, frozen=True):
    """A tool call, in a message and, with ``index``, in a stream's chunk."""

    id: str | None = None
    index: int | None = None
    function: CalledFunction | None = None
    extra_content: ExtraContent | None = None


class ReasoningDetail(Struct, frozen=True):
    """OpenRouter's ``reasoning_details``: thinking that must come back untouched."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


class MessageBody(Struct, frozen=True):
    role: str
    content: str | list[Raw] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[Raw] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None


# --- answer ---------------------------------------------------------------------------------------------------------


class AnswerChoice(Struct, frozen=True):
    message: Raw = ABSENT
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: Raw = ABSENT
    error: Raw = ABSENT


class AnswerBody(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    object: str | None = None
    created: float | None = None
    choices: list[AnswerChoice] | None = None
    usage: Raw = ABSENT
    service_tier: str | None = None
    error: Raw = ABSENT


class ContentPart(Struct, frozen=True):
    """Mistral answers with parts, its thinking among them; everyone else with a string."""

    type: str = ""
    text: str | None = None
    thinking: "list[ContentPart] | None" = None


class Delta(Struct, frozen=True):
    content: str | list[ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    refusal: str | None = None
    tool_calls: list[FunctionCallPart] | None = None
    annotations: list[Raw] | None = None
    images: list[ImagePart] | None = None


class ChunkChoice(Struct, frozen=True):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class Chunk(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    object: str | None = None
    created: float | None = None
    choices: list[ChunkChoice] | None = None
    usage: Raw = ABSENT
    service_tier: str | None = None
    error: Raw = ABSENT


# --- reading --------------------------------------------------------------------------------------------------------


def is_null(raw: Raw) -> bool:
    """Whether a field is absent or JSON's ``null``: ``Raw`` alone cannot tell."""
    return raw is ABSENT or raw in (ABSENT, _NULL)


def given(raw: Raw) -> Raw | None:
    """The field, or ``None`` where it is absent or ``null``; a copy that does not keep the whole body alive."""
    return None if is_null(raw) else raw.copy()


def encode(value: Any) -> bytes:
    """JSON, ``Raw`` parts as they are."""
    return msgspec.json.encode(value)


def is_foreign(kind: str | None) -> bool:
    """Whether a chunk without choices says that it is something else. Some servers leave its ``object`` empty or out, and
    some say what a whole answer says."""
    return kind is not None and kind != "" and not kind.startswith("chat.completion")
