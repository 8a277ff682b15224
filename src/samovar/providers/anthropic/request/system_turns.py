"""System messages in mid-conversation.

Claude Opus 4.8 and what came after it take them as messages of role ``system``, after a message of the user's and at the end or
before an answer; older models, and other places, are refused by the API
(https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages).
"""

import re
from collections.abc import Sequence
from typing import Any, Final

WHY_NOT: Final = (
    "a system message in mid-conversation: Claude takes one from Opus 4.8 on, after the user's and before an answer"
)
# Families by their first names, then Opus 4 to 4.7: a date stands where a newer one has its number.
_OLDER: Final = re.compile(
    r"(?:.*[/.])?claude-(?:instant\b|v?[1-4]\b|(?:sonnet|haiku)-4\b|opus-4(?![-.](?:[89]|\d\d)(?!\d)))", re.IGNORECASE
)


def takes_system_turns(model: str) -> bool:
    """Whether the model takes them at all. A name of our own making counts as new."""
    return _OLDER.match(model) is None


def stands_well(turns: Sequence[dict[str, Any]], at: int) -> bool:
    """Whether the API takes the system turn at that place; neighbours of one role have been joined."""
    follows_user = at > 0 and turns[at - 1]["role"] == "user"
    return follows_user and (at + 1 == len(turns) or turns[at + 1]["role"] == "assistant")
