"""Databases that have their tables already. To make them takes a process a second of CPU at its start, and shows nothing that
``tests/contract`` and ``tests/cli/test_serve.py`` do not."""

import asyncio
import atexit
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from samovar.adapters.alembic import migrate
from tests.support.servers import POSTGRES_URL, on_postgres


def in_folder(data_dir: Path) -> None:
    """Give a data directory a database, where it has none."""
    at_path(data_dir / "samovar.db")


def at_path(path: Path) -> None:
    """Make an SQLite database, where there is none."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(_sqlite(), path)


def on_server(name: str) -> None:
    """Make a PostgreSQL database. For fixtures outside an event loop."""
    on_postgres(f'CREATE DATABASE "{name}" TEMPLATE "{_postgres()}"')


@cache
def _sqlite() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="samovar-tables-"))
    atexit.register(shutil.rmtree, folder)
    _migrate(f"sqlite:///{folder / 'samovar.db'}")
    return folder / "samovar.db"


@cache
def _postgres() -> str:
    name = f"samovar_tables_{os.getpid()}_{os.urandom(4).hex()}"
    on_postgres(f'CREATE DATABASE "{name}"')
    atexit.register(on_postgres, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _migrate(f"{POSTGRES_URL}/{name}")
    return name


def _migrate(url: str) -> None:
    # Some who start a Samovar have an event loop of their own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, migrate(url)).result()
