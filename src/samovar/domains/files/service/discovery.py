"""Which storage elements there are, told to the processes that ask them.

The database is the authority. Who looks after the registry publishes it, with its version, on the bus; the others read it from
the database then, and take the message itself only where that is away. Each keeps the last it knew on its disk, for a start
without either; without that there is what the settings say.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from samovar.domains.files.model.choosing import Element
from samovar.domains.files.service.registry import Registry
from samovar.kernel.errors import Unavailable
from samovar.ports.events import Bus

ELEMENTS_CONFIG: Final = "storage-elements:config"
"""Bus topic: a :class:`Discovered` in JSON."""
_LOOK_EVERY_S: Final = 0.5
_AGAIN_AFTER: Final = 60
"""Looks after which the same is told again, for who was not there."""
_MAX_BYTES: Final = 4 * 1024 * 1024


class Discovered(msgspec.Struct, frozen=True, kw_only=True):
    """All elements. ``version`` grows with each change of any."""

    version: int
    elements: tuple[Element, ...]


class Discovery:
    """``publishes`` is whether this process looks after the registry; ``file`` is where the last is kept, ``None`` for nowhere.
    Make it before the bus starts."""

    def __init__(self, *, registry: Registry, bus: Bus, file: Path | None, publishes: bool) -> None:
        self._registry = registry
        self._bus = bus
        self._file = file
        self._publishes = publishes
        self._kept: tuple[Element, ...] | None = None
        self._told = 0
        self._looks = 0
        self._log = structlog.get_logger("samovar.files")
        bus.subscribe(ELEMENTS_CONFIG, self.on_config)

    async def run(self) -> None:
        """Keep and tell what changes, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> None:
        """Keep and tell what has changed since the last time."""
        known = Discovered(version=self._registry.version, elements=tuple(self._registry.elements.values()))
        if known.version and known.elements != self._kept:
            self._kept = known.elements
            await self._keep(known)
        self._looks += 1
        if self._publishes and known.version and (known.version != self._told or self._looks >= _AGAIN_AFTER):
            self._looks = 0
            try:
                await self._bus.publish(ELEMENTS_CONFIG, msgspec.json.encode(known))
            except Unavailable as error:
                # The others read the database every few seconds anyway.
                self._log.info("storage elements are not told", reason=error.detail)
            self._told = known.version

    async def on_config(self, message: bytes) -> None:
        """Bus handler."""
        try:
            said = msgspec.json.decode(message, type=Discovered)
        except msgspec.DecodeError as error:
            self._log.warning("storage elements were told in words that are not ours", reason=str(error))
            return
        if said.version <= self._registry.version:
            return
        try:
            await self._registry.refresh()
        except Unavailable:
            await self._registry.adopt(said.elements)

    async def remembered(self) -> Sequence[Element]:
        """What was kept last; nothing where that cannot be read."""
        if self._file is None:
            return ()
        try:
            return await asyncio.to_thread(recalled, self._file)
        except (OSError, msgspec.DecodeError) as error:
            self._log.info("no storage elements are remembered", reason=str(error))
            return ()

    async def _keep(self, known: Discovered) -> None:
        if self._file is None:
            return
        try:
            await asyncio.to_thread(remember, self._file, known)
        except OSError as error:
            self._log.warning("the storage elements are not remembered", reason=str(error))


def recalled(file: Path) -> tuple[Element, ...]:
    """What :func:`remember` wrote there. Raises ``OSError``, ``msgspec.DecodeError``."""
    with file.open("rb") as stream:
        return msgspec.json.decode(stream.read(_MAX_BYTES), type=Discovered).elements


def remember(file: Path, known: Discovered) -> None:
    """Write it down for the next start. Raises ``OSError``."""
    content = msgspec.json.format(msgspec.json.encode(known))
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(file)
