"""The one table of permissions, and who gets what of it. Pure.

A principal of every kind gets its permissions here and nowhere else: people by their role in the team, services by
theirs, a gateway key by its scopes, the admin token as :func:`administrator`.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from samovar.kernel.errors import Forbidden
from samovar.kernel.principal import Principal, PrincipalKind

DEFAULT_TEAM_ID: Final = "default"
"""The team that every installation has; what the admin token makes belongs to it."""


class Permission(StrEnum):
    """What a principal may do within its team."""

    GATEWAY_CALL = "gateway:call"
    MODELS_READ = "models:read"
    USAGE_READ = "usage:read"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    PROVIDERS_READ = "providers:read"
    PROVIDERS_WRITE = "providers:write"
    CATALOG_READ = "catalog:read"
    CATALOG_WRITE = "catalog:write"
    QUOTAS_READ = "quotas:read"
    QUOTAS_WRITE = "quotas:write"
    WALLETS_READ = "wallets:read"
    WALLETS_WRITE = "wallets:write"
    PROMPTS_READ = "prompts:read"
    PROMPTS_WRITE = "prompts:write"
    CONFIG_READ = "config:read"
    CONFIG_WRITE = "config:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    BACKUPS_READ = "backups:read"
    BACKUPS_WRITE = "backups:write"
    AUDIT_READ = "audit:read"
    FILES_READ = "files:read"
    FILES_WRITE = "files:write"
    FILES_DELETE = "files:delete"
    ELEMENTS_READ = "elements:read"
    ELEMENTS_ADMIN = "elements:admin"


class ServiceRole(StrEnum):
    """Roles of service accounts; also what a person's role becomes in a token."""

    ADMIN = "ADMIN"
    USER = "USER"
    AUDITOR = "AUDITOR"
    READONLY = "READONLY"


class PersonRole(StrEnum):
    """Roles of people in a team."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    AUDITOR = "auditor"


class Scope(StrEnum):
    """What a gateway key is for."""

    GATEWAY = "gateway"
    MODELS = "models"
    USAGE = "usage"
    KEYS = "keys"
    PROMPTS = "prompts"
    FILES = "files"
    ADMIN = "admin"


DEFAULT_SCOPES: Final = (Scope.GATEWAY,)


class OpenSurface(StrEnum):
    """What an installation may open to callers without a credential."""

    VISION = "vision"
    PROMPTS_READ = "prompts:read"


_P = Permission
_EVERYTHING: Final = frozenset(Permission)
_EVERY_READ: Final = frozenset(p for p in Permission if p.endswith(":read"))
# Of one's own files: who may read the elements sees the whole team's (see domains/files).
_OWN_FILES: Final = frozenset({_P.FILES_READ, _P.FILES_WRITE, _P.FILES_DELETE})

PERMISSIONS: Final[Mapping[ServiceRole | Scope | OpenSurface, frozenset[Permission]]] = MappingProxyType(
    {
        ServiceRole.ADMIN: _EVERYTHING,
        ServiceRole.USER: frozenset(
            {_P.GATEWAY_CALL, _P.MODELS_READ, _P.USAGE_READ, _P.KEYS_READ, _P.PROMPTS_READ, _P.PROMPTS_WRITE}
        )
        | _OWN_FILES,
        ServiceRole.AUDITOR: _EVERY_READ,
        ServiceRole.READONLY: frozenset(
            {_P.MODELS_READ, _P.USAGE_READ, _P.PROMPTS_READ, _P.FILES_READ, _P.ELEMENTS_READ}
        ),
        Scope.GATEWAY: frozenset({_P.GATEWAY_CALL, _P.MODELS_READ, _P.PROMPTS_READ}) | _OWN_FILES,
        Scope.MODELS: frozenset({_P.MODELS_READ}),
        Scope.USAGE: frozenset({_P.USAGE_READ}),
        Scope.KEYS: frozenset({_P.KEYS_READ, _P.KEYS_WRITE}),
        Scope.PROMPTS: frozenset({_P.PROMPTS_READ, _P.PROMPTS_WRITE}),
        Scope.FILES: _OWN_FILES,
        Scope.ADMIN: _EVERYTHING,
        OpenSurface.VISION: frozenset({_P.GATEWAY_CALL}),
        OpenSurface.PROMPTS_READ: frozenset({_P.PROMPTS_READ}),
    }
)
"""The one permission table."""

SERVICE_ROLE_OF: Final[Mapping[PersonRole, ServiceRole]] = MappingProxyType(
    {
        PersonRole.OWNER: ServiceRole.ADMIN,
        PersonRole.ADMIN: ServiceRole.ADMIN,
        PersonRole.MEMBER: ServiceRole.USER,
        PersonRole.AUDITOR: ServiceRole.AUDITOR,
    }
)


def permissions_of(granted: Iterable[ServiceRole | PersonRole | Scope | OpenSurface]) -> frozenset[str]:
    """The union of what each role or scope allows."""
    rows = (SERVICE_ROLE_OF[one] if isinstance(one, PersonRole) else one for one in granted)
    return frozenset().union(*(PERMISSIONS[row] for row in rows))


def administrator() -> Principal:
    """Who the admin token is: everything, in the installation's default team. Also what the local CLI acts as."""
    return Principal(
        id="admin",
        kind=PrincipalKind.ADMIN,
        team_id=DEFAULT_TEAM_ID,
        name="admin token",
        permissions=permissions_of([ServiceRole.ADMIN]),
    )


def visitor(surface: OpenSurface) -> Principal:
    """Whoever calls an open surface without a credential: that surface's permissions, in the installation's default team.
    Each surface has a visitor of its own, so that opening one opens nothing of another."""
    return Principal(
        id=f"visitor:{surface.value}",
        kind=PrincipalKind.VISITOR,
        team_id=DEFAULT_TEAM_ID,
        name="visitor",
        permissions=permissions_of([surface]),
    )


def require(principal: Principal, permission: Permission) -> None:
    """Raises ``Forbidden`` where ``principal`` lacks ``permission``."""
    if permission not in principal.permissions:
        raise Forbidden(
            f"This {_NOUN[principal.kind]} ({principal.name!r}) lacks the permission {permission.value!r}. "
            "Use a credential that has it, or ask an admin of the team for one."
        )


_NOUN: Final = MappingProxyType(
    {
        PrincipalKind.ADMIN: "admin token",
        PrincipalKind.KEY: "key",
        PrincipalKind.PERSON: "person",
        PrincipalKind.SERVICE: "service account",
        PrincipalKind.VISITOR: "visitor",
    }
)
