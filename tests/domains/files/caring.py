"""What looks after files, and the jobs that it orders, run by hand."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from samovar.adapters.jobs.rows import jobs as job_rows
from samovar.adapters.jobs.table import JobTable
from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemIds
from samovar.domains.audit.service import AuditService
from samovar.domains.files.jobs import file_kinds
from samovar.domains.files.service import CareRules, FileCare, FileService
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.secrets import SecretBox


class Care:
    """Called with a process's files it looks after those."""

    def __init__(self, database: Database, clock: Clock, ids: SystemIds, box: SecretBox) -> None:
        self._box = box
        self._database = database
        self._clock = clock
        self._ids = ids

    def __call__(self, files: FileService, **rules: Any) -> FileCare:
        jobs = JobTable(kinds=file_kinds(_unused), clock=self._clock, ids=self._ids, bus=MemoryBus())
        return FileCare(
            files=files,
            database=self._database,
            jobs=jobs,
            audit=self.audit,
            clock=self._clock,
            rules=CareRules(**rules),
        )

    def audit(self) -> AuditService:
        """The chain of the installation."""
        return AuditService(
            database=self._database,
            clock=self._clock,
            ids=self._ids,
            box=self._box,
            report=_say,
            installation_team_id="default",
        )

    async def ordered(self) -> Sequence[tuple[str, Any]]:
        """Kind and payload of all jobs that were ordered."""
        async with self._database.reading() as tx:
            found = await tx.execute(select(job_rows.c.kind, job_rows.c.payload).order_by(job_rows.c.id))
            return [(row.kind, row.payload) for row in found]


def _say(error: BaseException, what: str) -> None:
    raise AssertionError(what) from error


def _unused() -> FileCare:
    raise AssertionError("jobs are run by hand")
