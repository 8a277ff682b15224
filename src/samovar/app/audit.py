"""The audit chain's object graph: from settings to the service, its loops and its routes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

import structlog
from msgspec.structs import replace

from samovar.app.background import forever
from samovar.app.settings import Settings
from samovar.app.strangers import Strangers
from samovar.app.witness import Witness
from samovar.domains.audit.errors import AuditUnwritten
from samovar.domains.audit.model import Result
from samovar.domains.audit.service import AuditService, AuditSettings
from samovar.domains.files.model.choosing import Element
from samovar.domains.identity.model import DEFAULT_TEAM_ID, SigningKey, administrator
from samovar.domains.operations.model.backups import StoredBackup
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.kernel.tasks import background
from samovar.kernel.time import rfc3339
from samovar.ports.blobs import Blobs
from samovar.ports.jobs import Job

if TYPE_CHECKING:
    from samovar.adapters.objects import S3Access
    from samovar.app.services import Services

log = structlog.get_logger("samovar.audit")

_OF_SETTINGS: Final = ("url", "mode", "priority", "capacity_bytes", "watermarks", "configured")


class AuditDesk:
    """What there is to be had of audit. ``service`` makes the master key where there is none."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._settings = services.settings

    @cached_property
    def service(self) -> AuditService:
        services, settings = self._services, self._settings
        return AuditService(
            database=services.database,
            clock=services.clock,
            ids=services.ids,
            box=services.box,
            report=_report,
            installation_team_id=DEFAULT_TEAM_ID,
            settings=AuditSettings(
                checkpoint_records=settings.audit_checkpoint_records,
                checkpoint_s=settings.audit_checkpoint_s,
                with_records=settings.audit_copy_records,
                retention=timedelta(days=settings.audit_retention_days) if settings.audit_retention_days else None,
            ),
            blobs=self._blobs if settings.audit_copy_url else None,
        )

    @cached_property
    def witness(self) -> Witness:
        """Who records requests of the control plane."""
        return Witness(lambda: self.service)

    @cached_property
    def strangers(self) -> Strangers:
        """Who records sign-ins that failed."""
        return Strangers(lambda: self.service, clock=self._services.clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What is recorded inside the block is written when it ends, at the latest."""
        service = self.service
        try:
            async with background(
                forever("audit", service.run),
                forever("audit checkpoints", service.run_checkpoints),
                forever("audit copies", service.run_copies),
                forever("strangers", self.strangers.run),
            ):
                yield
        finally:
            self.strangers.sweep()
            await service.close()

    async def note(self, action: str, resource: str, **facts: object) -> None:
        """What the command line did past HTTP, at once, and without :meth:`running`. That it cannot be written is logged
        and no error: what was done is done."""
        service, who = self.service, administrator()
        entry = service.entry(
            service="cli",
            action=action,
            user_id=who.id,
            resource=resource,
            result=Result.SUCCESS,
            metadata={"by": who.kind.value, **facts},
            team_id=who.team_id,
        )
        async with background(forever("audit", service.run)):
            try:
                await service.record(entry)
            except AuditUnwritten as error:
                _report(error, f"{action} of {resource} is not known to be in the audit chain")
        await service.close()

    def tell(self, action: str, resource: str, *, team_id: str = DEFAULT_TEAM_ID, **facts: object) -> None:
        """What this process did by itself, beside :meth:`running`. Nobody waits for it."""
        self._tell(action, resource, facts, team_id=team_id)

    def _tell(
        self,
        action: str,
        resource: str,
        facts: Mapping[str, object],
        *,
        team_id: str = DEFAULT_TEAM_ID,
        result: Result = Result.SUCCESS,
    ) -> None:
        entry = self.service.entry(
            service="upkeep",
            action=action,
            user_id="samovar",
            resource=resource,
            result=result,
            metadata=dict(facts),
            team_id=team_id,
        )
        try:
            self.service.submit(entry)
        except AuditUnwritten as error:
            _report(error, f"{action} of {resource} is not known to be in the audit chain")

    def element_configured(self, before: Element, now: Element) -> None:
        """At a start the settings said something else of an element than was registered: the one way back from a lowered mode."""
        fields = [name for name in _OF_SETTINGS if getattr(before, name) != getattr(now, name)]
        self.tell(
            "storage-element:configure",
            f"storage-element:{now.id}",
            changed=", ".join(fields),
            mode=now.mode.value,
            mode_before=before.mode.value,
        )

    def signing_key_made(self, key: SigningKey) -> None:
        """The first key that signs tokens, or the next one in its turn."""
        self.tell(
            "signing-key:create",
            f"signing-key:{key.kid}",
            active_from=rfc3339(key.active_from),
            retires_at=rfc3339(key.retires_at),
        )

    def usage_pruned(self, before: datetime, events: int) -> None:
        """Events of usage went by retention; their sums stay."""
        self.tell("usage:prune", "usage", before=rfc3339(before), events=events)

    def backup_run(self, job: Job, came: StoredBackup | SamovarError) -> None:
        """A job wrote a backup, or could not: by the clock, or because somebody asked for one (``backup:create`` says who)."""
        facts = {"job": job.id, "cron": job.cron or "", "attempt": job.attempt}
        if isinstance(came, SamovarError):
            self._tell("backup:write", "backup", {**facts, "code": came.code}, result=Result.FAILURE)
        else:
            self._tell("backup:write", f"backup:{came.name}", {**facts, "size_bytes": came.size_bytes})

    def _blobs(self) -> Blobs:
        """The place for copies; obstore is imported when it is first used."""
        from samovar.adapters.objects import ObjectBlobs

        return ObjectBlobs(self._settings.audit_copy_url, s3=copy_access(self._settings))


def copy_access(settings: Settings) -> "S3Access":
    """How the bucket for copies is reached: as that of backups, but for what it has of its own. Id and secret are one."""
    from samovar.app.backups import s3_access

    access, secret = s3_access(settings), settings.audit_copy_secret_access_key
    if secret is not None:
        key_id = settings.audit_copy_access_key_id
        access = replace(access, access_key_id=key_id, secret_access_key=secret.get_secret_value())
    return replace(
        access,
        endpoint=settings.audit_copy_endpoint or access.endpoint,
        region=settings.audit_copy_region or access.region,
        # The bucket should have object lock, and AWS then takes nothing without.
        checksum_algorithm="sha256",
    )


def _report(error: BaseException, what: str) -> None:
    # What is away comes back, and then it is written.
    tell = log.warning if isinstance(error, Unavailable) else log.error
    tell(what, error=str(error), kind=type(error).__name__)
