"""What a hold tells of its call, and who keeps it until it stands in the ledger."""

from collections.abc import Awaitable
from typing import Protocol, TypeAlias

from samovar.domains.billing.model.records import Intent, Outcome

Place: TypeAlias = tuple[int, int]
"""A place in a journal; a later one is greater."""


class Journal(Protocol):
    """Keeps intents and outcomes. What a method returns is to be awaited before going on; ``None`` is "go on"."""

    def intend(self, intent: Intent) -> Awaitable[None] | None:
        """Note that a call goes out. Raises ``SpoolFull``: then it must not."""
        ...

    def conclude(self, intent: Intent, outcome: Outcome) -> Awaitable[None] | None:
        """Note how a call that was noted ended. Never raises for want of room."""
        ...

    @property
    def end(self) -> Place:
        """Where the next record will stand."""
        ...

    @property
    def moved(self) -> Place:
        """All before this stands in the ledger."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """What is kept."""
        ...
