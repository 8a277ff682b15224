"""What it takes to ask at all on the control plane.

A body is read and checked before a use case begins, and only there is the permission asked for. So that who may not ask is
told that, and not what is wrong with the question, it is looked at here as well, as soon as the caller is known. The use case
stays the judge: what is not in this table is left to it.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from fastapi import Request

from samovar.domains.identity.model import Permission, require
from samovar.kernel.principal import Principal
from samovar.ports.asgi import CALLER as CALLER

Authenticate = Callable[[Request], Awaitable[Principal]]


class Area(NamedTuple):
    """Paths that begin with ``prefix`` and end with ``suffix``, and what reading and what changing takes there."""

    prefix: str
    read: Permission
    write: Permission
    suffix: str = ""


_P = Permission
_AREAS: Final = (
    Area("/api/keys", _P.KEYS_READ, _P.KEYS_WRITE),
    Area("/api/service-accounts", _P.KEYS_READ, _P.KEYS_WRITE),
    Area("/api/providers", _P.PROVIDERS_READ, _P.PROVIDERS_WRITE),
    Area("/api/models/", _P.CATALOG_READ, _P.CATALOG_WRITE, "/override"),
    Area("/api/aliases", _P.CATALOG_READ, _P.CATALOG_WRITE),
    Area("/api/groups", _P.CATALOG_READ, _P.CATALOG_WRITE),
    Area("/api/quotas", _P.QUOTAS_READ, _P.QUOTAS_WRITE),
    Area("/api/wallets", _P.WALLETS_READ, _P.WALLETS_WRITE),
    Area("/api/budgets", _P.WALLETS_READ, _P.WALLETS_WRITE),
    Area("/api/ledger", _P.WALLETS_READ, _P.WALLETS_WRITE),
    Area("/api/leases", _P.WALLETS_READ, _P.WALLETS_WRITE),
    Area("/api/usage/forecast/budgets/", _P.WALLETS_READ, _P.WALLETS_READ),
    Area("/api/usage", _P.USAGE_READ, _P.USAGE_READ),
    Area("/api/jobs", _P.JOBS_READ, _P.JOBS_WRITE),
    Area("/api/files/owners/", _P.FILES_READ, _P.ELEMENTS_ADMIN),
    Area("/api/files/uploads", _P.FILES_WRITE, _P.FILES_WRITE),
    Area("/api/files", _P.FILES_READ, _P.FILES_WRITE),
    Area("/api/storage-elements", _P.ELEMENTS_READ, _P.ELEMENTS_ADMIN),
    Area("/api/audit", _P.AUDIT_READ, _P.AUDIT_READ),
    Area("/admin/config", _P.CONFIG_READ, _P.CONFIG_WRITE),
)
"""The first that fits counts."""


def permitted(authenticate: Authenticate) -> Authenticate:
    """``authenticate``, and then whether the caller may ask this. Raises ``Forbidden`` too."""

    async def admitted(request: Request) -> Principal:
        principal = request.scope[CALLER] = await authenticate(request)
        needed = permission_of(request.method, request.scope["path"])
        if needed is not None:
            require(principal, needed)
        return principal

    return admitted


def permission_of(method: str, path: str) -> Permission | None:
    """What a request takes; ``None`` where only its use case knows."""
    for area in _AREAS:
        if path.startswith(area.prefix) and path.endswith(area.suffix):
            return area.read if method in ("GET", "HEAD") else area.write
    return None
