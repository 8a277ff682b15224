"""Backups' object graph: from settings to what the routes, the schedule and the command line use."""

import base64
import importlib
import pkgutil
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

import samovar.adapters.jobs
import samovar.domains
from samovar import __version__
from samovar.adapters.age import AgeKeyring
from samovar.adapters.objects import S3Access
from samovar.app.master_key import master_key
from samovar.app.settings import Settings
from samovar.domains.identity.model import administrator
from samovar.domains.operations.http import backups as http
from samovar.domains.operations.http.backups import Authenticate
from samovar.domains.operations.model.recovery import PHRASE_BYTES, phrase_of
from samovar.domains.operations.service.backups import Backups, BackupSettings
from samovar.kernel.principal import Principal
from samovar.ports.blobs import Blobs
from samovar.ports.envelopes import Sealer
from samovar.ports.routes import Routes

if TYPE_CHECKING:
    from samovar.app.services import Services

# A phrase of 140 random bits needs no stretching; this much is for the form.
_PHRASE_WORK: Final = 15


class BackupDesk:
    """What there is to be had of backups; ``blobs`` and ``service`` are made when they are first asked for."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._settings = services.settings

    @cached_property
    def service(self) -> Backups:
        _declare_all_tables()
        services, settings = self._services, self._settings
        return Backups(
            database=services.database,
            blobs=lambda: self.blobs,
            clock=services.clock,
            ids=services.ids,
            jobs=services.jobs.table,
            sealer=sealer_of(settings.backup_age_recipients),
            settings=BackupSettings(
                keep=timedelta(days=settings.backup_keep_days),
                version=__version__,
                master_key_check=lambda: services.box.check_value,
            ),
        )

    @cached_property
    def blobs(self) -> Blobs:
        """The configured place; obstore is imported when it is first used."""
        from samovar.adapters.objects import ObjectBlobs

        return ObjectBlobs(backup_url(self._settings), s3=s3_access(self._settings))

    def router(self, authenticate: Authenticate) -> Routes:
        """``/admin/backup`` and ``/api/backups``."""
        return http.router(
            service=lambda: self.service,
            keyring=AgeKeyring(),
            prompts=self.prompts,
            now=self._services.clock.now,
            authenticate=authenticate,
        )

    def prompts(self, team_id: str) -> AsyncIterator[bytes]:
        """A team's prompts as one JSON document."""
        return self._services.prompts.exchange.export_json(team_id)

    async def new_recovery_phrase(self) -> str:
        """Every backup from now on holds the master key, sealed under this phrase, which is kept nowhere. Raises
        ``BadMasterKey``, ``Unavailable``."""
        from samovar.adapters.age import AgeSealer, Passphrase

        key = master_key(self._settings)
        phrase = phrase_of(base64.urlsafe_b64decode(self._services.ids.token(PHRASE_BYTES)))
        sealer = AgeSealer(Passphrase(phrase, work=_PHRASE_WORK))
        sealed = b"".join([piece async for piece in sealer.seal(_one(base64.b64encode(key) + b"\n"))])
        await self.service.keep_copy(self.principal, sealed)
        return phrase

    async def tell(self, action: str, resource: str) -> None:
        """What the command line did with backups, for the audit chain."""
        await self._services.audit.note(action, resource)

    @property
    def principal(self) -> Principal:
        """Who the schedule and the command line act as."""
        return administrator()


async def _one(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


def _declare_all_tables() -> None:
    """A table is declared when its module is imported, and some are imported only when they are used."""
    for package in (samovar.domains, samovar.adapters.jobs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".store" in module.name or module.name.endswith(".rows"):
                importlib.import_module(module.name)


def backup_url(settings: Settings) -> str:
    """The configured place, the default filled in."""
    return settings.backup_url or (settings.data_dir.absolute() / "backups").as_uri()


def s3_access(settings: Settings) -> S3Access:
    """How a bucket is reached."""
    secret = settings.backup_secret_access_key
    return S3Access(
        endpoint=settings.backup_endpoint,
        region=settings.backup_region,
        access_key_id=settings.backup_access_key_id,
        secret_access_key=secret.get_secret_value() if secret else "",
    )


def sealer_of(recipients: tuple[str, ...]) -> Sealer | None:
    """``None`` where there are none. Raises ``BadRecipient``."""
    if not recipients:
        return None
    from samovar.adapters.age import AgeSealer, parse_recipient

    return AgeSealer([parse_recipient(one) for one in recipients])
