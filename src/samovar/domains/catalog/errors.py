"""What the catalogue refuses, and why."""

from collections.abc import Sequence

from samovar.kernel.errors import Conflict, Forbidden, Invalid, Malformed, NotFound, SamovarError


class ModelNotFound(NotFound):
    """No model goes by that name, for this caller."""

    code = "model_not_found"
    title = "No such model"

    def __init__(self, name: str, *, closest: Sequence[str] = (), why: str | None = None) -> None:
        hint = f" The nearest names are {', '.join(closest)}." if closest else " GET /v1/models lists what there is."
        super().__init__(f"There is no model {name!r}{f': {why}' if why else ''}.{hint}")
        self.name = name
        self.closest = tuple(closest)


class AmbiguousModel(Malformed):
    """Several providers have a model of that name."""

    code = "ambiguous_model"
    title = "Several providers have that model"

    def __init__(self, name: str, *, candidates: Sequence[str]) -> None:
        super().__init__(
            f"{name!r} could be any of {', '.join(candidates)}: say which, or have an admin make an alias."
        )
        self.name = name
        self.candidates = tuple(candidates)


class ModelNotAllowed(Forbidden):
    """The caller's key is restricted to other models.

    403 and not 404: api.md hides what belongs to others, and which models a team has is no secret from its own keys. "Not
    allowed" tells the person what to do; "not found" would send them looking for a typing error. Lists leave it out.
    """

    code = "model_not_allowed"
    title = "This key may not use that model"

    def __init__(self, name: str, *, allowed: Sequence[str]) -> None:
        super().__init__(
            f"This key may not use {name!r}: it is restricted to {', '.join(allowed) or 'no model at all'}. "
            "Ask an admin for a key that allows it."
        )
        self.name = name


class ProviderNotFound(NotFound):
    """No such provider in the caller's team."""

    code = "provider_not_found"
    title = "No such provider"


class AliasNotFound(NotFound):
    """No such alias in the caller's team."""

    code = "alias_not_found"
    title = "No such alias"


class GroupNotFound(NotFound):
    """No such group in the caller's team."""

    code = "group_not_found"
    title = "No such group"


class OverrideNotFound(NotFound):
    """Nothing of that model is overridden."""

    code = "override_not_found"
    title = "No such override"


class NameTaken(Conflict):
    """Another provider, alias or group has that name."""

    code = "name_taken"
    title = "That name is taken"


class ProviderInUse(Conflict):
    """Aliases or groups name models of the provider: deleting it would leave them pointing at nothing."""

    code = "provider_in_use"
    title = "Aliases or groups still name that provider"


class ProviderReadOnly(Conflict):
    """A provider that comes from the environment cannot be changed here."""

    code = "provider_read_only"
    title = "That provider is configured in the environment"


class CatalogFull(Conflict):
    """The team has as many as it may have."""

    code = "catalog_full"
    title = "There are too many"


class BadCatalogEntry(Invalid):
    """A provider, alias, group or override that breaks a rule."""

    code = "invalid_catalog_entry"
    title = "That cannot stand in the catalogue"


class DiscoveryFailed(SamovarError):
    """The provider did not give a list of its models."""

    code = "discovery_failed"
    status = 502
    title = "The provider's models could not be listed"
