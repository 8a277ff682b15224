"""Looks whether the things we stand on answer."""

import asyncio
from collections.abc import Mapping
from typing import Final

from samovar.domains.operations.model import Probe, Readiness
from samovar.kernel.errors import SamovarError

PROBE_TIMEOUT_S: Final = 3.0
FRESH_S: Final = 1.0
"""How long a verdict stands: however often it is asked for, each thing is looked at once a second."""


class OperationsService:
    """``probes`` are looked at all at once, each within ``probe_timeout_s``."""

    def __init__(self, *, probes: Mapping[str, Probe], probe_timeout_s: float = PROBE_TIMEOUT_S) -> None:
        self._probes = probes
        self._probe_timeout_s = probe_timeout_s
        self._stopping = False
        self._looking: asyncio.Task[dict[str, str]] | None = None
        self._fresh_until = 0.0

    def stop(self) -> None:
        """From now on not ready: a load balancer shall send nothing new while calls under way end."""
        self._stopping = True

    async def readiness(self) -> Readiness:
        """Whether calls can be served, and if not, why not."""
        loop = asyncio.get_running_loop()
        looking = self._looking
        if looking is None or (looking.done() and loop.time() >= self._fresh_until):
            looking = self._looking = loop.create_task(self._look_at_all())
        # One who asks and leaves must not take the verdict from the others.
        failing = dict(await asyncio.shield(looking))
        if self._stopping:
            failing["process"] = "stopping"
        return Readiness(ready=not failing, checks=tuple(self._probes), failing=failing)

    async def close(self) -> None:
        """Stop looking."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look_at_all(self) -> dict[str, str]:
        words = await asyncio.gather(*(self._look(probe) for probe in self._probes.values()))
        self._fresh_until = asyncio.get_running_loop().time() + FRESH_S
        return {name: word for name, word in zip(self._probes, words, strict=True) if word}

    async def _look(self, probe: Probe) -> str:
        try:
            async with asyncio.timeout(self._probe_timeout_s):
                await probe()
        except TimeoutError:
            return f"no answer within {self._probe_timeout_s:g} s"
        except SamovarError as error:
            return error.detail
        except OSError as error:
            return str(error) or type(error).__name__
        return ""
