"""News of files: what changed goes out of the outbox to all processes, and to whoever else wants to know.

News is written in the transaction of its change and told at least once, whatever dies in between. Nothing is ever undone
because it could not be told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import msgspec
import structlog

from samovar.domains.files.model.records import FileEvent, FileHappened, StoredFile
from samovar.domains.files.service.memory import FileMemory, Key
from samovar.domains.files.service.news import TOLD_BY_ITSELF, News
from samovar.domains.files.store import outbox, rows
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.events import Bus
from samovar.ports.outages import Outage

FILES_CHANGED: Final = "files.changed"
"""Bus topic: a :class:`FileNews` as MessagePack."""

_LEASE: Final = timedelta(seconds=60)
_PUT_OFF: Final = timedelta(seconds=2)
_BATCH: Final = 100
_AT_ONCE: Final = 25
_LOOK_EVERY_S: Final = 5.0
_REST_S: Final = 2.0
_FAREWELL_S: Final = 5.0
_GATHER_S: Final = 0.02

Notify = Callable[[FileEvent, StoredFile | None], Awaitable[None]]
"""Takes news upward, with the file as it stands now (``None``: it is gone). What it raises is logged, and the news told again
later."""
Settle = Callable[[FileEvent], Awaitable[bool]]
"""Looks after a deletion that was begun; whether it has not to be looked at again. Raises ``Unavailable``."""


class FileNews(msgspec.Struct, frozen=True, array_like=True):
    """A file is another one now."""

    team_id: str
    file_id: str
    revision: int
    is_gone: bool


class Teller:
    """One for a process; several take turns at the outbox."""

    def __init__(
        self, *, database: Database, memory: FileMemory, bus: Bus, clock: Clock, news: News, notify: Notify
    ) -> None:
        self._database = database
        self._memory = memory
        self._bus = bus
        self._clock = clock
        self._news = news
        self._notify = notify
        self._settle: Settle | None = None
        self._turn = asyncio.Lock()
        self._log = structlog.get_logger("samovar.files")
        bus.subscribe(FILES_CHANGED, self.on_changed)
        bus.on_gap(self.on_gap)

    def on_deleting(self, settle: Settle) -> None:
        """Who looks after deletions; it needs the teller itself."""
        self._settle = settle

    async def run(self) -> None:
        """Tell what there is, until cancelled."""
        outage = Outage("news of files waits", logger="samovar.files")
        loop = asyncio.get_running_loop()
        looks_at = loop.time() + _LOOK_EVERY_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(looks_at):
                    await self._news.waits.wait()
            if loop.time() >= looks_at:
                # However much there is to tell of our own, that of the dead is told too.
                self._news.is_unread, looks_at = True, loop.time() + _LOOK_EVERY_S
            if not self._news.is_unread:
                # Nobody knows these files yet, and a hundred together cost little more than one.
                await asyncio.sleep(_GATHER_S)
            self._news.waits.clear()
            try:
                async with self._turn:
                    await self._tell_fresh()
                    if self._news.is_unread:
                        self._news.is_unread = False
                        await self._tell_unread()
                outage.over()
            except Unavailable as error:
                outage.tell(error)
                await asyncio.sleep(_REST_S)

    async def stop(self) -> None:
        """Let what is told be told to its end, for a moment, and begin nothing more."""
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await self._turn.acquire()
                await self._tell_fresh()
        except (TimeoutError, Unavailable):
            self._log.warning("news of files is told again at the next start")

    async def tell_all(self) -> int:
        """Tell what there is, after what is being told here just now; how much there was. Raises ``Unavailable``."""
        async with self._turn:
            return await self._tell_fresh() + await self._tell_unread()

    async def _tell_fresh(self) -> int:
        """What this process wrote itself; how much there was."""
        fresh = self._news.taken()
        told = []
        for one in fresh:
            if self._clock.now() - one.event.at >= TOLD_BY_ITSELF:
                # By now it is anybody's, and the file may be another one.
                self._news.is_unread = True
                continue
            # Nobody can know anything older of it.
            await self._memory.offer(one.file)
            if await self._is_told(one.event, {(one.event.team_id, one.event.file_id): one.file}):
                told.append(one.news_id)
        if told:
            # A power cut may take what is written here, and then it is told once more.
            await self._database.run(outbox.done(told), is_synced=False)
        return len(fresh)

    async def _tell_unread(self) -> int:
        found = 0
        while (some := await self._tell_some()) == _BATCH:
            found += some
        return found + some

    async def _tell_some(self) -> int:
        """The oldest hundred that nobody else tells; how many there were."""
        now = self._clock.now()
        async with self._database.visible() as tx:
            taken = await outbox.take(tx, now=now, until=now + _LEASE, limit=_BATCH)
        if not taken:
            return 0
        news = [(news_id, event) for news_id, event in taken if event.happened is not FileHappened.DELETING]
        # Deletions wait for nothing that is shared.
        told = [
            news_id
            for news_id, event in taken
            if event.happened is FileHappened.DELETING and await self._is_told(event, {})
        ]
        try:
            for start in range(0, len(news), _AT_ONCE):
                told += await self._tell(news[start : start + _AT_ONCE])
        except Unavailable:
            # What is shared of these files is still believed where it is back before the lease is over.
            late = sorted({news_id for news_id, _ in news}.difference(told))
            await self._database.run(outbox.put_off(late, until=self._clock.now() + _PUT_OFF), is_synced=False)
            raise
        finally:
            if told:
                await self._database.run(outbox.done(told), is_synced=False)
        return len(taken)

    async def tell_at_once(self, file: StoredFile | None, event: FileEvent) -> None:
        """What processes remember ends now, and not only when the news goes out. Where that fails the news makes up for it."""
        try:
            await self._memory.publish(event.team_id, event.file_id, is_gone=file is None)
            await self._publish(event)
        except Unavailable as error:
            self._log.warning("news of a file waits", file_id=event.file_id, reason=error.detail)

    async def on_changed(self, message: bytes) -> None:
        """Bus handler."""
        news = msgspec.msgpack.decode(message, type=FileNews)
        self._memory.drop(news.team_id, news.file_id, below=None if news.is_gone else news.revision)

    async def on_gap(self) -> None:
        """Bus handler."""
        self._memory.clear()

    async def _tell(self, some: Sequence[tuple[int, FileEvent]]) -> list[int]:
        """Which of these were told. Raises ``Unavailable`` where what is shared of them cannot be ended."""
        stand = await self._shared([event for _, event in some])
        return [news_id for news_id, event in some if await self._is_told(event, stand)]

    async def _shared(self, some: Sequence[FileEvent]) -> dict[Key, StoredFile | None]:
        """End what is shared of these files, and read all at once how they stand now; those for which that was done. Raises
        ``Unavailable``."""
        keys = {(event.team_id, event.file_id) for event in some}
        async with self._database.reading() as tx:
            stand = await rows.several(tx, keys)
        shared: dict[Key, StoredFile | None] = {}
        for key in keys:
            try:
                await self._memory.publish(*key, is_gone=key not in stand)
                shared[key] = stand.get(key)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - edge: one that cannot be told must not stop the others
                self._log.warning("news of a file waits", file_id=key[1], reason=str(error))
        return shared

    async def _is_told(self, event: FileEvent, stand: Mapping[Key, StoredFile | None]) -> bool:
        try:
            if event.happened is FileHappened.DELETING:
                return self._settle is not None and await self._settle(event)
            key = (event.team_id, event.file_id)
            if key not in stand:
                return False
            await self._publish(event)
            await self._notify(event, stand[key])
        except Unavailable as error:
            self._log.warning("news of a file waits", file_id=event.file_id, reason=error.detail)
            return False
        except Exception:  # noqa: BLE001 - edge: one piece of news that cannot be told must not stop the others
            self._log.exception("news of a file could not be told", file_id=event.file_id)
            return False
        return True

    async def _publish(self, event: FileEvent) -> None:
        is_gone = event.happened is FileHappened.DELETED
        news = FileNews(event.team_id, event.file_id, event.revision, is_gone)
        await self._bus.publish(FILES_CHANGED, msgspec.msgpack.encode(news))
