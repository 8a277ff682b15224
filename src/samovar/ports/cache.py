"""A shared cache of small values that may be lost at any moment."""

from typing import Protocol


class Cache(Protocol):
    """Values are bytes; keys are text with the team in them. Every operation is atomic by itself.

    A cache that cannot be reached raises ``Unavailable``; each user of the port decides whether that fails open or closed.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, or ``None`` when there is none or its time is over."""
        ...

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Set, replacing whatever was there."""
        ...

    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """Set only where nothing is. Of any number of racing callers exactly one gets ``True`` (nonces, locks)."""
        ...

    async def take(self, key: str) -> bytes | None:
        """Get and delete in one step: of racing callers one gets the value."""
        ...

    async def drop(self, key: str) -> None:
        """Delete; nothing happens where nothing is."""
        ...

    async def drop_prefix(self, prefix: str) -> None:
        """Delete every key that starts with ``prefix``."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
