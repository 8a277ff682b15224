"""Role to parts, as a table: ``all`` is one more row. Later parts are one more word in the rows that run them."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Part(StrEnum):
    """A thing a process may serve or run."""

    OPERATIONS = "operations"
    GATEWAY = "gateway"
    ADMIN = "admin"
    WORKER = "worker"
    FILES = "files"


ROLES: Final[Mapping[str, frozenset[Part]]] = MappingProxyType(
    {
        "all": frozenset(Part),
        "gateway": frozenset({Part.OPERATIONS, Part.GATEWAY}),
        "admin": frozenset({Part.OPERATIONS, Part.ADMIN}),
        "worker": frozenset({Part.OPERATIONS, Part.WORKER}),
        "files": frozenset({Part.OPERATIONS, Part.FILES}),
    }
)


def parts_of(roles: Iterable[str]) -> frozenset[Part]:
    """The parts of some roles together. Raises ``ValueError`` naming the roles there are."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise ValueError(f"unknown role {unknown[0]!r}; there are {', '.join(sorted(ROLES))}")
    return frozenset().union(*(ROLES[role] for role in roles))
