"""How hard to think, in Gemini's words.

* From Gemini 3 on a ``thinkingLevel``; thinking cannot be switched off there.
* Before, a ``thinkingBudget`` in tokens: 0 is off, -1 lets the model decide, and for an ``effort`` it is the number that
  Google's own OpenAI-compatible surface uses.

Sources: https://ai.google.dev/gemini-api/docs/thinking and https://ai.google.dev/gemini-api/docs/openai.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from samovar.ports.llm import ChatRequest, ReasoningSettings
from samovar.providers.gemini.wire import DIALECT

_LEVELS: Final[Mapping[str, str]] = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}
_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_OLDER: Final = re.compile(r"(?:.*/)?gemini-[12]\b")
_UNSIGNED: Final = re.compile(r"(?:.*/)?gemini-(?:1\b|2\.0\b|pro\b)")
_SHOWN: Final = frozenset({"auto", "concise", "detailed"})


def thinks_in_levels(model: str) -> bool:
    """Whether this is a model from Gemini 3 on. A name of our own making counts as new."""
    return _OLDER.match(model) is None


def signs_calls(model: str) -> bool:
    """Whether this is a model from Gemini 2.5 on, where thinking and with it signatures began."""
    return _UNSIGNED.match(model) is None


def write_thinking(request: ChatRequest, *, refuse: Callable[[str, str], None]) -> dict[str, Any]:
    """``thinkingConfig``, empty where nothing was asked."""
    settings = request.reasoning
    if settings is None:
        return {}
    native = request.dialect == DIALECT
    off = settings.enabled is False or settings.effort == "none"
    config: dict[str, Any] = {}
    if off and not native and thinks_in_levels(request.model):
        refuse("reasoning", f"{request.model} without thinking: it cannot be switched off; `minimal` is the least")
    elif off:
        config["thinkingBudget"] = 0
    elif settings.budget_tokens is not None:
        config["thinkingBudget"] = settings.budget_tokens
    elif settings.effort is not None:
        config.update(_effort(settings.effort, request, native=native, refuse=refuse))
    elif settings.enabled and (native or not thinks_in_levels(request.model)):
        config["thinkingBudget"] = -1
    if not off and _shown(settings, native=native):
        config["includeThoughts"] = True
    return config


def _effort(effort: str, request: ChatRequest, *, native: bool, refuse: Callable[[str, str], None]) -> dict[str, Any]:
    if native:
        return {"thinkingLevel": effort.upper()}
    if effort not in _LEVELS:
        refuse("reasoning.effort", f"{effort}: minimal, low, medium, high, xhigh and max are known")
        return {}
    if thinks_in_levels(request.model):
        return {"thinkingLevel": _LEVELS[effort]}
    return {"thinkingBudget": _BUDGETS[effort]}


def _shown(settings: ReasoningSettings, *, native: bool) -> bool:
    """A caller who switches thinking on in so many words (Anthropic's) sees it, unless it asks not to."""
    if settings.summary in _SHOWN:
        return True
    return not native and settings.summary is None and settings.enabled is True
