"""News that waits in this process for its teller."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from samovar.domains.files.model.records import FileEvent, StoredFile

TOLD_BY_ITSELF: Final = timedelta(seconds=10)
"""Who wrote news tells it within this time; then anybody does."""


class Fresh(NamedTuple):
    """News that this process wrote a moment ago, and the file as it then stood."""

    news_id: int
    event: FileEvent
    file: StoredFile


class News:
    """One for a process."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.is_unread = True
        """There may be some in the outbox that is nobody's yet."""
        self._fresh: list[Fresh] = []

    def written(self) -> None:
        """There is some in the outbox."""
        self.is_unread = True
        self.waits.set()

    def keep(self, fresh: Sequence[Fresh]) -> None:
        """This needs no reading."""
        self._fresh += fresh
        self.waits.set()

    def taken(self) -> list[Fresh]:
        """What is fresh; it is the caller's to tell."""
        fresh, self._fresh = self._fresh, []
        return fresh
