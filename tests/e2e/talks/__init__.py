"""Conversations through the vendors' own SDKs, unchanged but for base URL and key, told in one set of words."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

MAX_TOKENS = 4_000
THINKING_TOKENS = 2_000


@dataclass(frozen=True)
class Task:
    """What a conversation is about: the tools it may use, the form its answers must have, whether the model thinks."""

    model: str
    stream: bool = False
    tools: tuple[tuple[str, dict[str, Any]], ...] = ()
    schema: dict[str, Any] | None = None
    thinks: bool = False
    switch: str = "openrouter"
    """How thinking is asked for on OpenAI's chat, as ``Quirks.reasoning_switch`` has it."""
    asks_usage: bool = True
    """Whether a stream of OpenAI's chat asks for usage at its end."""


@dataclass(frozen=True)
class Said:
    """An answer, and its usage with all tokens counted in: cached ones in the input, reasoning in the output."""

    text: str
    calls: tuple[tuple[str, str], ...]
    thought: str
    stop: str
    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    pieces: int = field(default=0, compare=False)


class Refused(Exception):
    """The SDK's own error: its status, what it is called, and its words."""

    def __init__(self, status: int, kind: str, words: str) -> None:
        super().__init__(f"{status} {kind}: {words}")
        self.status, self.kind, self.words = status, kind, words


def arguments(value: Any) -> str:
    return json.dumps(json.loads(value) if isinstance(value, str) else value, sort_keys=True)


class Talk(Protocol):
    """One conversation. What was answered stands in the next request, as each SDK gives it back."""

    def ask(self, text: str, image: bytes | None = None) -> Said:
        """The user says something, and perhaps shows a PNG. Raises :class:`Refused`."""
        ...

    def give(self, results: Iterable[str]) -> Said:
        """The results of the calls in the last answer, in their order. Raises :class:`Refused`."""
        ...
