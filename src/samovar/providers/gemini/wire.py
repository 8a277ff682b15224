"""The types of Gemini's API as they stand on the wire (https://ai.google.dev/api/generate-content).

Parts forbid unknown fields on purpose: a part that says more than these types can hold is kept whole as an opaque part.
JSON that only passes through stays ``Raw``; ``ABSENT`` marks a field not said.
"""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw

DIALECT: Final = "gemini"
ABSENT: Final = Raw(b"")
OWN_FIELDS: Final = frozenset({"drop_params", "dropParams"})
"""Request fields that are Samovar's and must not reach a vendor."""

Count: TypeAlias = Annotated[int, Meta(ge=0)]


# --- parts ---------------------------------------------------------------------------------------------------------


class Blob(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    data: str
    mime_type: str = ""
    display_name: str | None = None


class FileData(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    file_uri: str
    mime_type: str | None = None
    display_name: str | None = None


class PartialArg(msgspec.Struct, rename="camel"):
    """A piece of a streamed call's arguments. Which value is set says its type; ``null_value`` is ``"NULL_VALUE"``."""

    json_path: str = "$"
    string_value: str | None = None
    number_value: int | float | None = None
    bool_value: bool | None = None
    null_value: str | None = None
    will_continue: bool = False


class FunctionCall(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    name: str | None = None
    id: str | None = None
    args: Raw = ABSENT
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class ResultMedia(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    name: str
    response: Raw = ABSENT
    id: str | None = None
    parts: list[ResultMedia] | None = None


class PartWire(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """One of the kinds is set; a signature may stand beside any of them."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None


# --- usage and errors ----------------------------------------------------------------------------------------------


class ModalityCount(msgspec.Struct, rename="camel"):
    modality: str = ""
    token_count: Count = 0


class UsageWire(msgspec.Struct, rename="camel"):
    """``prompt_token_count`` includes cached tokens; ``candidates_token_count`` excludes thoughts, and tokens of tool
    results that the service itself fed to the model stand apart from the prompt's. Cumulative in a stream."""

    prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    prompt_tokens_details: list[ModalityCount] | None = None
    tool_use_prompt_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None
    traffic_type: str | None = None
    service_tier: str | None = None


class ErrorDetail(msgspec.Struct, rename={"kind": "@type", "retry_delay": "retryDelay", "reason": "reason"}):
    """What we look at of any ``google.rpc`` detail: ``RetryInfo`` and ``ErrorInfo``."""

    kind: str = ""
    retry_delay: Raw = ABSENT
    reason: Raw = ABSENT


class ErrorWire(msgspec.Struct):
    code: int = 0
    message: str = ""
    status: str = ""
    details: list[Raw] | None = None


# --- answers -------------------------------------------------------------------------------------------------------


class ContentWire(msgspec.Struct):
    parts: list[Raw] | None = None


class Grounding(msgspec.Struct, rename="camel"):
    web_search_queries: list[str] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    content: ContentWire | None = None
    finish_reason: str | None = None
    index: Count = 0
    grounding_metadata: Grounding | None = None


class PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class AnswerWire(msgspec.Struct, rename="camel"):
    """A whole answer or one chunk of a stream: the two have one shape. ``error`` stands in place of all else."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageWire | None = None
    model_version: str = ""
    response_id: str = ""
    create_time: str = ""
    error: ErrorWire | None = None


def is_unknown(wire: AnswerWire) -> bool:
    """Whether this version knows no field of a chunk."""
    if wire.candidates is not None or wire.usage_metadata is not None or wire.prompt_feedback is not None:
        return False
    return wire.error is None and not (wire.model_version or wire.response_id or wire.create_time)


def said(raw: Raw) -> bool:
    """Whether a field that may be absent or ``null`` holds anything."""
    return raw is not ABSENT and bytes(raw) not in (b"", b"null")
