"""Tokens and reasons to stop, to and from the neutral core.

The core's output includes thoughts, Gemini's ``candidatesTokenCount`` does not; what the service's own tools fed to the
model (``toolUsePromptTokenCount``) is input like any other. Source: https://ai.google.dev/api/generate-content, *UsageMetadata*.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from samovar.ports.llm import Stop, StopKind, Usage
from samovar.providers.gemini.wire import AnswerWire, Candidate, ModalityCount, UsageWire

_KINDS: Final[Mapping[str, StopKind]] = {
    "STOP": StopKind.END,
    "MAX_TOKENS": StopKind.MAX_TOKENS,
    "SAFETY": StopKind.CONTENT_FILTER,
    "RECITATION": StopKind.CONTENT_FILTER,
    "BLOCKLIST": StopKind.CONTENT_FILTER,
    "PROHIBITED_CONTENT": StopKind.CONTENT_FILTER,
    "SPII": StopKind.CONTENT_FILTER,
    "MODEL_ARMOR": StopKind.CONTENT_FILTER,
    "IMAGE_SAFETY": StopKind.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": StopKind.CONTENT_FILTER,
    "IMAGE_RECITATION": StopKind.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": StopKind.ERROR,
    "MALFORMED_RESPONSE": StopKind.ERROR,
    "UNEXPECTED_TOOL_CALL": StopKind.ERROR,
    "TOO_MANY_TOOL_CALLS": StopKind.ERROR,
    "MISSING_THOUGHT_SIGNATURE": StopKind.ERROR,
    "CONTINUATION": StopKind.PAUSE,
    "LANGUAGE": StopKind.OTHER,
    "OTHER": StopKind.OTHER,
    "IMAGE_OTHER": StopKind.OTHER,
    "NO_IMAGE": StopKind.OTHER,
}
# Gemini has no word of its own for a call, a stop sequence or a full context: a plain stop, or the bound reached.
_WORDS: Final[Mapping[StopKind, str]] = {
    StopKind.END: "STOP",
    StopKind.STOP_SEQUENCE: "STOP",
    StopKind.TOOL_CALLS: "STOP",
    StopKind.MAX_TOKENS: "MAX_TOKENS",
    StopKind.CONTEXT_WINDOW: "MAX_TOKENS",
    StopKind.CONTENT_FILTER: "SAFETY",
    StopKind.REFUSAL: "SAFETY",
    StopKind.PAUSE: "OTHER",
    StopKind.ERROR: "OTHER",
    StopKind.OTHER: "OTHER",
}
_TIERS: Final[Mapping[str, str]] = {
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "PROVISIONED_THROUGHPUT": "provisioned",
}
_FIELDS: Final = UsageWire.__struct_fields__


def merged(earlier: UsageWire | None, later: UsageWire | None) -> UsageWire | None:
    """Usage is cumulative in a stream, and the first chunks may say little: what the later one leaves out stays."""
    if earlier is None or later is None:
        return later or earlier
    # In place, because this runs for every chunk and almost always finds nothing to keep.
    for name in _FIELDS:
        if getattr(later, name) is None:
            setattr(later, name, getattr(earlier, name))
    return later


def read_usage(wire: UsageWire, *, web_searches: int = 0) -> Usage:
    """Inclusive tokens."""
    thoughts = wire.thoughts_token_count or 0
    into = _by_modality((*(wire.prompt_tokens_details or ()), *(wire.tool_use_prompt_tokens_details or ())))
    out = _by_modality(wire.candidates_tokens_details or ())
    return Usage(
        input_tokens=(wire.prompt_token_count or 0) + (wire.tool_use_prompt_token_count or 0),
        output_tokens=(wire.candidates_token_count or 0) + thoughts,
        cached_input_tokens=wire.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
        audio_input_tokens=into.get("AUDIO", 0),
        image_input_tokens=into.get("IMAGE", 0),
        audio_output_tokens=out.get("AUDIO", 0),
        image_output_tokens=out.get("IMAGE", 0),
        web_searches=web_searches,
        service_tier=wire.service_tier or _TIERS.get(wire.traffic_type or ""),
    )


def _by_modality(counts: Iterable[ModalityCount]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for count in counts:
        sums[count.modality] = sums.get(count.modality, 0) + count.token_count
    return sums


def searches_of(candidates: Sequence[Candidate] | None) -> int:
    """Web searches made for an answer (Google bills them beside the tokens)."""
    if not candidates or candidates[0].grounding_metadata is None:
        return 0
    return len(candidates[0].grounding_metadata.web_search_queries or ())


def write_usage(usage: Usage) -> dict[str, Any]:
    """``usageMetadata``. Tokens written to a cache have no field there: they stay part of the prompt's count."""
    candidates = max(0, usage.output_tokens - usage.reasoning_tokens)
    wire: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": candidates,
        "totalTokenCount": usage.input_tokens + candidates + usage.reasoning_tokens,
        "promptTokensDetails": _details(usage.input_tokens, usage.audio_input_tokens, usage.image_input_tokens),
    }
    if usage.cached_input_tokens:
        wire["cachedContentTokenCount"] = usage.cached_input_tokens
    if usage.reasoning_tokens:
        wire["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.audio_output_tokens or usage.image_output_tokens:
        wire["candidatesTokensDetails"] = _details(candidates, usage.audio_output_tokens, usage.image_output_tokens)
    return wire


def _details(total: int, audio: int, image: int) -> list[dict[str, Any]]:
    counts = (("TEXT", max(0, total - audio - image)), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": name, "tokenCount": count} for name, count in counts if count or name == "TEXT"]


def stop_of(wire: AnswerWire, *, called: bool) -> Stop | None:
    """Why the answer ended, ``None`` while it has not. ``called`` is whether it holds a call: Gemini's word is ``STOP`` then
    too. A blocked prompt has no candidate, only a reason."""
    reason = wire.candidates[0].finish_reason if wire.candidates else None
    if reason is not None:
        kind = _KINDS.get(reason, StopKind.OTHER)
        return Stop(kind=StopKind.TOOL_CALLS if called and kind is StopKind.END else kind, raw=reason)
    if wire.prompt_feedback is not None and wire.prompt_feedback.block_reason is not None:
        return Stop(kind=StopKind.CONTENT_FILTER, raw=wire.prompt_feedback.block_reason)
    return None


def write_stop(stop: Stop) -> str:
    """The dialect's word: the one it came with, if it is Gemini's, else the nearest."""
    if stop.raw is not None and _KINDS.get(stop.raw) is stop.kind:
        return stop.raw
    return _WORDS[stop.kind]
