"""What model families can do and how good they are, from our own small tables ``abilities.toml`` and ``quality.toml``: the
price snapshot does not say.

A model that no family fits has *unknown* abilities. A family's list is complete: what it does not name, it cannot.
"""

import fnmatch
import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from samovar.domains.catalog.model.prices import Rates
from samovar.domains.catalog.model.things import MAX_QUALITY, Ability


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``match`` are shell patterns over ``vendor/name`` (without a slash: of any vendor), in lower case, where ``name`` is
    the last segment of the vendor's own. ``rates`` is for models that no price page lists: the sandbox's."""

    match: tuple[str, ...]
    abilities: frozenset[Ability] | None = None
    max_output_tokens: int | None = None
    context_window: int | None = None
    rates: Rates | None = None


class Grade(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``match`` as :class:`Family`'s."""

    match: tuple[str, ...]
    quality: Annotated[int, msgspec.Meta(ge=0, le=MAX_QUALITY)]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    family: tuple[Family, ...]


class _Grades(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    grade: tuple[Grade, ...]


_UNKNOWN = Family(match=())


class FamilyTable:
    """The first family that fits counts, and the first grade."""

    def __init__(self, families: tuple[Family, ...], grades: tuple[Grade, ...] = ()) -> None:
        self.families = families
        self.grades = grades
        self._pattern = _expression([family.match for family in families])
        self._graded = _expression([grade.match for grade in grades])

    @classmethod
    def parse(cls, text: str, *, grades: str = "grade = []") -> "FamilyTable":
        """Read the tables. Raises ``msgspec.ValidationError`` or ``tomllib.TOMLDecodeError``."""
        return cls(
            msgspec.convert(tomllib.loads(text), _File).family,
            msgspec.convert(tomllib.loads(grades), _Grades).grade,
        )

    def find(self, vendor: str, name: str) -> Family:
        """The family of a vendor's model; one that knows nothing where none fits."""
        place = _place(self._pattern, vendor, name)
        return _UNKNOWN if place is None else self.families[place]

    def quality(self, vendor: str, name: str) -> int | None:
        """How good a vendor's model is held to be, 0 to 100; ``None`` where nobody said."""
        place = _place(self._graded, vendor, name)
        return None if place is None else self.grades[place].quality


def _expression(matches: Sequence[Iterable[str]]) -> re.Pattern[str]:
    # One expression for a whole table: a provider with a thousand models is looked up in milliseconds.
    branches = []
    for place, match in enumerate(matches):
        patterns = (pattern if "/" in pattern else f"*/{pattern}" for pattern in match)
        branches.append(f"(?P<f{place}>{'|'.join(fnmatch.translate(pattern) for pattern in patterns)})")
    # A table without rows fits nothing.
    return re.compile("|".join(branches) or "(?!)")


def _place(pattern: re.Pattern[str], vendor: str, name: str) -> int | None:
    found = pattern.fullmatch(f"{vendor}/{name.rpartition('/')[2]}".lower())
    return None if found is None or found.lastgroup is None else int(found.lastgroup[1:])
