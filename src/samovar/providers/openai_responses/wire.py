"""The shapes of the Responses API, as far as we look at them (openai-python, ``src/openai/types/responses``).

Items and content forbid unknown fields on purpose: an item that says more than these types can hold is kept whole as an
opaque part and never loses a field on its way. JSON that only passes through stays ``Raw``; ``ABSENT`` marks a field
not said.
"""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Raw, Struct

DIALECT: Final = "openai-responses"
OWN_FIELDS: Final = frozenset({"drop_params", "samovar"})
"""Request fields that are ours and no vendor's."""

ABSENT: Final = Raw(b"")
Positive = Annotated[int, Meta(ge=1)]
Filled = Annotated[str, Meta(min_length=1)]

# --- content --------------------------------------------------------------------------------------------------------


class Breakpoint(Struct, omit_defaults=True):
    """``prompt_cache_breakpoint``: cache the prompt up to here."""

    mode: str
    ttl: str | None = None


class InputText(Struct, tag="input_text", forbid_unknown_fields=True):
    text: str
    prompt_cache_breakpoint: Breakpoint | None = None


class InputImage(Struct, tag="input_image", forbid_unknown_fields=True):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: Breakpoint | None = None


class InputFile(Struct, tag="input_file", forbid_unknown_fields=True):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: Breakpoint | None = None


class Sound(Struct, forbid_unknown_fields=True):
    data: str
    format: str


class InputAudio(Struct, tag="input_audio", forbid_unknown_fields=True):
    input_audio: Sound
    prompt_cache_breakpoint: Breakpoint | None = None


class OutputText(Struct, tag="output_text", forbid_unknown_fields=True):
    text: str
    annotations: Raw = ABSENT
    logprobs: Raw = ABSENT
    prompt_cache_breakpoint: Breakpoint | None = None


class RefusalContent(Struct, tag="refusal", forbid_unknown_fields=True):
    refusal: str


Content: TypeAlias = InputText | InputImage | InputFile | InputAudio | OutputText | RefusalContent

# --- items ----------------------------------------------------------------------------------------------------------


class MessageItem(Struct, forbid_unknown_fields=True):
    """``id`` and ``status`` are labels of the API's own, without meaning for the model."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    type: Literal["message"] = "message"
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class DirectCaller(Struct, tag="direct", forbid_unknown_fields=True):
    """The model itself called the tool: what every other dialect means by a tool call."""


class FunctionCall(Struct, tag="function_call", forbid_unknown_fields=True):
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None
    caller: DirectCaller | None = None


class FunctionOutput(Struct, tag="function_call_output", forbid_unknown_fields=True):
    call_id: str
    output: str | list[InputText | InputImage | InputFile | InputAudio]
    id: str | None = None
    status: str | None = None
    name: str | None = None
    caller: DirectCaller | None = None


class Thought(Struct):
    """A piece of a summary (``summary_text``) or of open thinking (``reasoning_text``)."""

    text: str = ""


class ReasoningItem(Struct, tag="reasoning", forbid_unknown_fields=True):
    summary: list[Thought] | None = None
    content: list[Thought] | None = None
    encrypted_content: str | None = None
    id: str | None = None
    status: str | None = None


Item: TypeAlias = FunctionCall | FunctionOutput | ReasoningItem


class Typed(Struct):
    """Anything that says what it is."""

    type: str = ""


# --- usage and why an answer ended ----------------------------------------------------------------------------------


class ErrorWire(Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class IncompleteDetails(Struct):
    reason: str | None = None


class OutputItem(Struct):
    """What the end of an answer must know of its items."""

    type: str = ""
    content: list[Typed] | None = None
    encrypted_content: str | None = None
    action: Raw = ABSENT


class Ending(Struct):
    """A whole answer, or what an event says of it, without its content."""

    id: str = ""
    model: str = ""
    object: str = ""
    created_at: float | None = None
    status: str | None = None
    error: ErrorWire | None = None
    incomplete_details: IncompleteDetails | None = None
    output: list[OutputItem] | None = None
    usage: Raw = ABSENT
    service_tier: str | None = None

    def pins(self) -> tuple[str, ...]:
        """What only the maker of the answer can read again."""
        return (self.id, *(item.encrypted_content or "" for item in self.output or ()))


class Answer(Struct):
    """A whole answer with its items."""

    output: list[Raw] | None = None


# --- reading --------------------------------------------------------------------------------------------------------


def said(raw: Raw) -> bool:
    """Whether a field that may be absent or ``null`` holds anything."""
    return raw is not ABSENT and bytes(raw) not in (b"", b"null")


def begins(raw: Raw, sign: bytes) -> bool:
    """Whether the first byte is ``sign``: a string, a list or an object, seen without a copy."""
    return memoryview(raw)[:1] == sign


def says_more(flaw: str) -> bool:
    """Whether msgspec found a field or a type that our types do not have, as against a wrong value in one they have."""
    return "unknown field" in flaw or ("Invalid value" in flaw and flaw.partition(" - at ")[2].endswith("type`"))
