"""Looks whether the things we stand on answer."""

import asyncio
from collections.abc import Mapping
from typing import Final

from samovar.domains.operations.model import Probe, Readiness
from samovar.kernel.errors import SamovarError

PROBE_TIMEOUT_S: Final = 3.0


class OperationsService:
    """``probes`` are looked at all at once, each within ``probe_timeout_s``."""

    def __init__(self, *, probes: Mapping[str, Probe], probe_timeout_s: float = PROBE_TIMEOUT_S) -> None:
        self._probes = probes
        self._probe_timeout_s = probe_timeout_s
        self._stopping = False

    def stop(self) -> None:
        """From now on not ready: a load balancer shall send nothing new while calls under way end."""
        self._stopping = True

    async def readiness(self) -> Readiness:
        """Whether calls can be served, and if not, why not."""
        names = tuple(self._probes)
        words = await asyncio.gather(*(self._look(probe) for probe in self._probes.values()))
        failing = {name: word for name, word in zip(names, words, strict=True) if word}
        if self._stopping:
            failing["process"] = "stopping"
        return Readiness(ready=not failing, checks=names, failing=failing)

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
