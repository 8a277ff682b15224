"""The neutral core: what a call to a language model *is*, whatever surface asked and whatever vendor answers.

Every vendor's dialect translates to and from these types, and nothing else knows two dialects. The rules:

* Parts stand in the order in which they were said. Roles are ours; a dialect maps them.
* Usage is *inclusive*: ``input_tokens`` counts cached and cache-written tokens, ``output_tokens`` counts reasoning. The
  detail fields say how much of the whole they are, and are never added to it.
* What a dialect can say and the core cannot stands in ``extensions`` under that dialect's own field name. It survives a
  round trip in one dialect; another dialect must refuse it, or drop it if the caller set ``drop_params``.
* JSON that only passes through (schemas, arguments, metadata) stays ``msgspec.Raw`` or text: never parsed, never changed.
"""

from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

# --- what is said ---------------------------------------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Words. ``cache`` marks the end of a prefix worth caching; ``annotations`` (citations) pass through as they came.
    ``phase`` is OpenAI's label of an assistant's words (``"commentary"``, ``"final_answer"``); others leave it out."""

    text: str
    cache: "CacheMark | None" = None
    annotations: msgspec.Raw | None = None
    phase: str | None = None


class MediaKind(StrEnum):
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    FILE = "file"


class Media(msgspec.Struct, frozen=True, kw_only=True, tag="media"):
    """An image, sound, video or document. Exactly one of ``base64`` (without a data-URL prefix), ``url`` and ``file_id``
    (the vendor's own store) is set. ``media_type`` is a MIME type, needed with ``base64``."""

    kind: MediaKind
    base64: str | None = None
    url: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    detail: str | None = None
    filename: str | None = None
    cache: "CacheMark | None" = None


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """The model asks for a tool. ``arguments`` is JSON text exactly as the model wrote it: perhaps not valid JSON.
    ``signature`` is the vendor's opaque proof that must come back with the call (Gemini's ``thoughtSignature``)."""

    id: str
    name: str
    arguments: str
    signature: str | None = None
    cache: "CacheMark | None" = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result"):
    """What the tool with that call id answered."""

    call_id: str
    content: tuple["Text | Media", ...]
    is_error: bool = False
    name: str | None = None
    cache: "CacheMark | None" = None


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning"):
    """The model's thinking. ``signature`` (Anthropic, Gemini) or ``encrypted`` (OpenAI's ``encrypted_content``,
    Anthropic's redacted thinking) must come back untouched to the vendor named in ``origin``; others ignore them."""

    text: str = ""
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None
    origin: str | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """The model declines, in words."""

    text: str


class Opaque(msgspec.Struct, frozen=True, kw_only=True, tag="opaque"):
    """A part that only its own dialect understands (server tools and their results, for instance), kept whole."""

    dialect: str
    raw: msgspec.Raw


Part: TypeAlias = Text | Media | ToolCall | ToolResult | Reasoning | Refusal | Opaque


class CacheMark(msgspec.Struct, frozen=True, kw_only=True):
    """Cache the prompt up to here. ``ttl`` is the vendor's word (``"5m"``, ``"1h"``); ``None`` is its default."""

    ttl: str | None = None


class Role(StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


# --- what is asked --------------------------------------------------------------------------------------------------


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function the model may call. ``schema`` is a JSON Schema object, passed through."""

    name: str
    description: str | None = None
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    cache: CacheMark | None = None


class ToolMode(StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """``name`` is set with :attr:`ToolMode.NAMED` and only then."""

    mode: ToolMode
    name: str | None = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """``json_object`` is any JSON; ``json_schema`` must fit ``schema``."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw | None = None
    strict: bool | None = None


class ReasoningSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How hard to think. ``effort`` is the vendor's word (``"low"``, ``"high"``, ...), ``budget_tokens`` a number, and
    ``enabled=False`` asks for none; a dialect uses the one it knows and derives it where the mapping is stated."""

    enabled: bool | None = None
    effort: str | None = None
    budget_tokens: int | None = None
    summary: str | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call for one answer. ``None`` means "not said": the vendor's default, never ours."""

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    wants_usage: bool = False
    """A stream's caller asked for usage at its end (OpenAI's ``stream_options``); other surfaces always want it."""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    choices: int | None = None
    output: OutputFormat | None = None
    reasoning: ReasoningSettings | None = None
    user: str | None = None
    service_tier: str | None = None
    metadata: msgspec.Raw | None = None
    extensions: dict[str, msgspec.Raw] = {}
    hints: dict[str, msgspec.Raw] = {}
    """Like ``extensions``, but for settings that leave the answer as it is (a cache key, "do not store"): another
    dialect leaves them out unasked, because nothing is lost."""
    dialect: str = ""
    """The dialect the request was read from: whose ``extensions``, ``hints`` and ``Opaque`` parts these are."""


# --- what is answered -----------------------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tokens, inclusive (see the module). ``reported_cost_nano_usd`` is the vendor's own word on the price."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    """How much of ``cache_write_tokens`` was written for an hour, where the vendor prices that apart."""
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    web_searches: int = 0
    reported_cost_nano_usd: int | None = None
    service_tier: str | None = None
    estimated: bool = False


class StopKind(StrEnum):
    """Why the model stopped. A dialect without the word uses the nearest; :class:`Stop` keeps the original in ``raw``."""

    END = "end"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    CONTEXT_WINDOW = "context_window"
    ERROR = "error"
    OTHER = "other"


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    kind: StopKind
    sequence: str | None = None
    raw: str | None = None


class ChatResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. ``created`` is seconds since 1970 where the vendor says, else 0."""

    id: str
    model: str
    parts: tuple[Part, ...]
    stop: Stop
    usage: Usage
    created: int = 0


# --- what is streamed -----------------------------------------------------------------------------------------------
# A stream is Opened, then parts (each PartOpened, its deltas, PartClosed; at most one part open at each index), then
# Stopped, with UsageSeen whenever the vendor says it (cumulative: the last one counts). Failed ends it early.


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    id: str
    model: str
    created: int = 0


class PartOpened(msgspec.Struct, frozen=True, tag="part_opened"):
    """``part`` is the part as far as it is known: a tool call with its id and name and no arguments, an empty text."""

    index: int
    part: Part


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta"):
    """More words for the text, reasoning or refusal part at ``index``."""

    index: int
    text: str


class ArgumentsDelta(msgspec.Struct, frozen=True, tag="arguments_delta"):
    """More JSON text for the tool call at ``index``."""

    index: int
    json: str


class SignatureDelta(msgspec.Struct, frozen=True, tag="signature_delta"):
    """The signature (``encrypted=False``) or encrypted content of the reasoning part at ``index``."""

    index: int
    signature: str
    encrypted: bool = False


class AnnotationDelta(msgspec.Struct, frozen=True, tag="annotation_delta"):
    """One citation for the text at ``index``, as it came."""

    index: int
    raw: msgspec.Raw


class PartClosed(msgspec.Struct, frozen=True, tag="part_closed"):
    index: int


class UsageSeen(msgspec.Struct, frozen=True, tag="usage"):
    usage: Usage


class Stopped(msgspec.Struct, frozen=True, tag="stopped"):
    stop: Stop


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The vendor ended the stream with an error event. ``status`` is the HTTP status it would have been."""

    status: int
    code: str
    message: str


class KeepAlive(msgspec.Struct, frozen=True, tag="keep_alive"):
    """The vendor said that it is still there."""


Delta: TypeAlias = (
    Opened
    | PartOpened
    | TextDelta
    | ArgumentsDelta
    | SignatureDelta
    | AnnotationDelta
    | PartClosed
    | UsageSeen
    | Stopped
    | Failed
    | KeepAlive
)
