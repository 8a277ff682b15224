"""The catalogue's rules: what a provider, a model and a price are, and how a name becomes a target. No input or output.

``provider/model`` always means that provider's model. An admin's alias or group comes before a bare name; both point to
full ids only, so a loop cannot be written. Unknown prices and abilities are ``None``, never zero or empty.
"""

from samovar.domains.catalog.model.families import Family, FamilyTable, Grade
from samovar.domains.catalog.model.names import AUTO, Shelf, TeamCatalog, allows, is_reserved
from samovar.domains.catalog.model.prices import OVERRIDE_SOURCE, PriceCard, Rates, Sheet, Tier, flat
from samovar.domains.catalog.model.snapshot import Clause, Entry, Listing, PriceBook
from samovar.domains.catalog.model.things import (
    ALIAS_NAME,
    MAX_GROUP_MODELS,
    MAX_NAME_CHARS,
    MAX_QUALITY,
    MAX_WEIGHT,
    PROVIDER_NAME,
    Ability,
    Alias,
    ApiKey,
    Group,
    Model,
    Override,
    Provider,
    ProviderInfo,
    ProviderSource,
    Resolved,
    Strategy,
    Target,
    is_for_chat,
    is_model_id,
    is_model_name,
)

__all__ = [
    "ALIAS_NAME",
    "AUTO",
    "MAX_GROUP_MODELS",
    "MAX_NAME_CHARS",
    "MAX_QUALITY",
    "MAX_WEIGHT",
    "OVERRIDE_SOURCE",
    "PROVIDER_NAME",
    "Ability",
    "Alias",
    "ApiKey",
    "Clause",
    "Entry",
    "Family",
    "FamilyTable",
    "Grade",
    "Group",
    "Listing",
    "Model",
    "Override",
    "PriceBook",
    "PriceCard",
    "Provider",
    "ProviderInfo",
    "ProviderSource",
    "Rates",
    "Resolved",
    "Sheet",
    "Shelf",
    "Strategy",
    "Target",
    "TeamCatalog",
    "Tier",
    "allows",
    "flat",
    "is_for_chat",
    "is_model_id",
    "is_model_name",
    "is_reserved",
]
