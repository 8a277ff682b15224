"""What model families can do, from our own small table ``abilities.toml``: the price snapshot does not say.

A model that no family fits has *unknown* abilities. A family's list is complete: what it does not name, it cannot.
"""

import fnmatch
import re
import tomllib

import msgspec

from samovar.domains.catalog.model.prices import Rates
from samovar.domains.catalog.model.things import Ability


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``match`` are shell patterns over ``vendor/name`` (without a slash: of any vendor), in lower case, where ``name`` is
    the last segment of the vendor's own. ``rates`` is for models that no price page lists: the sandbox's."""

    match: tuple[str, ...]
    abilities: frozenset[Ability] | None = None
    max_output_tokens: int | None = None
    context_window: int | None = None
    rates: Rates | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    family: tuple[Family, ...]


_UNKNOWN = Family(match=())


class FamilyTable:
    """The first family that fits counts."""

    def __init__(self, families: tuple[Family, ...]) -> None:
        self.families = families
        # One expression for the whole table: a provider with a thousand models is looked up in milliseconds.
        branches = (f"(?P<f{place}>{_expression(family)})" for place, family in enumerate(families))
        self._pattern = re.compile("|".join(branches))

    @classmethod
    def parse(cls, text: str) -> "FamilyTable":
        """Read the table. Raises ``msgspec.ValidationError`` or ``tomllib.TOMLDecodeError``."""
        return cls(msgspec.convert(tomllib.loads(text), _File).family)

    def find(self, vendor: str, name: str) -> Family:
        """The family of a vendor's model; one that knows nothing where none fits."""
        subject = f"{vendor}/{name.rpartition('/')[2]}".lower()
        found = self._pattern.fullmatch(subject)
        if found is None or found.lastgroup is None:
            return _UNKNOWN
        return self.families[int(found.lastgroup[1:])]


def _expression(family: Family) -> str:
    patterns = (pattern if "/" in pattern else f"*/{pattern}" for pattern in family.match)
    return "|".join(fnmatch.translate(pattern) for pattern in patterns)
