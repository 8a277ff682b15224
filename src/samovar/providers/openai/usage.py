"""Tokens, prices and stop reasons: OpenAI's words and ours."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw, Struct

from samovar.kernel.money import NANO_USD_PER_USD
from samovar.ports.dialect import Quirks
from samovar.ports.llm import Stop, StopKind, Usage
from samovar.ports.vendor_costs import SaysCost, cost_nano_usd
from samovar.providers.openai.wire import is_null


class _InputDetails(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputDetails(Struct, frozen=True):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


_NO_INPUT_DETAILS: Final = _InputDetails()
_NO_OUTPUT_DETAILS: Final = _OutputDetails()


class _ServerTools(Struct, frozen=True):
    web_search_requests: int | None = None


class _UsageBody(SaysCost, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name for cached tokens."""
    server_tool_use: _ServerTools | None = None


def usage_of(raw: Raw, *, quirks: Quirks, service_tier: str | None = None) -> Usage | None:
    """The vendor's usage, made inclusive; ``None`` where there is none or it makes no sense (it is then estimated)."""
    if is_null(raw):
        return None
    try:
        body = msgspec.json.decode(raw, type=_UsageBody, strict=False)
    except ValueError:
        return None
    inputs = body.prompt_tokens_details or _NO_INPUT_DETAILS
    outputs = body.completion_tokens_details or _NO_OUTPUT_DETAILS
    tools = body.server_tool_use
    counts = (
        body.prompt_tokens or 0,
        body.completion_tokens or 0,
        inputs.cached_tokens or body.prompt_cache_hit_tokens or 0,
        inputs.cache_write_tokens or 0,
        outputs.reasoning_tokens or 0,
        inputs.audio_tokens or 0,
        outputs.audio_tokens or 0,
        inputs.image_tokens or 0,
        outputs.image_tokens or 0,
        (tools.web_search_requests or 0) if tools else 0,
    )
    if min(counts) < 0:
        counts = tuple([max(0, count) for count in counts])  # type: ignore[assignment]  # as many as there were
    prompt, completion, cached, written, reasoning, audio_in, audio_out, image_in, image_out, searches = counts
    return Usage(
        input_tokens=prompt,
        output_tokens=completion + reasoning if quirks.output_excludes_reasoning else completion,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        audio_input_tokens=audio_in,
        audio_output_tokens=audio_out,
        image_input_tokens=image_in,
        image_output_tokens=image_out,
        web_searches=searches,
        reported_cost_nano_usd=cost_nano_usd(body),
        service_tier=service_tier,
    )


def usage_json(usage: Usage) -> dict[str, object]:
    """Our usage as OpenAI says it: inclusive on both sides, like the core."""
    inputs: dict[str, object] = {"cached_tokens": usage.cached_input_tokens, "audio_tokens": usage.audio_input_tokens}
    if usage.cache_write_tokens:
        inputs["cache_write_tokens"] = usage.cache_write_tokens
    if usage.image_input_tokens:
        inputs["image_tokens"] = usage.image_input_tokens
    outputs: dict[str, object] = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.audio_output_tokens,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    if usage.image_output_tokens:
        outputs["image_tokens"] = usage.image_output_tokens
    body: dict[str, object] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": inputs,
        "completion_tokens_details": outputs,
    }
    if usage.web_searches:
        body["server_tool_use"] = {"web_search_requests": usage.web_searches}
    if usage.reported_cost_nano_usd is not None:
        body["cost"] = Decimal(usage.reported_cost_nano_usd) / NANO_USD_PER_USD
    return body


_KINDS: Final[Mapping[str, StopKind]] = {
    "stop": StopKind.END,
    "length": StopKind.MAX_TOKENS,
    "tool_calls": StopKind.TOOL_CALLS,
    "function_call": StopKind.TOOL_CALLS,
    "content_filter": StopKind.CONTENT_FILTER,
    "sensitive": StopKind.CONTENT_FILTER,  # BigModel
    "model_context_window_exceeded": StopKind.CONTEXT_WINDOW,  # BigModel
    "network_error": StopKind.ERROR,  # BigModel
    "insufficient_system_resource": StopKind.ERROR,  # DeepSeek
    "error": StopKind.ERROR,  # OpenRouter
}
_WORDS: Final[Mapping[StopKind, str]] = {
    StopKind.END: "stop",
    StopKind.STOP_SEQUENCE: "stop",
    StopKind.PAUSE: "stop",
    StopKind.OTHER: "stop",
    StopKind.MAX_TOKENS: "length",
    StopKind.CONTEXT_WINDOW: "length",
    # The answer is incomplete: of OpenAI's five words this one says so.
    StopKind.ERROR: "length",
    StopKind.TOOL_CALLS: "tool_calls",
    StopKind.CONTENT_FILTER: "content_filter",
    StopKind.REFUSAL: "content_filter",
}
_OFFICIAL: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


def stop_of(reason: str | None, *, matched: str | int | None = None) -> Stop:
    """``matched`` is vLLM's ``stop_reason``: the stop sequence that was met."""
    if reason == "stop" and isinstance(matched, str):
        return Stop(kind=StopKind.STOP_SEQUENCE, sequence=matched, raw=reason)
    return Stop(kind=_KINDS.get(reason or "", StopKind.OTHER), raw=reason)


def finish_reason(stop: Stop) -> str:
    """The nearest of OpenAI's five words; the vendor's own where it is one of them and means the same."""
    if stop.raw in _OFFICIAL and _KINDS[stop.raw or ""] is stop.kind:
        return stop.raw or "stop"
    return _WORDS[stop.kind]
