"""The audit chain's use cases: record, read, prove."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from samovar.domains.audit.model import Entry, Result, entry_of
from samovar.domains.audit.service.appending import AppendBounds, Appender
from samovar.domains.audit.service.copying import Copies
from samovar.domains.audit.service.pruning import Pruned, Pruning
from samovar.domains.audit.service.reading import READ, Reading
from samovar.domains.audit.service.sealing import CHECKPOINT_RECORDS, CHECKPOINT_S, Report, Sealing
from samovar.domains.audit.store import Wanted
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.blobs import Blobs
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx
from samovar.ports.secrets import SecretBox

__all__ = ["READ", "AppendBounds", "AuditFigures", "AuditService", "AuditSettings", "Pruned", "Wanted"]


_FAREWELL_S: Final = 5.0


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``with_records`` copies the records between two checkpoints beside the later one. ``retention`` is how long
    records are kept at least, ``None`` for ever."""

    checkpoint_records: int = CHECKPOINT_RECORDS
    checkpoint_s: float = CHECKPOINT_S
    with_records: bool = False
    retention: timedelta | None = None


class AuditFigures(msgspec.Struct, frozen=True, kw_only=True):
    """For metrics. ``written`` by result, ``unwritten``, ``late`` and ``checkpoints`` are this process's own since it began."""

    written: Mapping[str, int]
    unwritten: int
    late: int
    waiting: int
    checkpoints: int
    uncopied: int
    sequence: int


class AuditService:
    """The face of audit. :meth:`run` writes what is recorded; call :meth:`close` once nothing is recorded any more. ``blobs`` is
    where checkpoints are copied to, ``None`` for nowhere."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        box: SecretBox,
        report: Report,
        installation_team_id: str,
        settings: AuditSettings | None = None,
        bounds: AppendBounds | None = None,
        blobs: Callable[[], Blobs] | None = None,
    ) -> None:
        settings = settings or AuditSettings()
        self._clock = clock
        self._ids = ids
        self._report = report
        self._sealing = Sealing(
            database=database,
            clock=clock,
            ids=ids,
            box=box,
            report=report,
            every_records=settings.checkpoint_records,
            every_s=settings.checkpoint_s,
        )
        self._appender = Appender(database=database, sealing=self._sealing, report=report, bounds=bounds)
        self.reading = Reading(
            database=database, clock=clock, sealing=self._sealing, installation_team_id=installation_team_id
        )
        self.copies = blobs and Copies(
            database=database,
            reading=self.reading,
            blobs=blobs,
            with_records=settings.with_records,
            report=report,
            every_s=settings.checkpoint_s,
        )
        self._retention = settings.retention
        self._pruning = Pruning(
            database=database, clock=clock, reading=self.reading, sealing=self._sealing, copies=self.copies
        )

    def entry(
        self,
        *,
        service: str,
        action: str,
        user_id: str | None,
        resource: str,
        result: Result,
        metadata: Mapping[str, object] | None = None,
        team_id: str | None = None,
        request_id: str | None = None,
    ) -> Entry:
        """What happened now. No fact may be a secret; texts and facts are bounded."""
        return entry_of(
            id=self._ids.new("aud"),
            at=self._clock.now(),
            service=service,
            action=action,
            user_id=user_id,
            resource=resource,
            result=result,
            metadata=metadata,
            team_id=team_id,
            request_id=request_id,
        )

    async def record(self, entry: Entry) -> None:
        """Returns when ``entry`` is committed. Raises ``AuditUnwritten``: the record is not known to be, and is tried again."""
        await self._appender.append(entry)

    async def record_in(self, tx: Tx, entry: Entry) -> None:
        """In the transaction of what it tells of, as its last step: both are committed, or neither. Raises
        ``RecordRefused``."""
        await self._appender.append_in(tx, entry)

    def submit(self, entry: Entry) -> None:
        """The same without waiting, for whoever cannot. Raises ``AuditUnwritten`` where there is no room."""
        self._appender.submit(entry).add_done_callback(_heard)

    async def seal(self) -> None:
        """A checkpoint now, if there is anything new. Raises ``Unavailable``."""
        await self._sealing.seal()

    async def prune(self, actor: Principal, *, service: str, keep: timedelta | None = None) -> Pruned | None:
        """Let the chain begin later: with the records that are younger than ``keep``, by default the retention, or that no older
        checkpoint has sealed. It is recorded first as done by ``actor`` in ``service``; what was pruned. Raises as
        :meth:`Pruning.prune`, and ``AuditUnwritten``."""

        async def say(pruned: Pruned) -> None:
            entry = self.entry(
                service=service,
                action="audit:prune",
                user_id=actor.id,
                resource="audit",
                result=Result.SUCCESS,
                metadata={"by": actor.kind.value, "first": pruned.first, "last": pruned.last},
                team_id=actor.team_id,
            )
            await self.record(entry)

        return await self._pruning.prune(keep=keep or self._retention, say=say)

    async def run(self) -> None:
        """Append what is recorded, until cancelled."""
        await self._appender.run()

    async def run_checkpoints(self) -> None:
        """Put the checkpoints that are due by time, until cancelled."""
        await self._sealing.run()

    async def run_copies(self) -> None:
        """Copy checkpoints, where there is a place for them, until cancelled."""
        if self.copies is None:
            await asyncio.get_running_loop().create_future()
        else:
            await self.copies.run()

    async def close(self) -> None:
        """Write what waits, and a last checkpoint, and copy it: what a process leaves behind is sealed."""
        await self._appender.close()
        try:
            await self._sealing.seal()
        except Unavailable as error:
            self._report(error, "the last audit records have no checkpoint yet")
            return
        if self.copies is not None:
            try:
                async with asyncio.timeout(_FAREWELL_S):
                    await self.copies.copy()
            except (SamovarError, TimeoutError) as error:
                self._report(error, "the last audit checkpoints are not copied yet; whoever starts next does it")

    def figures(self) -> AuditFigures:
        """What metrics tell."""
        return AuditFigures(
            written=self._appender.written,
            unwritten=self._appender.unwritten,
            late=self._appender.late,
            waiting=self._appender.waiting,
            checkpoints=self._sealing.sealed,
            uncopied=self.copies.waiting if self.copies else 0,
            sequence=self._appender.sequence,
        )


def _heard(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
