"""What was begun and not acknowledged: a small object each, so that what a crash left behind is known without looking at all.

Several processes may write to one bucket. An intent is a lease: whoever streams a long file renews it, and one that nobody has
renewed for ``lease`` belongs to nobody; only then is what it left behind taken away.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from samovar.adapters.bucket.objects import Missing, Object, Objects
from samovar.ports.clock import Clock
from samovar.ports.element_rules import ATTRIBUTES_SUFFIX

_FOLDER: Final = ".element/intents"
_SUFFIX: Final = ".json"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` is the content's; ``revision`` is what the attributes come to."""

    file_id: str
    path: str
    revision: int


class Intents:
    """Those of one element."""

    def __init__(self, *, objects: Objects, clock: Clock, lease: timedelta) -> None:
        self._objects = objects
        self._clock = clock
        self._lease = lease

    async def open(self, intent: Intent) -> None:
        """Write it down, or renew it."""
        await self._objects.put(_name(intent.file_id, intent.revision), msgspec.json.encode(intent))

    async def close(self, file_id: str, *, up_to: int) -> None:
        """It is done, up to a revision. Each has an object of its own: what another process began since is not touched."""
        revisions = [1] if up_to == 1 else [one for one in await self._revisions(file_id) if one <= up_to]
        for revision in revisions:
            await self._objects.delete(_name(file_id, revision))

    async def of(self, file_id: str) -> Intent | None:
        """The latest one of this file."""
        for revision in reversed(await self._revisions(file_id)):
            intent = await self._get(_name(file_id, revision))
            if intent is not None:
                return intent
        return None

    async def standing(self) -> AsyncIterator[Intent]:
        """Those whose file stands, the latest of each, the oldest file first. On the way, what is nobody's is taken away."""
        by_file: dict[str, list[Object]] = {}
        for one in sorted(await self._objects.below(_FOLDER), key=lambda one: (one.modified_at, one.name)):
            by_file.setdefault(one.name.rpartition("/")[0], []).append(one)
        for found in by_file.values():
            latest = max(found, key=lambda one: _revision(one.name))
            intent = await self._get(latest.name)
            if intent is None:
                continue
            if await self._objects.head(intent.path + ATTRIBUTES_SUFFIX) is not None:
                yield intent
            elif all(self.is_nobodys(one) for one in found):
                await self.roll_back(intent)

    async def settle(self, intent: Intent, *, stands: int) -> None:
        """An amendment that never came to be, and that nobody works on, is over: nobody could acknowledge it."""
        if intent.revision > stands:
            found = await self._objects.head(_name(intent.file_id, intent.revision))
            if found is not None and self.is_nobodys(found):
                await self._objects.delete(_name(intent.file_id, intent.revision))

    async def roll_back(self, intent: Intent) -> None:
        """As if it had never begun, where it was not committed meanwhile."""
        if await self._objects.head(intent.path + ATTRIBUTES_SUFFIX) is None:
            await self._objects.delete(intent.path)
            await self.close(intent.file_id, up_to=intent.revision)

    async def _get(self, name: str) -> Intent | None:
        try:
            raw, _ = await self._objects.get(name)
        except Missing:
            return None
        return msgspec.json.decode(raw, type=Intent)

    async def _revisions(self, file_id: str) -> list[int]:
        return sorted(_revision(one.name) for one in await self._objects.below(f"{_FOLDER}/{file_id}"))

    def is_nobodys(self, one: Object) -> bool:
        """Whether it is older than whoever works on it would let it become."""
        return self._aged(one.modified_at)

    def _aged(self, since: datetime) -> bool:
        # A bucket tells whole seconds.
        return self._clock.now() - since >= self._lease


def _name(file_id: str, revision: int) -> str:
    return f"{_FOLDER}/{file_id}/{revision}{_SUFFIX}"


def _revision(name: str) -> int:
    return int(name.rpartition("/")[2].removesuffix(_SUFFIX))
