"""Machine instructions of a process, counted by callgrind: a figure that a busy machine and a slow one give alike.

Under callgrind everything is some fifty times slower, and what a program does at intervals would stand in each call fifty times
over. So its clock goes fifty times slower, too (libfaketime). The kernel's instructions are not counted.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

SLOWER = 50
_DUMP_TIMEOUT_S = 60.0
_POLL_S = 0.05


class Callgrind:
    """One process. ``cpu_s`` says instructions, not seconds: it is read at both ends of a window, as processor time is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid = 0
        self._dumps = 0
        self._total = 0

    def command(self, program: Path) -> list[str]:
        """What starts Samovar's program so that it can be counted. Raises LookupError where a tool is missing."""
        clock = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
        if shutil.which("valgrind") is None or clock is None:
            raise LookupError("there is no valgrind or no libfaketime on this machine (Debian: valgrind, faketime)")
        return [
            *("env", f"LD_PRELOAD={clock}", f"FAKETIME=+0 x{1 / SLOWER}"),
            *("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self._folder}/out"),
            *(str(program.parent / "python"), str(program), "serve"),
        ]

    def begin(self, pid: int) -> None:
        """Count from now on."""
        self._pid = pid
        self._control("--instr=on")

    def cpu_s(self) -> float:
        """Instructions so far."""
        self._control("--dump")
        self._dumps += 1
        dump, ends = self._folder / f"out.{self._dumps}", monotonic() + _DUMP_TIMEOUT_S
        while not (found := list(_totals(dump))):
            if monotonic() > ends:
                raise LookupError("callgrind gave no count")
            sleep(_POLL_S)
        self._total += sum(found)
        return float(self._total)

    def _control(self, what: str) -> None:
        subprocess.run(["callgrind_control", what, str(self._pid)], check=True, capture_output=True)


def _totals(dump: Path) -> Iterator[int]:
    if dump.exists():
        for line in dump.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("totals: "):
                yield int(line.split()[1])
