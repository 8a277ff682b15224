"""The usage log's use cases: writing events, summing them up and pruning them, and telling what was used."""

from samovar.domains.usage.service.reading import UsageQueries
from samovar.domains.usage.service.upkeep import UsageUpkeep
from samovar.domains.usage.service.writing import BATCH, UsageService

__all__ = ["BATCH", "UsageQueries", "UsageService", "UsageUpkeep"]
