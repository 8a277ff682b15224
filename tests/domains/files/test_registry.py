"""What a process knows of the storage elements while others change them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemClock
from samovar.domains.files.model.choosing import Element, ElementState
from samovar.domains.files.service.registry import Registry
from samovar.ports.database import Database, Tx
from samovar.ports.elements import Mode
from tests.domains.files.conftest import element
from tests.support.clock import ManualClock


class Halting:
    """A database: whoever reads, or whoever writes, may be stopped when that is done and not yet heard of."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.halts = ""
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        async with self._database.reading() as tx:
            yield tx
        await self._halt("reading")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        async with self._database.transaction() as tx:
            yield tx
        await self._halt("writing")

    async def _halt(self, what: str) -> None:
        if self.halts == what:
            self.halts = ""
            self.reached.set()
            await self.go_on.wait()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


@pytest.fixture
def halting(database: Database) -> Halting:
    return Halting(database)


@pytest.fixture
async def registry(halting: Any, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Registry]:
    """It has one element, in a folder that this process has."""
    found = Registry(
        database=halting,
        clock=clock,
        bus=MemoryBus(),
        configured=[element(tmp_path, Mode.EDIT, clock)],
        open_element=lambda one: DiskElement(tmp_path / one.id, element_id=one.id, mode=one.mode, clock=SystemClock()),
    )
    async with found.running():
        await found.load()
        yield found


async def _lose(registry: Registry) -> None:
    known = registry.registered("edit")
    lost = msgspec.structs.replace(known, state=ElementState.LOST, revision=known.revision + 1)
    assert await registry.write(lost, revision=known.revision)


async def _halted(halting: Halting, what: str, step: Any) -> "asyncio.Task[Any]":
    halting.halts = what
    task = asyncio.ensure_future(step)
    await asyncio.wait_for(halting.reached.wait(), 10)
    return task


async def test_a_reading_that_began_before_a_change_and_ends_behind_it_changes_nothing(
    registry: Registry, halting: Halting
) -> None:
    older = await _halted(halting, "reading", registry.refresh())
    await _lose(registry)
    assert registry.is_lost("edit")
    version = registry.version
    halting.go_on.set()
    await older
    assert (registry.is_lost("edit"), registry.version) == (True, version)


async def test_an_element_that_changes_while_its_beginning_is_noted_stays_changed(
    registry: Registry, halting: Halting
) -> None:
    registry.opens(lambda _: True)
    noting = await _halted(halting, "writing", registry.refresh())
    other = _lose(registry)
    losing = asyncio.ensure_future(other)
    while not registry.is_lost("edit"):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    halting.go_on.set()
    await asyncio.gather(noting, losing)
    known: Element = registry.registered("edit")
    assert (known.state, known.begun_at is not None) == (ElementState.LOST, True)
