"""Rules over texts, and requests for them to look at."""

from collections.abc import Sequence

from samovar.domains.gateway.model.guard import Screen, compile_guard
from samovar.kernel.guard import Guard, GuardAction, GuardRule, GuardSide
from samovar.ports.llm import ChatRequest, Message, Role


def redacting(*patterns: str, replacement: str = "[redacted]") -> Screen:
    action = GuardAction.REDACT
    named = enumerate(patterns)
    return screen([GuardRule(name=f"r{n}", pattern=one, action=action, replacement=replacement) for n, one in named])


def blocking(*patterns: str) -> Screen:
    return screen([GuardRule(name=f"r{n}", pattern=one, action=GuardAction.BLOCK) for n, one in enumerate(patterns)])


def screen(rules: Sequence[GuardRule]) -> Screen:
    return Screen(compile_guard(Guard(rules=tuple(rules))).output_rules, GuardSide.OUTPUT, lambda action, side: None)


def request(*parts: object) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message(role=Role.USER, parts=parts),))  # type: ignore[arg-type]
