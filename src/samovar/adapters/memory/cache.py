"""A cache in a dictionary: bounded, least recently used goes first."""

from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from samovar.ports.clock import Clock

# What an entry costs beside its key and value: the tuple, the float, the table's slots, the heap's entry.
_ENTRY_BYTES: Final = 300
_SLACK: Final = 64


class _Entry(NamedTuple):
    value: bytes
    expires_at: float


class MemoryCache:
    """A :class:`samovar.ports.cache.Cache`. No method waits, so each is atomic on its event loop.

    A value that alone passes ``max_bytes`` is not kept.
    """

    def __init__(self, *, clock: Clock, max_entries: int = 100_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        # (when, key), soonest first; an entry that was replaced or dropped leaves its old pair behind for a while.
        self._expiries: list[tuple[float, str]] = []
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """What the entries take, by estimate."""
        return self._size_bytes

    async def get(self, key: str) -> bytes | None:
        """See the port."""
        entry = self._live(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """See the port."""
        self._set(key, value, ttl_s)

    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """See the port. A full cache may forget what was added before its time: size it for what must be remembered."""
        if self._live(key) is not None:
            return False
        self._set(key, value, ttl_s)
        return True

    async def take(self, key: str) -> bytes | None:
        """See the port."""
        entry = self._live(key)
        self._remove(key)
        return None if entry is None else entry.value

    async def drop(self, key: str) -> None:
        """See the port."""
        self._remove(key)

    async def drop_prefix(self, prefix: str) -> None:
        """See the port."""
        for key in [key for key in self._entries if key.startswith(prefix)]:
            self._remove(key)

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._expiries.clear()
        self._size_bytes = 0

    def _live(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at <= self._clock.monotonic():
            self._remove(key)
            return None
        return entry

    def _set(self, key: str, value: bytes, ttl_s: float) -> None:
        if ttl_s <= 0:
            raise ValueError("a time to live must be positive")
        self._remove(key)
        size = _size(key, value)
        if size > self._max_bytes:
            return
        now = self._clock.monotonic()
        self._entries[key] = _Entry(value, now + ttl_s)
        self._size_bytes += size
        heappush(self._expiries, (now + ttl_s, key))
        self._forget_expired(now)
        while self._size_bytes > self._max_bytes or len(self._entries) > self._max_entries:
            self._remove(next(iter(self._entries)))

    def _forget_expired(self, now: float) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            at, key = heappop(self._expiries)
            entry = self._entries.get(key)
            if entry is not None and entry.expires_at == at:
                self._remove(key)
        if len(self._expiries) > 2 * len(self._entries) + _SLACK:
            self._expiries = [(entry.expires_at, key) for key, entry in self._entries.items()]
            heapify(self._expiries)

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size_bytes -= _size(key, entry.value)


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + _ENTRY_BYTES
