"""The database and the master key: there, of this version, and belonging together."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from samovar.adapters.aesgcm import BadMasterKey, load_or_make_master_key, parse_master_key
from samovar.adapters.alembic import current, head
from samovar.adapters.system import SystemClock, SystemIds
from samovar.app.adapters import sqlite_path
from samovar.app.master_key import master_key_file
from samovar.app.settings import Settings
from samovar.cli.doctor.elements import check_elements
from samovar.cli.doctor.finding import Finding, Level
from samovar.domains.catalog.model import ProviderInfo, ProviderSource
from samovar.domains.identity.model import administrator
from samovar.domains.identity.store import read_fact
from samovar.kernel.errors import SamovarError
from samovar.providers.vendors import VENDORS

Checked: TypeAlias = tuple[list[Finding], Sequence[ProviderInfo]]


async def check_installation(settings: Settings) -> Checked:
    """The findings, and the providers that calls would go to, as far as they can be known."""
    key = _master_key(settings)
    database, is_current = await _database(settings)
    findings = [key, database]
    if key.level is Level.FAIL or database.level is Level.FAIL:
        return findings, ()
    if not is_current or not _has_key(settings):
        return findings, _of_environment(settings)
    together, providers = await _together(settings)
    return [*findings, *together], providers


def _has_key(settings: Settings) -> bool:
    return settings.master_key is not None or master_key_file(settings).exists()


def _master_key(settings: Settings) -> Finding:
    path = master_key_file(settings)
    try:
        if settings.master_key is not None:
            parse_master_key(settings.master_key.get_secret_value())
            return Finding.ok("master key", "from SAMOVAR_MASTER_KEY")
        if not path.exists():
            return Finding.ok("master key", f"none yet; {path} is made at the first start")
        load_or_make_master_key(path)
    except BadMasterKey as error:
        return Finding.fail("master key", str(error), _key_remedy(path))
    except OSError as error:
        return Finding.fail("master key", f"{path}: {error.strerror}", f"Run: chown {os.getuid()} {path}")
    return Finding.ok("master key", f"{path}, for its owner only")


def _key_remedy(path: Path) -> str:
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return f"Run: chmod 600 {path}. Whoever could read it may have read it: change the providers' keys."
    return "Give back the former key: 32 bytes, as base64 or 64 hexadecimal digits."


async def _database(settings: Settings) -> tuple[Finding, bool]:
    """How it stands, and whether its tables are this version's."""
    scheme, _, rest = settings.database.partition(":")
    if scheme == "sqlite" and not sqlite_path(rest).exists():
        # Looking into it would make it.
        return _unmigrated(settings, f"{sqlite_path(rest)} is not there yet"), False
    try:
        at = await current(settings.database)
    except SamovarError as error:
        return Finding.fail("database", error.detail, "Start it, or mend SAMOVAR_DATABASE_URL."), False
    except (SQLAlchemyError, OSError) as error:
        remedy = "Mend SAMOVAR_DATABASE_URL, or give the file back from a backup."
        return Finding.fail("database", _first_line(error), remedy), False
    newest = head() or ""
    where = "SQLite" if scheme == "sqlite" else "PostgreSQL"
    if at is None:
        return _unmigrated(settings, f"{where} has no tables yet"), False
    if at < newest:
        return _unmigrated(settings, f"{where} stands at {at}, this version needs {newest}"), False
    if at > newest:
        remedy = "Run that version, or restore a backup."
        return Finding.fail("database", f"{where} belongs to a newer Samovar ({at})", remedy), False
    return Finding.ok("database", f"{where} answers, schema {at}"), True


def _unmigrated(settings: Settings, stands: str) -> Finding:
    if settings.auto_migrate:
        return Finding.ok("database", f"{stands}; the next start sees to it")
    return Finding.fail("database", stands, "Run: samovar migrate")


async def _together(settings: Settings) -> Checked:
    """Open what the database holds with the master key."""
    from samovar.app.services import Services

    # A token of the moment: the installation's own is neither needed nor made. No sandbox: nothing is served here.
    token = SystemIds(clock=SystemClock()).token(32)
    quiet = {"workers": 1, "sandbox": "off", "admin_token": SecretStr(token)}
    services = Services(settings.model_copy(update=quiet))
    try:
        async with services.database.reading() as tx:
            # Of an empty installation `prepare` would make one.
            installed = await read_fact(tx, "installed_by") is not None
        if not installed:
            return [], _of_environment(settings)
        await services.prepare()
        await services.catalog.load()
        providers = await services.catalog.providers.list(administrator())
        known = await services.files.service.registry.foreseen() if settings.holds_folders else []
    except SamovarError as error:
        remedy = "Give back the master key that this database was installed with."
        return [Finding.fail("master key", error.detail, remedy)], ()
    finally:
        await services.database.close()
    secrets = Finding.ok("secrets", "the master key opens what the database holds")
    return [secrets, *check_elements(known)], providers


def _of_environment(settings: Settings) -> list[ProviderInfo]:
    keys, urls = settings.provider_keys, settings.provider_base_urls
    return [
        ProviderInfo(
            id=name,
            name=name,
            vendor=name,
            base_url=urls.get(name, VENDORS[name].base_url),
            source=ProviderSource.ENVIRONMENT,
            models=None,
            enabled=True,
            key_hint="from the environment" if name in keys else None,
            key_hints=("from the environment",) if name in keys else (),
            revision=1,
        )
        for name in sorted({*keys, *urls})
    ]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
