"""What can be seen of this machine and of the settings without asking anybody: Python, files, clock, disk, processes."""

import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from samovar import __version__
from samovar.adapters.system import SystemClock
from samovar.app.settings import Profile, Settings, environment_name, unknown_names
from samovar.cli.doctor.finding import Finding
from samovar.domains.catalog.service import bundled_prices

_PYTHON: Final = (3, 11)
_FILES: Final = 4096
_LOW_BYTES: Final = 1 << 30
_LEAST_BYTES: Final = 100 << 20
_OLD_DAYS: Final = 120
# This version was not written before; a clock that says so breaks every expiry and every TLS certificate.
_WRITTEN: Final = datetime(2026, 11, 1, tzinfo=UTC)
_LATE_YEARS: Final = 10


def check_machine() -> Iterator[Finding]:
    """What holds whatever the settings are."""
    yield _python()
    yield _clock(SystemClock().now())
    yield _open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def check_start(settings: Settings) -> Iterator[Finding]:
    """The settings themselves, and what they name on this machine."""
    yield Finding.ok("settings", f"read; profile {settings.profile}, {settings.url}")
    yield from _slips()
    yield from _data_folder(settings.data_dir)
    yield from _processes(settings)
    yield from _exposure(settings)
    yield _prices(SystemClock().now())


def _slips() -> Iterator[Finding]:
    known = [environment_name(field) for field in Settings.model_fields]
    for name in unknown_names():
        near = get_close_matches(name, known, n=1)
        meant = f"Did you mean {near[0]}?" if near else "Remove it, or see .env.example for those there are."
        yield Finding.warn("settings", f"{name} is set, and there is no such setting", meant)


def _python() -> Finding:
    about = f"Samovar {__version__} on Python {platform.python_version()}"
    if sys.version_info[:2] != _PYTHON:
        return Finding.fail("python", about, f"Run it with Python {'.'.join(map(str, _PYTHON))}, as `make run` does.")
    return Finding.ok("python", about)


def _clock(now: datetime) -> Finding:
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < _WRITTEN:
        return Finding.fail(
            "clock", f"{said} lies before this version was made", "Set the clock (timedatectl set-ntp true)."
        )
    if now.year > _WRITTEN.year + _LATE_YEARS:
        return Finding.warn("clock", f"{said} seems far ahead", "Set the clock (timedatectl set-ntp true).")
    return Finding.ok("clock", said)


def _open_files(soft: int) -> Finding:
    if soft == resource.RLIM_INFINITY:
        return Finding.ok("open files", "no limit")
    if soft < _FILES:
        return Finding.warn(
            "open files",
            f"at most {soft:,}: each call takes two, so about {soft // 2:,} at once",
            "Run `ulimit -n 65536` first, or set LimitNOFILE=65536 in the unit file.",
        )
    return Finding.ok("open files", f"at most {soft:,}")


def _data_folder(folder: Path) -> Iterator[Finding]:
    standing = folder.absolute()
    while not standing.exists() and standing != standing.parent:
        standing = standing.parent
    if not standing.is_dir():
        yield Finding.fail("data directory", f"{standing} is no directory", "Name a directory in SAMOVAR_DATA_DIR.")
        return
    try:
        # Tried, not asked: a read-only disk and the like are not in the permissions.
        with TemporaryFile(dir=standing):
            pass
    except OSError as error:
        remedy = f"Run: chown {os.getuid()} {standing}; or name another directory in SAMOVAR_DATA_DIR."
        yield Finding.fail("data directory", f"{standing} cannot be written: {error.strerror}", remedy)
        return
    when = "" if folder.exists() else "; it is made at the first start"
    yield Finding.ok("data directory", f"{folder.absolute()}{when}")
    free = shutil.disk_usage(standing).free
    said = f"{free / (1 << 30):,.1f} GB free"
    if free < _LEAST_BYTES:
        yield Finding.fail("disk", said, "Make room, or name another place in SAMOVAR_DATA_DIR.")
    elif free < _LOW_BYTES:
        yield Finding.warn("disk", said, "Make room soon.")
    else:
        yield Finding.ok("disk", said)


def _processes(settings: Settings) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    said = f"roles {', '.join(settings.roles)}; {settings.workers} worker(s) on {cores} core(s)"
    if settings.workers > cores:
        yield Finding.warn("roles, workers", said, f"More workers than cores only take turns: SAMOVAR_WORKERS={cores}.")
    elif settings.workers > 1 and settings.database.startswith("sqlite"):
        yield Finding.warn(
            "roles, workers",
            f"{said}; SQLite lets one of them write at a time",
            "Set SAMOVAR_DATABASE_URL=postgresql://...",
        )
    elif settings.roles != ("all",) and not settings.redis_url:
        yield Finding.warn(
            "roles, workers",
            f"{said}; other processes hear of revoked keys only after 10 s",
            "Set SAMOVAR_REDIS_URL for all of them.",
        )
    else:
        yield Finding.ok("roles, workers", said)
    if settings.workers > 1 and settings.holds_folders and _has_folders(settings):
        yield Finding.ok(
            "files, workers", f"one more process has the folders of files, for all {settings.workers} workers"
        )


def _has_folders(settings: Settings) -> bool:
    urls = [settings.blob_url, *(one.url for one in settings.storage_elements)]
    return any(not url or url.startswith("file:") for url in urls)


def _exposure(settings: Settings) -> Iterator[Finding]:
    if not settings.is_loopback and not settings.url.startswith("https:"):
        yield Finding.warn(
            "address",
            f"{settings.host} can be reached from other machines, and keys travel unencrypted",
            "Put a proxy with TLS in front, and say its address in APP_URL=https://...",
        )
    if settings.profile is Profile.SCALED and settings.sandbox == "on":
        yield Finding.warn(
            "sandbox", "on in the scaled profile: it answers without any model", "Set SAMOVAR_SANDBOX=off."
        )


def _prices(now: datetime) -> Finding:
    source = bundled_prices().source
    days = (now - _WRITTEN).days
    if days > _OLD_DAYS:
        return Finding.warn(
            "prices", f"{source}, about {days} days old", "Take a newer Samovar, or set prices over /api/models."
        )
    return Finding.ok("prices", source)
