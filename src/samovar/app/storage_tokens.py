"""The tokens with which this process asks storage elements of others."""

import asyncio
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from samovar.app.roles import Part
from samovar.domains.files.http.element_calls import ROLE_PREFIX
from samovar.domains.identity.model import Audience, Permission
from samovar.domains.identity.service import TokenIssuer
from samovar.ports.clock import Clock

_TTL_S: Final = 300
_FRESH_S: Final = 240.0
_CHANGES: Final = frozenset({Permission.FILES_READ, Permission.FILES_WRITE, Permission.FILES_DELETE})
_MAY: Final[Mapping[Part, frozenset[Permission]]] = MappingProxyType(
    {
        Part.GATEWAY: frozenset({Permission.FILES_READ}),
        Part.QUERY: frozenset({Permission.FILES_READ}),
        Part.INGESTER: _CHANGES,
        Part.REGISTRY: _CHANGES | {Permission.ELEMENTS_ADMIN},
        Part.WORKER: _CHANGES | {Permission.ELEMENTS_ADMIN},
    }
)
"""What a process asks of elements, by what it is there for."""


class RoleToken:
    """Gives a token that is good for a minute more at least. Raises ``Unavailable``."""

    def __init__(self, *, issuer: TokenIssuer, parts: Collection[Part], clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        asking = sorted(part for part in parts if part in _MAY)
        self._subject = ROLE_PREFIX + "+".join(asking)
        self._permissions = frozenset().union(*(_MAY[part] for part in asking))
        self._turn = asyncio.Lock()
        self._token = ""
        self._until = 0.0

    async def __call__(self) -> str:
        """The token."""
        async with self._turn:
            now = self._clock.monotonic()
            if now >= self._until or not self._token:
                self._token = await self._issuer.issue(self._subject, Audience.STORAGE, self._permissions, _TTL_S)
                self._until = now + _FRESH_S
            return self._token
