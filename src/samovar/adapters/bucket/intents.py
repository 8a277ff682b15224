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
    """``path`` is the content's."""

    file_id: str
    path: str


class Intents:
    """Those of one element."""

    def __init__(self, *, objects: Objects, clock: Clock, lease: timedelta) -> None:
        self._objects = objects
        self._clock = clock
        self._lease = lease

    async def open(self, file_id: str, *, path: str) -> None:
        """Write it down, or renew it."""
        await self._objects.put(_name(file_id), msgspec.json.encode(Intent(file_id=file_id, path=path)))

    async def close(self, file_id: str) -> None:
        """It is done."""
        await self._objects.delete(_name(file_id))

    async def get(self, file_id: str) -> Intent | None:
        """The one of this file."""
        try:
            raw, _ = await self._objects.get(_name(file_id))
        except Missing:
            return None
        return msgspec.json.decode(raw, type=Intent)

    async def standing(self) -> AsyncIterator[Intent]:
        """Those whose file stands, the oldest first. On the way, what belongs to nobody is taken away."""
        found = await self._objects.below(_FOLDER)
        for one in sorted(found, key=lambda one: (one.modified_at, one.name)):
            intent = await self.get(one.name.removeprefix(f"{_FOLDER}/").removesuffix(_SUFFIX))
            if intent is None:
                continue
            if await self._objects.head(intent.path + ATTRIBUTES_SUFFIX) is not None:
                yield intent
            elif self.is_nobodys(one):
                await self.roll_back(intent)

    async def roll_back(self, intent: Intent) -> None:
        """As if it had never begun, where it was not committed meanwhile."""
        if await self._objects.head(intent.path + ATTRIBUTES_SUFFIX) is None:
            await self._objects.delete(intent.path)
            await self.close(intent.file_id)

    def is_nobodys(self, one: Object) -> bool:
        """Whether it is older than whoever works on it would let it become."""
        return self._aged(one.modified_at)

    def _aged(self, since: datetime) -> bool:
        # A bucket tells whole seconds.
        return self._clock.now() - since >= self._lease


def _name(file_id: str) -> str:
    return f"{_FOLDER}/{file_id}{_SUFFIX}"
