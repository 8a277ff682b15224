"""An ingester that may be stopped or killed anywhere, beside an admin, on one database and one element."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samovar.adapters.disk import DiskElement
from samovar.domains.files.model.choosing import ElementState
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.model.transactions import TransactionAnswer
from samovar.domains.files.service import ElementChange, FileService
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database, Tx
from samovar.ports.elements import Attributes, Draft, ElementUnavailable, RetentionKind, StorageElement
from tests.domains.files.conftest import ADMIN, ANN
from tests.support.clock import ManualClock

LEASE_S = 121


class Mortal:
    """A database, as a process sees it that may die: then nothing of it gets there any more."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_dead = False

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        return self._while_alive(self._database.transaction)

    def visible(self) -> AbstractAsyncContextManager[Tx]:
        return self._while_alive(self._database.visible)

    def reading(self) -> AbstractAsyncContextManager[Tx]:
        return self._while_alive(self._database.reading)

    @asynccontextmanager
    async def _while_alive(self, begin: Callable[[], AbstractAsyncContextManager[Tx]]) -> AsyncIterator[Tx]:
        self._check()
        async with begin() as tx:
            yield tx
            self._check()

    def _check(self) -> None:
        if self.is_dead:
            raise Unavailable("This process is dead.")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@dataclass
class Halts:
    """Where somebody waits, and whether one may go on."""

    at: str = ""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_by(self, name: str) -> None:
        if name == self.at:
            self.reached.set()
            await self.go_on.wait()


class Shared:
    """An element that several processes have, as if each asked it from afar, and that is started and closed by whoever lends it;
    who writes may be stopped on the way."""

    def __init__(self, inner: StorageElement, halts: Halts | None = None) -> None:
        self._inner = inner
        self._halts = halts or Halts()
        self.element_id = inner.element_id
        self.is_away = False

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return

    async def write(self, draft: Draft, content: AsyncIterator[bytes]) -> Attributes:
        await self._halts.pass_by("before the element has anything")
        made = await self._inner.write(draft, content)
        await self._halts.pass_by("behind the commit point")
        return made

    async def finish(self, file_id: str) -> Attributes:
        await self._halts.pass_by("before the end is told")
        made = await self._inner.finish(file_id)
        await self._halts.pass_by("behind the commit point")
        return made

    async def attributes(self, path: str) -> Attributes:
        if self.is_away:
            raise ElementUnavailable("It is away.")
        return await self._inner.attributes(path)

    async def acknowledge(self, file_ids: Any) -> None:
        await self._halts.pass_by("before the acknowledgement")
        await self._inner.acknowledge(file_ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


BEFORE = ("before the element has anything", "in the middle of the content")
BEHIND = ("behind the commit point", "before the acknowledgement")


@dataclass
class Roles:
    """An ingester that may be stopped or killed, and an admin, on one database and one element."""

    ingester: FileService
    admin: FileService
    mortal: Mortal
    halts: Halts
    disk: DiskElement
    folder: Path
    clock: ManualClock
    retention: RetentionKind

    async def content(self, whole: bytes) -> AsyncGenerator[bytes, None]:
        half = len(whole) // 2
        yield whole[:half]
        await self.halts.pass_by("in the middle of the content")
        yield whole[half:]

    @asynccontextmanager
    async def stopped(self, at: str, whole: bytes = b"x" * 6_000_000) -> AsyncIterator["asyncio.Task[Any]"]:
        """An upload that is stopped there until the block lets it go on."""
        self.halts.at = at
        intent = Intent(filename="a.bin", retention=self.retention)
        made = asyncio.ensure_future(self.ingester.ingest.upload(ANN, intent, self.content(whole)))
        await asyncio.wait_for(self.halts.reached.wait(), 10)
        try:
            yield made
        finally:
            self.halts.at = ""
            self.halts.go_on.set()
            made.cancel()
            await asyncio.wait([made])

    async def kill(self, upload: "asyncio.Task[Any]") -> None:
        """As with -9: the element loses its sender, and nobody writes anything down."""
        self.mortal.is_dead = True
        upload.cancel()
        await asyncio.wait([upload])

    async def only(self) -> TransactionAnswer:
        [one] = (await self.admin.desk.page(ANN, state=None, cursor=None, limit=10)).items
        return await self.admin.desk.find(ANN, one.id)

    async def resumed(self) -> TransactionAnswer:
        """When the lease is over, and an admin process has looked."""
        self.clock.advance(LEASE_S)
        await self.admin.resumer.round()
        return await self.only()

    async def lose_element(self) -> None:
        """Somebody says that the element does not come back."""
        lost = ElementChange(state=ElementState.LOST)
        await self.admin.elements.change(ADMIN, "one", lost, expected=None, confirm="one")

    def left(self) -> list[str]:
        """All that stands in the element's folder, but for what it keeps of itself."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and ".element/wal" not in str(path)]
        return sorted(path.name for path in found if path.parent.name != ".element")


Apart = Callable[..., Awaitable[Roles]]
