"""The tables of every domain that has a store, and of jobs."""

import importlib
import pkgutil

from sqlalchemy import MetaData

import samovar.adapters.jobs.rows
import samovar.domains
from samovar.ports.database import metadata


def all_tables() -> MetaData:
    """The one registry, after every ``samovar.domains.<domain>.store`` was imported, modules and folders alike, and the
    adapter that has tables."""
    importlib.import_module(samovar.adapters.jobs.rows.__name__)
    for module in pkgutil.walk_packages(samovar.domains.__path__, "samovar.domains."):
        if ".store" in module.name:
            importlib.import_module(module.name)
    return metadata
