"""The types of Anthropic's messages API as they stand on the wire (https://platform.claude.com/docs/en/api/messages).

Blocks forbid unknown fields on purpose: a block that says more than these types can hold is kept whole as an opaque part
and never loses a field on its way. JSON that only passes through stays ``Raw``; ``ABSENT`` marks a field not said.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw

DIALECT: Final = "anthropic-messages"
ABSENT: Final = Raw(b"")
OWN_FIELDS: Final = frozenset({"drop_params"})
"""Request fields that are Samovar's and must not reach a vendor."""

Count: TypeAlias = Annotated[int, Meta(ge=0)]


class CacheControl(msgspec.Struct, tag="ephemeral", forbid_unknown_fields=True, omit_defaults=True):
    ttl: str | None = None


# --- sources of images and documents -------------------------------------------------------------------------------


class Base64Source(msgspec.Struct, tag="base64", forbid_unknown_fields=True):
    media_type: str
    data: str


class UrlSource(msgspec.Struct, tag="url", forbid_unknown_fields=True):
    url: str


class FileSource(msgspec.Struct, tag="file", forbid_unknown_fields=True):
    file_id: str


class TextSource(msgspec.Struct, tag="text", forbid_unknown_fields=True):
    data: str
    media_type: Literal["text/plain"] = "text/plain"


ImageSource: TypeAlias = Base64Source | UrlSource | FileSource
DocumentSource: TypeAlias = Base64Source | UrlSource | FileSource | TextSource


# --- blocks --------------------------------------------------------------------------------------------------------


class TextBlock(msgspec.Struct, tag="text", forbid_unknown_fields=True, omit_defaults=True):
    text: str
    cache_control: CacheControl | None = None
    citations: Raw = ABSENT


class ImageBlock(msgspec.Struct, tag="image", forbid_unknown_fields=True, omit_defaults=True):
    source: ImageSource
    cache_control: CacheControl | None = None


class DocumentBlock(msgspec.Struct, tag="document", forbid_unknown_fields=True, omit_defaults=True):
    source: DocumentSource
    title: str | None = None
    cache_control: CacheControl | None = None


class DirectCaller(msgspec.Struct, tag="direct", forbid_unknown_fields=True):
    """The model itself called the tool: what every other dialect means by a tool call."""


class ToolUseBlock(msgspec.Struct, tag="tool_use", forbid_unknown_fields=True, omit_defaults=True):
    id: str
    name: str
    input: Raw
    cache_control: CacheControl | None = None
    caller: DirectCaller | None = None


class ToolResultBlock(msgspec.Struct, tag="tool_result", forbid_unknown_fields=True, omit_defaults=True):
    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(msgspec.Struct, tag="thinking", forbid_unknown_fields=True):
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(msgspec.Struct, tag="redacted_thinking", forbid_unknown_fields=True):
    data: str


KnownBlock: TypeAlias = (
    TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock
)


# --- usage and why an answer ended ----------------------------------------------------------------------------------


class CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class ServerToolUse(msgspec.Struct):
    web_search_requests: Count | None = None


class OutputDetails(msgspec.Struct):
    thinking_tokens: Count | None = None


class Iteration(msgspec.Struct):
    """One of the runs that a single call was made of. Runs of type ``compaction`` are billed, yet are not in the totals."""

    type: str = ""
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None


class UsageWire(msgspec.Struct):
    """``input_tokens`` excludes what was read from and written to the cache. Cumulative in a stream."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUse | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None
    iterations: list[Iteration] | None = None


class StopDetails(msgspec.Struct):
    type: str = ""
    explanation: str | None = None


class ErrorWire(msgspec.Struct):
    type: str = "api_error"
    message: str = ""


class MessageWire(msgspec.Struct):
    """A whole answer, or what ``message_start`` says of it; with ``type`` ``error`` an error in its place."""

    type: str = ""
    id: str = ""
    model: str = ""
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: UsageWire | None = None
    error: ErrorWire | None = None


# --- events of a stream ---------------------------------------------------------------------------------------------


class DeltaWire(msgspec.Struct):
    """All the deltas in one: ``type`` says which fields count."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str = ""
    citation: Raw = ABSENT
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class EventWire(msgspec.Struct):
    """Any event of a stream."""

    type: str = ""
    index: Count = 0
    message: MessageWire | None = None
    content_block: Raw = ABSENT
    delta: DeltaWire | None = None
    usage: UsageWire | None = None
    error: ErrorWire | None = None


def said(raw: Raw) -> bool:
    """Whether a field that may be absent or ``null`` holds anything."""
    return raw is not ABSENT and bytes(raw) not in (b"", b"null")
