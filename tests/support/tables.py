"""The tables of every domain that has a store."""

import importlib
import pkgutil

from sqlalchemy import MetaData

import samovar.domains
from samovar.ports.database import metadata


def all_tables() -> MetaData:
    """The one registry, after every ``samovar.domains.<domain>.store`` was imported: modules and folders alike."""
    for module in pkgutil.walk_packages(samovar.domains.__path__, "samovar.domains."):
        if ".store" in module.name:
            importlib.import_module(module.name)
    return metadata
