"""The tables of every domain that has a store, and of jobs; and a suite's own."""

import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import MetaData

import samovar.adapters.jobs.rows
import samovar.domains
from samovar.ports.database import Database, metadata


def all_tables() -> MetaData:
    """The one registry, after every ``samovar.domains.<domain>.store`` was imported, modules and folders alike, and the
    adapter that has tables."""
    importlib.import_module(samovar.adapters.jobs.rows.__name__)
    for module in pkgutil.walk_packages(samovar.domains.__path__, "samovar.domains."):
        if ".store" in module.name:
            importlib.import_module(module.name)
    return metadata


@asynccontextmanager
async def standing(database: Database, tables: MetaData) -> AsyncIterator[Database]:
    """The database, with these tables inside the block."""
    async with database.transaction() as tx:
        await tx.run_sync(tables.create_all)
    yield database
    async with database.transaction() as tx:
        await tx.run_sync(tables.drop_all)
