"""Tokens, prices and the reasons to stop, to and from the neutral core. Both sides are inclusive here as they are there."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw, Struct

from samovar.kernel.money import NANO_USD_PER_USD
from samovar.ports.llm import Stop, StopKind, Usage
from samovar.ports.vendor_costs import SaysCost, cost_nano_usd
from samovar.providers.openai_responses.wire import Ending, OutputItem, Typed, said

ASKING: Final = frozenset(
    {"function_call", "custom_tool_call", "computer_call", "local_shell_call", "apply_patch_call"}
)
"""Items that the caller has to answer: the model waits for a tool."""


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _ServerTools(Struct):
    web_search_calls: int | None = None


class _UsageWire(SaysCost, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    server_side_tool_usage_details: _ServerTools | None = None
    """xAI."""


_USAGE: Final = msgspec.json.Decoder(_UsageWire, strict=False)
_ACTION: Final = msgspec.json.Decoder(Typed)


def read_usage(ending: Ending) -> Usage | None:
    """``None`` where there is none or it makes no sense (it is then estimated). OpenAI bills each web search beside the
    tokens and leaves it out of the usage, so the items are counted."""
    if not said(ending.usage):
        return None
    try:
        wire = _USAGE.decode(ending.usage)
    except ValueError:
        return None
    inputs, outputs = wire.input_tokens_details or _InputDetails(), wire.output_tokens_details or _OutputDetails()
    return Usage(
        input_tokens=_count(wire.input_tokens),
        output_tokens=_count(wire.output_tokens),
        cached_input_tokens=_count(inputs.cached_tokens),
        cache_write_tokens=_count(inputs.cache_write_tokens),
        reasoning_tokens=_count(outputs.reasoning_tokens),
        audio_input_tokens=_count(inputs.audio_tokens),
        audio_output_tokens=_count(outputs.audio_tokens),
        image_input_tokens=_count(inputs.image_tokens),
        image_output_tokens=_count(outputs.image_tokens),
        web_searches=_searches(wire, ending.output or ()),
        reported_cost_nano_usd=cost_nano_usd(wire),
        service_tier=ending.service_tier,
    )


def _count(tokens: int | None) -> int:
    return tokens if tokens is not None and tokens > 0 else 0


def _searches(wire: _UsageWire, output: Iterable[OutputItem]) -> int:
    tools = wire.server_side_tool_usage_details
    if tools is not None and tools.web_search_calls is not None:
        return _count(tools.web_search_calls)
    return sum(item.type == "web_search_call" and _is_search(item.action) for item in output)


def _is_search(action: Raw) -> bool:
    """Opening a found page and looking something up in it are free; what says nothing of itself is a search."""
    if not said(action):
        return True
    try:
        return _ACTION.decode(action).type in ("", "search")
    except ValueError:
        return True


def write_usage(usage: Usage) -> dict[str, object]:
    """The ``usage`` object of an answer."""
    inputs = {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": usage.cache_write_tokens}
    outputs = {"reasoning_tokens": usage.reasoning_tokens}
    for details, name, tokens in (
        (inputs, "audio_tokens", usage.audio_input_tokens),
        (inputs, "image_tokens", usage.image_input_tokens),
        (outputs, "audio_tokens", usage.audio_output_tokens),
        (outputs, "image_tokens", usage.image_output_tokens),
    ):
        if tokens:
            details[name] = tokens
    body: dict[str, object] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": inputs,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": outputs,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.reported_cost_nano_usd is not None:
        body["cost"] = Raw(str(Decimal(usage.reported_cost_nano_usd) / NANO_USD_PER_USD).encode())
    return body


def read_stop(ending: Ending) -> Stop | None:
    """Why the answer ended; ``None`` while it has not. A call of a tool is a completed answer with such an item in it."""
    match ending.status:
        case "completed":
            return Stop(kind=_kind_of_completed(ending.output or ()), raw="completed")
        case "incomplete":
            reason = ending.incomplete_details.reason if ending.incomplete_details else None
            kind = _REASONS.get(reason or "", StopKind.OTHER)
            return Stop(kind=kind, raw=reason or "incomplete")
        case "failed" | "cancelled":
            return Stop(kind=StopKind.ERROR, raw=ending.status)
    return None


def _kind_of_completed(output: Iterable[OutputItem]) -> StopKind:
    kinds = {item.type for item in output}
    if kinds & ASKING:
        return StopKind.TOOL_CALLS
    declined = any(part.type == "refusal" for item in output for part in item.content or ())
    return StopKind.REFUSAL if declined else StopKind.END


_REASONS: Final = {"max_output_tokens": StopKind.MAX_TOKENS, "content_filter": StopKind.CONTENT_FILTER}


def write_status(stop: Stop) -> tuple[str, str | None]:
    """The status, and the reason where it is ``incomplete``. A pause, and words that this API does not have, are
    ``completed``: what was said stands."""
    match stop.kind:
        case StopKind.MAX_TOKENS | StopKind.CONTEXT_WINDOW:
            return "incomplete", "max_output_tokens"
        case StopKind.CONTENT_FILTER:
            return "incomplete", "content_filter"
        case StopKind.ERROR:
            return "failed", None
    return "completed", None
