"""Pruning the chain of the installation here."""

import asyncio
from datetime import timedelta
from typing import Any

from samovar.app.settings import load
from samovar.cli.output import CannotDo
from samovar.domains.audit.service import Pruned


def pruned(keep_days: int | None) -> Pruned | None:
    """What was pruned. Raises :class:`CannotDo`, ``SamovarError``, ``SettingsInvalid``."""
    settings = load()
    days = keep_days or settings.audit_retention_days
    if not days:
        raise CannotDo("records are kept for ever: set SAMOVAR_AUDIT_RETENTION_DAYS, or give --keep-days")
    return asyncio.run(_pruned(settings, timedelta(days=days)))


async def _pruned(settings: Any, keep: timedelta) -> Pruned | None:
    from samovar.app.services import Services
    from samovar.app.upkeep import migrated
    from samovar.domains.identity.model import administrator

    if settings.auto_migrate:
        await migrated(settings)
    services = Services(settings)
    try:
        audit = services.audit
        async with audit.running():
            if audit.service.copies is not None:
                await audit.service.copies.copy()
            return await audit.service.prune(administrator(), service="cli", keep=keep)
    finally:
        await services.database.close()
