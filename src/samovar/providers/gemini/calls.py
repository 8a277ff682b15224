"""Ids of tool calls.

Gemini may leave them out and tell calls apart by name and order; the core, and every other dialect, needs one for each call.
A made-up id depends on nothing but the answer's id and the call's place, so that reading twice gives the same.
"""

import re
from typing import Final

_MADE_UP: Final = "call_gemini_"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")
# Other vendors bound an id at 64 characters.
_SCOPE_CHARS: Final = 40


class Calls:
    """The calls of one answer or one conversation, in order. ``scope`` tells its made-up ids from those of others: the
    answer's id, or empty for a conversation."""

    def __init__(self, *, scope: str = "") -> None:
        self._scope = _UNFIT.sub("", scope)[:_SCOPE_CHARS]
        self._count = 0
        self._unanswered: list[tuple[str, str]] = []

    @staticmethod
    def is_made_up(call_id: str) -> bool:
        """Whether the model itself gave no id, so that none goes back to it."""
        return call_id.startswith(_MADE_UP)

    @property
    def any(self) -> bool:
        """Whether there was a call."""
        return self._count > 0

    def asked(self, name: str, call_id: str | None) -> str:
        """The id of the next call."""
        self._count += 1
        found = call_id or f"{_MADE_UP}{self._scope}_{self._count}"
        self._unanswered.append((name, found))
        return found

    def answered(self, name: str, call_id: str | None) -> str:
        """The id of the call that a result answers: the one it names, else the first unanswered call of that tool."""
        for at, (asked_name, asked_id) in enumerate(self._unanswered):
            if asked_id == call_id or (not call_id and asked_name == name):
                del self._unanswered[at]
                return asked_id
        return call_id or f"{_MADE_UP}{self._scope}_{name}"
