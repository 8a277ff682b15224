"""Backups' object graph: from settings to what the routes, the schedule and the command line use."""

import importlib
import pkgutil
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import samovar.adapters.jobs
import samovar.domains
from samovar import __version__
from samovar.app.settings import Settings
from samovar.domains.identity.model import administrator
from samovar.domains.operations.service.backups import Backups, BackupSettings
from samovar.kernel.principal import Principal
from samovar.ports.blobs import Blobs
from samovar.ports.envelopes import Sealer

if TYPE_CHECKING:
    from samovar.app.services import Services


class BackupDesk:
    """Reading ``service`` may make a master key."""

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
            sealer=sealer_of(settings.backup_age_recipients),
            settings=BackupSettings(
                keep=timedelta(days=settings.backup_keep_days),
                version=__version__,
                master_key_check=services.box.check_value,
            ),
        )

    @cached_property
    def blobs(self) -> Blobs:
        """The configured place; obstore is imported when it is first used."""
        from samovar.adapters.objects import ObjectBlobs, S3Access

        settings = self._settings
        secret = settings.backup_secret_access_key
        return ObjectBlobs(
            backup_url(settings),
            s3=S3Access(
                endpoint=settings.backup_endpoint,
                region=settings.backup_region,
                access_key_id=settings.backup_access_key_id,
                secret_access_key=secret.get_secret_value() if secret else "",
            ),
        )

    @property
    def principal(self) -> Principal:
        """Who the schedule and the command line act as."""
        return administrator()


def _declare_all_tables() -> None:
    """A table is declared when its module is imported, and some are imported only when they are used."""
    for package in (samovar.domains, samovar.adapters.jobs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".store" in module.name or module.name.endswith(".rows"):
                importlib.import_module(module.name)


def backup_url(settings: Settings) -> str:
    """The configured place, the default filled in."""
    return settings.backup_url or (settings.data_dir.absolute() / "backups").as_uri()


def sealer_of(recipients: tuple[str, ...]) -> Sealer | None:
    """``None`` where there are none. Raises ``BadRecipient``."""
    if not recipients:
        return None
    from samovar.adapters.age import AgeSealer, parse_recipient

    return AgeSealer([parse_recipient(one) for one in recipients])
