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
    INGESTER = "ingester"
    """Takes files in, changes and deletes them."""
    QUERY = "query"
    """Finds files and reads them."""
    REGISTRY = "registry"
    """Looks after the registry of storage elements."""
    STORAGE = "storage"
    """Opens the folders of storage elements, and serves them to the others."""


ROLES: Final[Mapping[str, frozenset[Part]]] = MappingProxyType(
    {
        "all": frozenset(Part),
        "gateway": frozenset({Part.OPERATIONS, Part.GATEWAY}),
        "admin": frozenset({Part.OPERATIONS, Part.ADMIN, Part.REGISTRY}),
        "worker": frozenset({Part.OPERATIONS, Part.WORKER}),
        "ingester": frozenset({Part.OPERATIONS, Part.INGESTER}),
        "query": frozenset({Part.OPERATIONS, Part.QUERY}),
        "storage-element": frozenset({Part.OPERATIONS, Part.STORAGE}),
        "files": frozenset({Part.OPERATIONS, Part.INGESTER, Part.QUERY, Part.REGISTRY, Part.STORAGE}),
    }
)


STORAGE_ALONE: Final = ROLES["storage-element"]
"""The parts of a process that has neither database nor secrets."""
WITH_ELEMENTS: Final = frozenset({Part.INGESTER, Part.QUERY, Part.REGISTRY, Part.WORKER})
"""Parts that ask storage elements for something, here or in other processes."""


def parts_of(roles: Iterable[str]) -> frozenset[Part]:
    """The parts of some roles together. Raises ``ValueError`` naming the roles there are."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise ValueError(f"unknown role {unknown[0]!r}; there are {', '.join(sorted(ROLES))}")
    return frozenset().union(*(ROLES[role] for role in roles))
