"""How hard to think, in Anthropic's words.

* Models from 4.6 on think adaptively: ``thinking: adaptive`` with ``output_config.effort``.
* Older ones want a number of tokens; for an ``effort`` it is taken from ``_BUDGETS``.
* ``none`` is ``thinking: disabled``; ``minimal`` is Anthropic's least, ``low``.

Sources: https://platform.claude.com/docs/en/build-with-claude/thinking and .../effort.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from samovar.ports.llm import ChatRequest, ReasoningSettings
from samovar.providers.anthropic.wire import DIALECT

_EFFORTS: Final[Mapping[str, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_BUDGETS: Final[Mapping[str, int]] = {
    "low": 1024,
    "medium": 4096,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_000,
}
_LEAST_BUDGET: Final = 1024
_BUDGET_MODELS: Final = (
    "claude-3",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-2",
    "claude-opus-4-5",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
    "claude-sonnet-4-5",
    "claude-haiku-4",
)
"""Models without adaptive thinking; ``-4-2`` is the date in the names of the first 4."""
_DISPLAYS: Final[Mapping[str, str]] = {
    "auto": "summarized",
    "concise": "summarized",
    "detailed": "summarized",
    "omitted": "omitted",
}

Refuse = Callable[[str, str], None]


def write_reasoning(request: ChatRequest, body: dict[str, Any], *, refuse: Refuse, default_max_tokens: int) -> int:
    """Sets ``thinking`` and ``output_config.effort``; gives the ``max_tokens`` to ask for, which must hold the thinking."""
    settings = request.reasoning
    limit = request.max_output_tokens
    if settings is None:
        return default_max_tokens if limit is None else limit
    effort = _effort(settings, refuse)
    if settings.enabled is False or settings.effort == "none":
        body["thinking"] = {"type": "disabled"}
        _set_effort(body, effort if settings.enabled is False else None)
        return default_max_tokens if limit is None else limit
    budget = _budget(request, settings, effort)
    if budget is None:
        if settings.enabled or request.dialect != DIALECT:
            body["thinking"] = {"type": "adaptive", **_display(settings)}
        _set_effort(body, effort)
        return default_max_tokens if limit is None else limit
    if settings.budget_tokens is not None:
        _set_effort(body, effort)
    return _write_budget(request, settings, body, budget=budget, refuse=refuse, default_max_tokens=default_max_tokens)


def _write_budget(
    request: ChatRequest,
    settings: ReasoningSettings,
    body: dict[str, Any],
    *,
    budget: int,
    refuse: Refuse,
    default_max_tokens: int,
) -> int:
    limit = request.max_output_tokens
    if limit is None:
        limit = budget + default_max_tokens
    if settings.budget_tokens is None and budget >= limit:
        # The budget is ours, so it gives way; the caller's limit stays.
        budget = limit - 1
    if budget < _LEAST_BUDGET and request.dialect != DIALECT:
        refuse("reasoning", f"thinking within {limit} tokens: it needs at least {_LEAST_BUDGET}")
        return limit
    body["thinking"] = {"type": "enabled", "budget_tokens": budget, **_display(settings)}
    return limit


def _effort(settings: ReasoningSettings, refuse: Refuse) -> str | None:
    if settings.effort is None or settings.effort == "none":
        return None
    effort = _EFFORTS.get(settings.effort)
    if effort is None:
        refuse("reasoning.effort", f"{settings.effort}: low, medium, high, xhigh and max are known")
    return effort


def _budget(request: ChatRequest, settings: ReasoningSettings, effort: str | None) -> int | None:
    if settings.budget_tokens is not None:
        return settings.budget_tokens
    if request.dialect == DIALECT or not request.model.startswith(_BUDGET_MODELS):
        return None
    return _BUDGETS[effort or "medium"]


def _set_effort(body: dict[str, Any], effort: str | None) -> None:
    if effort is not None:
        body.setdefault("output_config", {})["effort"] = effort


def _display(settings: ReasoningSettings) -> dict[str, str]:
    display = _DISPLAYS.get(settings.summary or "")
    return {} if display is None else {"display": display}
