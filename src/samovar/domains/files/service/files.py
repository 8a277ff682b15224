"""All of it together, for one process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from samovar.domains.files.model.choosing import Element
from samovar.domains.files.service.changes import FileChanges
from samovar.domains.files.service.confirming import Confirming
from samovar.domains.files.service.discovery import Discovery
from samovar.domains.files.service.elements import ElementAdmin
from samovar.domains.files.service.ingest import Ingest, IngestRules, Resumable, UploadRules
from samovar.domains.files.service.links import FileLinks
from samovar.domains.files.service.memory import FileMemory
from samovar.domains.files.service.news import News
from samovar.domains.files.service.projecting import Projector
from samovar.domains.files.service.query import FileReads
from samovar.domains.files.service.registry import Open, Registry
from samovar.domains.files.service.tally import FileFigures, FileTally
from samovar.domains.files.service.telling import Notify, Teller
from samovar.domains.files.service.transactions import TransactionRules, Transactions
from samovar.domains.files.service.transactions.desk import TransactionDesk
from samovar.domains.files.service.transactions.resuming import Resumer
from samovar.domains.files.store import links, owners
from samovar.kernel.errors import Unavailable
from samovar.kernel.tasks import background
from samovar.ports.cache import Cache
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.events import Bus
from samovar.ports.secrets import SecretBox

_SWEEP_EVERY_S: Final = 300.0
_SWEPT: Final = 500
_LINKS_KEPT: Final = timedelta(days=30)


Keep = Callable[[str, Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]]
"""Runs a loop, by its name, and begins it anew when it fails."""


class FileService:
    """Subscribes to the bus when it is made: make it before the bus starts."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        bus: Bus,
        cache: Cache,
        box: SecretBox,
        configured: Sequence[Element],
        open_element: Open,
        rules: IngestRules,
        notify: Notify,
        upload_rules: UploadRules | None = None,
        transaction_rules: TransactionRules | None = None,
        remember: Path | None = None,
        is_admin: bool = True,
    ) -> None:
        """``is_admin``: this process publishes the elements (``remember``, a file: see :class:`Discovery`), and resumes uploads
        whose leader died."""
        self._database = database
        self._clock = clock
        self._ids = ids
        self._is_admin = is_admin
        self._log = structlog.get_logger("samovar.files")
        self.memory = FileMemory(cache=cache, monotonic=clock.monotonic)
        self._tally = FileTally()
        self.registry = Registry(
            database=database, clock=clock, bus=bus, configured=configured, open_element=open_element
        )
        self.discovery = Discovery(registry=self.registry, bus=bus, file=remember, publishes=is_admin)
        self.news = News()
        self.projector = Projector(database=database, registry=self.registry, clock=clock, news=self.news)
        self.teller = Teller(database=database, memory=self.memory, bus=bus, clock=clock, news=self.news, notify=notify)
        transaction_rules = transaction_rules or TransactionRules()
        self.transactions = Transactions(
            database=database, clock=clock, ids=ids, bus=bus, rules=transaction_rules, tally=self._tally
        )
        self.ingest = self._make_ingest(rules)
        self.uploads = Resumable(
            database=database,
            registry=self.registry,
            ingest=self.ingest,
            transactions=self.transactions,
            clock=clock,
            ids=ids,
            owner_rules=rules,
            rules=upload_rules or UploadRules(),
            tally=self._tally,
        )
        self.confirming = Confirming(database=database, registry=self.registry, projector=self.projector, clock=clock)
        self.reads = self._make_reads()
        self.changes = self._make_changes()
        self.resumer = self._make_resumer(transaction_rules)
        self.desk = TransactionDesk(
            database=database, registry=self.registry, uploads=self.uploads, changes=self.changes, bus=bus
        )
        self.links = FileLinks(database=database, reads=self.reads, box=box, clock=clock, ids=ids)
        self.elements = ElementAdmin(registry=self.registry, clock=clock)

    def _make_reads(self) -> FileReads:
        return FileReads(
            database=self._database,
            registry=self.registry,
            memory=self.memory,
            tally=self._tally,
            confirming=self.confirming,
        )

    def _make_ingest(self, rules: IngestRules) -> Ingest:
        return Ingest(
            database=self._database,
            registry=self.registry,
            projector=self.projector,
            transactions=self.transactions,
            memory=self.memory,
            clock=self._clock,
            ids=self._ids,
            rules=rules,
            tally=self._tally,
        )

    def _make_resumer(self, rules: TransactionRules) -> Resumer:
        return Resumer(
            database=self._database,
            registry=self.registry,
            projector=self.projector,
            changes=self.changes,
            clock=self._clock,
            ids=self._ids,
            rules=rules,
            tally=self._tally,
        )

    def _make_changes(self) -> FileChanges:
        return FileChanges(
            database=self._database,
            registry=self.registry,
            projector=self.projector,
            reads=self.reads,
            memory=self.memory,
            teller=self.teller,
            news=self.news,
            clock=self._clock,
            tally=self._tally,
        )

    @property
    def tally(self) -> FileTally:
        """What is counted."""
        return self._tally

    def figures(self) -> FileFigures:
        """For metrics."""
        return FileFigures(operations=dict(self._tally.counts), used_bytes=self.registry.used_bytes)

    @asynccontextmanager
    async def running(self, keep: Keep) -> AsyncIterator[None]:
        """Serve beside the block: elements started, rows caught up, news told."""
        async with self.registry.running():
            await self.registry.load(self.discovery.remembered)
            try:
                await self.projector.catch_up()
            except Unavailable as error:
                self._log.warning("rows are behind their files", reason=error.detail)
            loops = [
                keep("files' rows", self.projector.run),
                keep("news of files", self.teller.run),
                keep("files' upkeep", self.sweep_for_ever),
                keep("storage elements", self.discovery.run),
                keep("files' transactions", self.transactions.run),
            ]
            if self._is_admin:
                loops.append(keep("files without a leader", self.resumer.run))
            async with background(*loops):
                try:
                    yield
                finally:
                    await self.transactions.close()
                    await self.confirming.close()
                    await self.projector.close()
                    await self.teller.stop()

    @asynccontextmanager
    async def reading(self, keep: Keep) -> AsyncIterator[None]:
        """Serve reads beside the block, and look after nothing. Nobody waits here for elements to start."""
        async with self.registry.running(), background(keep("storage elements", self._follow)):
            try:
                yield
            finally:
                await self.confirming.close()
                await self.projector.close()

    async def _follow(self) -> None:
        await self.registry.load(self.discovery.remembered)
        await self.discovery.run()

    async def sweep_for_ever(self) -> None:
        """Forget what is over, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            try:
                await self.sweep()
            except Unavailable as error:
                self._log.warning("what is over of files stays for a while", reason=error.detail)

    async def sweep(self) -> None:
        """Forget links that are long over, uploads that nobody goes on with, and room that is held for those nobody ended. Raises
        ``Unavailable``."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await owners.release_over(tx, now=now, limit=_SWEPT)
            await links.remove_over(tx, before=now - _LINKS_KEPT, limit=_SWEPT)
        await self.uploads.sweep()
