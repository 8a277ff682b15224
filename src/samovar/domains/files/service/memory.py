"""What is remembered of files: in this process for five minutes, in what processes share for an hour.

Both hold attributes and where the copies are, never a mode and never a permission. Who changed a file puts a mark there that
sends everybody to its row for a while, never how it stands: of two who did so the slower would win. A reader only adds where
nothing is, so an old reading never covers a new one. What a process remembers is dropped by the news of each change (see
``telling.py``).
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
_CHANGED_S: Final = 60.0
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

    def replace(self, file: StoredFile, *, generation: int) -> None:
        """This process changed it itself. What stood before ends in any case; the new one is remembered unless something else
        changed since ``generation``, which may be the same file once more."""
        is_known = generation == self.generation
        self.drop(*_key(file))
        if is_known:
            self.remember(file, generation=self.generation)

    def drop(self, team_id: str, file_id: str, *, below: int | None = None) -> None:
        """It changed; a revision that is not ``below`` the new one may stay."""
        if below == 1:
            # It is new: nobody can have read anything older.
            return
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

    async def publish(self, team_id: str, file_id: str, *, is_gone: bool) -> None:
        """What is shared of it ends, for longer than any reading lasts that began before. Raises ``Unavailable``."""
        await self._cache.put(_shared(team_id, file_id), _NOTHING, ttl_s=SHARED_S if is_gone else _CHANGED_S)


def _key(file: StoredFile) -> Key:
    return file.attributes.team_id, file.attributes.file_id


def _shared(team_id: str, file_id: str) -> str:
    return f"file:{team_id}:{file_id}"
