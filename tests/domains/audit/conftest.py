"""Audit services over a real database, as many as a test wants."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.system import SystemIds
from samovar.domains.audit.model import Entry, Report, Result, verify_lines
from samovar.domains.audit.service import AppendBounds, AuditService, AuditSettings
from samovar.domains.identity.model import DEFAULT_TEAM_ID, administrator
from samovar.kernel.tasks import background
from samovar.ports.blobs import Blobs
from samovar.ports.database import Database
from tests.support.clock import ManualClock

ADMIN = administrator()


class Chain:
    """What a process has of the chain, and what it reported."""

    def __init__(self, service: AuditService, reported: list[str]) -> None:
        self.service = service
        self.reported = reported

    def entry(self, action: str = "key:create", resource: str = "key:key_1", **how: Any) -> Entry:
        """Something that happened."""
        given: Mapping[str, Any] = {"user_id": "admin", "result": Result.SUCCESS, "team_id": DEFAULT_TEAM_ID, **how}
        return self.service.entry(service="tests", action=action, resource=resource, **given)

    async def export(self, **bounds: int) -> list[bytes]:
        """The lines of an export."""
        pieces = await self.service.reading.export(ADMIN, **bounds)
        return b"".join([piece async for piece in pieces]).splitlines(keepends=True)

    async def verified(self) -> Report:
        """What an offline verifier finds in an export."""
        return verify_lines(await self.export())


MakeChain = Callable[..., Chain]


@pytest.fixture
def make_chain(database: Database, clock: ManualClock, ids: SystemIds, box: AesGcmBox) -> MakeChain:
    """Another process's chain, on the same database under the same master key."""

    def make(
        *, bounds: AppendBounds | None = None, blobs: Blobs | None = None, box: AesGcmBox = box, **settings: Any
    ) -> Chain:
        reported: list[str] = []
        service = AuditService(
            database=database,
            clock=clock,
            ids=ids,
            box=box,
            report=lambda error, what: reported.append(f"{what}: {error}"),
            installation_team_id=DEFAULT_TEAM_ID,
            settings=AuditSettings(**settings),
            bounds=bounds,
            blobs=None if blobs is None else lambda: blobs,
        )
        return Chain(service, reported)

    return make


@asynccontextmanager
async def appending(chain: Chain) -> AsyncIterator[Chain]:
    """Its appender runs inside the block."""
    async with background(chain.service.run()):
        yield chain


@pytest.fixture
async def chain(make_chain: MakeChain) -> AsyncIterator[Chain]:
    """One whose appender runs."""
    async with appending(make_chain()) as one:
        yield one
