"""What is remembered of files: in this process for five minutes, in what processes share for an hour.

Both hold attributes and where the copies are, never a mode and never a permission. Who changed a file writes what is shared
anew, and a reader only adds to it where nothing is: an old reading never covers a new one. What a process remembers is dropped
by the news of each change (see ``telling.py``).
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from samovar.domains.files.model.records import StoredFile
from samovar.kernel.errors import Unavailable
from samovar.ports.cache import Cache

MEMORY_S: Final = 300.0
SHARED_S: Final = 3_600.0
_MAX_FILES: Final = 50_000
_NOTHING: Final = b"-"

Key = tuple[str, str]
"""Team and file id."""


class _Kept(NamedTuple):
    file: StoredFile
    ends_at: float


class FileMemory:
    """``monotonic`` gives seconds."""

    def __init__(self, *, cache: Cache, monotonic: Callable[[], float], keep_s: float = MEMORY_S) -> None:
        self._cache = cache
        self._monotonic = monotonic
        self._keep_s = keep_s
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self.generation = 0
        """Moves on with each change that is heard of: a reading that began before one is not remembered."""

    def __len__(self) -> int:
        return len(self._kept)

    def recall(self, team_id: str, file_id: str) -> StoredFile | None:
        """What this process remembers. About a microsecond."""
        kept = self._kept.get((team_id, file_id))
        return None if kept is None or kept.ends_at <= self._monotonic() else kept.file

    def remember(self, file: StoredFile, *, generation: int) -> None:
        """For five minutes, unless something changed since ``generation``."""
        if generation != self.generation:
            return
        self._kept[_key(file)] = _Kept(file, self._monotonic() + self._keep_s)
        self._kept.move_to_end(_key(file))
        while len(self._kept) > _MAX_FILES:
            self._kept.popitem(last=False)

    def replace(self, file: StoredFile) -> None:
        """This process changed it, or made it, itself."""
        self.generation += 1
        self.remember(file, generation=self.generation)

    def drop(self, team_id: str, file_id: str, *, below: int | None = None) -> None:
        """It changed; a revision that is not ``below`` the new one may stay."""
        kept = self._kept.get((team_id, file_id))
        if kept is not None and below is not None and kept.file.attributes.revision >= below:
            return
        self.generation += 1
        self._kept.pop((team_id, file_id), None)

    def clear(self) -> None:
        """News may have been missed."""
        self.generation += 1
        self._kept.clear()

    async def recall_shared(self, team_id: str, file_id: str) -> StoredFile | None:
        """What processes share. That being away, nothing is."""
        try:
            found = await self._cache.get(_shared(team_id, file_id))
        except Unavailable:
            return None
        if found is None or found == _NOTHING:
            return None
        try:
            return msgspec.msgpack.decode(found, type=StoredFile)
        except msgspec.MsgspecError:
            # Another version of Samovar wrote it.
            return None

    async def offer(self, file: StoredFile) -> None:
        """Share a reading, where nothing is shared yet."""
        try:
            await self._cache.add(_shared(*_key(file)), msgspec.msgpack.encode(file), ttl_s=SHARED_S)
        except Unavailable:
            return

    async def publish(self, team_id: str, file_id: str, file: StoredFile | None) -> None:
        """Share what is so from now on; ``None``: there is no such file. Raises ``Unavailable``."""
        value = _NOTHING if file is None else msgspec.msgpack.encode(file)
        await self._cache.put(_shared(team_id, file_id), value, ttl_s=SHARED_S)


def _key(file: StoredFile) -> Key:
    return file.attributes.team_id, file.attributes.file_id


def _shared(team_id: str, file_id: str) -> str:
    return f"file:{team_id}:{file_id}"
