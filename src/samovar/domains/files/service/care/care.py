"""All that looks after files once they are kept, for one process."""

from collections.abc import Callable
from functools import cached_property

import msgspec

from samovar.domains.audit.service import AuditService
from samovar.domains.files.service.care.checking import Checker
from samovar.domains.files.service.care.copying import Copier
from samovar.domains.files.service.care.later import WaitingChanges
from samovar.domains.files.service.care.rebuilding import Rebuilder
from samovar.domains.files.service.care.replicas import FileReplicas
from samovar.domains.files.service.care.restoring import FileRestoring
from samovar.domains.files.service.care.retention import FileRetention
from samovar.domains.files.service.care.rounds import ElementRounds
from samovar.domains.files.service.care.scrubbing import Scrubber
from samovar.domains.files.service.files import FileService
from samovar.domains.files.service.tally import FileFigures
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.jobs import Jobs


class CareRules(msgspec.Struct, frozen=True, kw_only=True):
    """``read_bytes_per_s`` bounds what rounds read of contents; ``replicas`` is on how many elements a permanent file stands that
    does not say; ``queued_days`` is how long a change waits for its element."""

    read_bytes_per_s: float = 20 * 1024 * 1024
    replicas: int = 1
    queued_days: int = 7


class FileCare:
    """Rounds over the elements that this process serves."""

    def __init__(
        self,
        *,
        files: FileService,
        database: Database,
        jobs: Jobs,
        audit: Callable[[], AuditService],
        clock: Clock,
        rules: CareRules,
    ) -> None:
        self._files, self._database, self._jobs = files, database, jobs
        self._audit, self._clock, self._rules = audit, clock, rules
        self.copier = Copier(
            database=database,
            registry=files.registry,
            projector=files.projector,
            memory=files.memory,
            teller=files.teller,
            clock=clock,
        )
        self.retention = FileRetention(
            database=database,
            registry=files.registry,
            changes=files.changes,
            copier=self.copier,
            jobs=jobs,
            clock=clock,
        )
        self.restoring = FileRestoring(
            database=database,
            registry=files.registry,
            changes=files.changes,
            copier=self.copier,
            jobs=jobs,
            tally=files.tally,
        )
        self.rounds = ElementRounds(database=database, registry=files.registry, jobs=jobs, clock=clock)
        self.rebuilder = Rebuilder(
            database=database,
            registry=files.registry,
            element_rounds=self.rounds,
            changes=files.changes,
            teller=files.teller,
            clock=clock,
        )
        self.replicas = FileReplicas(
            database=database, registry=files.registry, copier=self.copier, jobs=jobs, usual=rules.replicas
        )
        self.scrubber = Scrubber(
            database=database,
            registry=files.registry,
            element_rounds=self.rounds,
            copier=self.copier,
            replicas=self.replicas,
            jobs=jobs,
            clock=clock,
            read_bytes_per_s=rules.read_bytes_per_s,
        )

    @cached_property
    def checker(self) -> Checker:
        """Compares rows with what stands."""
        return Checker(
            database=self._database,
            registry=self._files.registry,
            element_rounds=self.rounds,
            clock=self._clock,
            read_bytes_per_s=self._rules.read_bytes_per_s,
        )

    @cached_property
    def later(self) -> WaitingChanges:
        """Changes that wait for an element."""
        return WaitingChanges(
            database=self._database,
            registry=self._files.registry,
            changes=self._files.changes,
            retention=self.retention,
            jobs=self._jobs,
            audit=self._audit,
            clock=self._clock,
            keep_days=self._rules.queued_days,
        )

    def figures(self) -> FileFigures:
        """For metrics: the files' own, and what scrubbing did."""
        return msgspec.structs.replace(
            self._files.figures(),
            scrubbed_bytes=self.scrubber.read_bytes,
            scrub_findings=dict(self.scrubber.findings),
        )
