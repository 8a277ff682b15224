"""Whom calls are for, in few enough names to be summed by. Pure.

A key's own person is known and counts as such. What callers say of whom a call is for is their own word: it is marked, so
that it passes for nobody's id, and cut. There may be any number of them, so only the first of an hour are summed each by itself.
"""

from typing import Final

MAX_LABELS_AN_HOUR: Final = 1_000
"""Of one team, in one process: beyond them an hour's further labels are summed together."""
MAX_LABELS: Final = 20_000
"""Of all teams."""
LABEL_MARK: Final = "~"
"""Before what a caller said. No person's id begins so."""
OTHER_USERS: Final = "(other)"
"""What the labels beyond the bound are summed under."""
_MAX_CHARS: Final = 128
_HOUR_US: Final = 3_600_000_000
_LATEST_H: Final = 24


class Labels:
    """Which labels were seen in the hour of now."""

    def __init__(self) -> None:
        self._hour = 0
        self._count = 0
        self._seen: dict[str, set[str]] = {}

    def overflows(self, team_id: str, label: str, started_at: int) -> bool:
        """Whether one more name would be too many. ``started_at`` is microseconds since 1970."""
        hour = started_at // _HOUR_US
        if not 0 <= self._hour - hour <= _LATEST_H:
            # Not for a call of an hour before that ends late: this hour's set bounds it as well.
            self._hour, self._count = hour, 0
            self._seen.clear()
        seen = self._seen.setdefault(team_id, set())
        if label in seen:
            return False
        if len(seen) >= MAX_LABELS_AN_HOUR or self._count >= MAX_LABELS:
            return True
        seen.add(label)
        self._count += 1
        return False


def labelled(said: str) -> str:
    """A caller's word as the log has it: marked, one line, and no longer than its column; empty for none."""
    word = "".join(char if char.isprintable() else "\ufffd" for char in said[:_MAX_CHARS].strip())
    return (LABEL_MARK + word)[:_MAX_CHARS] if word else ""
