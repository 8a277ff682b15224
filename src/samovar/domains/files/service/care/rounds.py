"""Rounds over elements: ordered as jobs, kept as they go, told when somebody asks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
import structlog

from samovar.domains.files.model.rounds import Finding, Round, RoundKind, with_finding
from samovar.domains.files.service.elements import check_keeper
from samovar.domains.files.service.registry import Registry
from samovar.domains.files.store import rebuilding, rounds
from samovar.domains.files.store.rebuilding import KnownCopy
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Permission
from samovar.kernel.errors import SamovarError
from samovar.kernel.principal import Principal
from samovar.kernel.tasks import background
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import DamagedFile, FileNotThere, Found, StorageElement
from samovar.ports.jobs import Enqueued, Jobs

T = TypeVar("T")

JOB_OF: Final[Mapping[RoundKind, str]] = {kind: f"files-{kind.value}" for kind in RoundKind}
"""The kind of the job that makes a round."""

_PAGE: Final = 2_000


class ElementRounds:
    """Orders and reports. Each raises ``Forbidden``, ``ElementUnknown``, ``Unavailable``."""

    def __init__(self, *, database: Database, registry: Registry, jobs: Jobs, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._jobs = jobs
        self._clock = clock
        self._log = structlog.get_logger("samovar.files")

    async def order(
        self, principal: Principal, element_id: str, kind: RoundKind, options: Mapping[str, str | bool]
    ) -> Enqueued:
        """Have one made, as a job; or find the one that is unfinished."""
        check_keeper(principal, Permission.ELEMENTS_ADMIN)
        self._registry.registered(element_id)
        payload = {"element_id": element_id, **options}
        async with self._database.transaction() as tx:
            ordered = await self._jobs.enqueue(tx, JOB_OF[kind], payload, team_id=DEFAULT_TEAM_ID, key=element_id)
        await self._jobs.wake()
        return ordered

    async def report(self, principal: Principal, element_id: str, kind: RoundKind) -> Round | None:
        """The last one, as far as it has come; ``None`` where there was none yet."""
        check_keeper(principal, Permission.ELEMENTS_READ)
        self._registry.registered(element_id)
        return await self.last(element_id, kind)

    async def last(self, element_id: str, kind: RoundKind) -> Round | None:
        """The same without a caller."""
        async with self._database.reading() as tx:
            return await rounds.last(tx, element_id, kind)

    async def keep(self, one: Round) -> None:
        """How far it has come."""
        async with self._database.transaction() as tx:
            await rounds.keep(tx, one)

    def noted(self, one: Round, finding: Finding) -> Round:
        """A round with one more finding, which the log has too."""
        self._log.warning(
            "something is wrong on a storage element",
            element=one.element_id,
            round=one.kind.value,
            fault=finding.fault.value,
            outcome=finding.outcome.value,
            path=finding.path,
            file_id=finding.file_id,
            reason=finding.detail,
        )
        return msgspec.structs.replace(one, report=with_finding(one.report, finding))

    async def missing(self, element: StorageElement, met: set[str]) -> AsyncIterator[KnownCopy]:
        """Copies that the rows know of and a walk has not ``met`` (file ids), whose attributes are not there either."""
        after = ""
        while True:
            async with self._database.reading() as tx:
                page = await rebuilding.ids_on_element(tx, element.element_id, after=after, limit=_PAGE)
                unmet = [file_id for file_id in page if file_id not in met]
                copies = await rebuilding.these_on_element(tx, element.element_id, unmet) if unmet else []
            for copy in copies:
                if await is_gone(element, copy.path):
                    yield copy
            if len(page) < _PAGE:
                return
            after = page[-1]


async def is_gone(element: StorageElement, path: str) -> bool:
    """Whether there are no attributes; those that cannot be read are."""
    try:
        await element.attributes(path)
    except FileNotThere:
        return True
    except DamagedFile:
        pass
    return False


@asynccontextmanager
async def read_ahead(source: AsyncGenerator[T, None]) -> AsyncIterator[AsyncIterator[T]]:
    """All that ``source`` gives; the next is made while the last is worked on, and one more waits between them. What goes wrong
    with the source is raised behind all that it gave. It is closed with the block."""
    read: asyncio.Queue[T | SamovarError | None] = asyncio.Queue(maxsize=1)

    async def fill() -> None:
        try:
            async for one in source:
                await read.put(one)
        except SamovarError as error:
            await read.put(error)
        else:
            await read.put(None)
        finally:
            await source.aclose()

    async def each() -> AsyncIterator[T]:
        while (one := await read.get()) is not None:
            if isinstance(one, SamovarError):
                raise one
            yield one

    async with background(fill()):
        yield each()


async def in_batches(element: StorageElement, *, after: str, size: int) -> AsyncGenerator[list[Found], None]:
    """All that is there, so many at a time."""
    batch: list[Found] = []
    async for found in element.walk(after=after):
        batch.append(found)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def paced(clock: Clock, began: float, size_bytes: int, bytes_per_s: float) -> None:
    """Wait until so many bytes may have been read since ``began``."""
    await asyncio.sleep(max(0.0, began + size_bytes / bytes_per_s - clock.monotonic()))
