"""Tokens and reasons to stop, to and from the neutral core.

Anthropic's ``input_tokens`` leaves out what was read from and written to the prompt cache; the core's includes both. A
compaction run is billed beside the totals (https://platform.claude.com/docs/en/build-with-claude/compaction), so it is
added to them here.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from samovar.ports.llm import Stop, StopKind, Usage
from samovar.providers.anthropic.wire import CacheCreation, Iteration, UsageWire

_KINDS: Final[Mapping[str, StopKind]] = {
    "end_turn": StopKind.END,
    "max_tokens": StopKind.MAX_TOKENS,
    "stop_sequence": StopKind.STOP_SEQUENCE,
    "tool_use": StopKind.TOOL_CALLS,
    "pause_turn": StopKind.PAUSE,
    "refusal": StopKind.REFUSAL,
    "model_context_window_exceeded": StopKind.CONTEXT_WINDOW,
}
# ERROR and OTHER have no word here; the nearest is a plain end, because the answer so far is whole.
_WORDS: Final[Mapping[StopKind, str]] = {
    **{kind: word for word, kind in _KINDS.items()},
    StopKind.CONTENT_FILTER: "refusal",
    StopKind.ERROR: "end_turn",
    StopKind.OTHER: "end_turn",
}
_TIERS: Final[Mapping[str, str]] = {
    "standard": "standard",
    "default": "standard",
    "priority": "priority",
    "batch": "batch",
}
_FIELDS: Final = UsageWire.__struct_fields__


def merged(earlier: UsageWire | None, later: UsageWire | None) -> UsageWire | None:
    """Usage is cumulative in a stream: what the later event says replaces, what it leaves out stays."""
    if earlier is None or later is None:
        return later or earlier
    fresh = {name: value for name in _FIELDS if (value := getattr(later, name)) is not None}
    return msgspec.structs.replace(earlier, **fresh)


def read_usage(wire: UsageWire) -> Usage:
    """Inclusive tokens, compaction runs counted in."""
    fresh, cached, written, written_1h, output = _tokens(wire)
    # A plain loop: this runs in every call, and almost never finds a compaction.
    for run in wire.iterations or ():
        if run.type == "compaction":
            more = _tokens(run)
            fresh, cached, written = fresh + more[0], cached + more[1], written + more[2]
            written_1h, output = written_1h + more[3], output + more[4]
    details, tools = wire.output_tokens_details, wire.server_tool_use
    return Usage(
        input_tokens=fresh + cached + written,
        output_tokens=output,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(written, written_1h),
        reasoning_tokens=0 if details is None else details.thinking_tokens or 0,
        web_searches=0 if tools is None else tools.web_search_requests or 0,
        service_tier=wire.service_tier,
    )


def _tokens(run: UsageWire | Iteration) -> tuple[int, int, int, int, int]:
    """Fresh input, read from the cache, written to it, of that for an hour, output."""
    split = run.cache_creation
    return (
        run.input_tokens or 0,
        run.cache_read_input_tokens or 0,
        _written(run.cache_creation_input_tokens, split),
        0 if split is None else split.ephemeral_1h_input_tokens or 0,
        run.output_tokens or 0,
    )


def _written(total: int | None, split: CacheCreation | None) -> int:
    if total is not None or split is None:
        return total or 0
    return (split.ephemeral_5m_input_tokens or 0) + (split.ephemeral_1h_input_tokens or 0)


def write_usage(usage: Usage) -> dict[str, Any]:
    """The ``usage`` object of an answer: the cache's tokens taken out of the input again."""
    written, written_1h = usage.cache_write_tokens, min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    wire: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - usage.cached_input_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written - written_1h,
            "ephemeral_1h_input_tokens": written_1h,
        },
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.web_searches:
        wire["server_tool_use"] = {"web_search_requests": usage.web_searches, "web_fetch_requests": 0}
    tier = _TIERS.get(usage.service_tier or "")
    if tier is not None:
        wire["service_tier"] = tier
    return wire


def read_stop(reason: str | None, sequence: str | None) -> Stop:
    """A word that this table does not know is ``OTHER`` and keeps its spelling."""
    return Stop(kind=_KINDS.get(reason or "", StopKind.OTHER), sequence=sequence, raw=reason)


def write_stop(stop: Stop) -> str:
    """The dialect's word, or the nearest one."""
    return _WORDS[stop.kind]
