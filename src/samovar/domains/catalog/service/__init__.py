"""The catalogue at work: the live view that the gateway asks, and what an admin does to it.

:class:`CatalogService` answers from memory, without waiting. Its parts ``providers`` and ``entries`` write; each write is one
transaction, seen at once by this process, within a bus message by the others, and within ten seconds without a bus.
"""

from samovar.domains.catalog.service.bundled import bundled_families, bundled_prices
from samovar.domains.catalog.service.catalog import CATALOG_CHANGED, CatalogService
from samovar.domains.catalog.service.entries import Entries
from samovar.domains.catalog.service.providers import ProviderChange, Providers

__all__ = [
    "CATALOG_CHANGED",
    "CatalogService",
    "Entries",
    "ProviderChange",
    "Providers",
    "bundled_families",
    "bundled_prices",
]
