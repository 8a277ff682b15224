"""Child processes: started pinned, watched through /proc, stopped by their own id and no other."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1
STOP_TIMEOUT_S = 10.0


class ChildFailed(RuntimeError):
    """A process of the bench did not come up, or died. The message ends with the tail of its output."""


class Child:
    """One process of the bench, in a session of its own. Use as a context manager: leaving ends it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        cores: frozenset[int],
        log: Path,
    ) -> None:
        self.name = name
        self._log = log
        self.started = perf_counter()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_settle(cores),  # safe: the bench has one thread when it starts children
            )

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises ChildFailed when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise self.failure(f"ended with code {code}")

    def failure(self, what: str) -> ChildFailed:
        """An error that says what this process printed last."""
        return ChildFailed(f"{self.name} {what}; its output ended with:\n{self.tail()}")

    def tail(self) -> str:
        """What it printed last."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def stop(self) -> None:
        """Ask it to end, wait, and end its session by force when it does not."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def cpu_s(self) -> float:
        """Processor time it and its children have used so far, in seconds (to 10 ms)."""
        return sum(_cpu_s(pid) for pid in _family(self.pid))

    def rss_bytes(self) -> int:
        """Resident memory of it and its children."""
        return sum(_rss_bytes(pid) for pid in _family(self.pid))


class CoreTime:
    """Processor time that anybody at all has used of some cores: what the bench's own did not use, others took from them."""

    def __init__(self, cores: frozenset[int]) -> None:
        self._names = {f"cpu{core}" for core in cores}

    def cpu_s(self) -> float:
        """Seconds, idle and waiting for disks left out, stolen by the hypervisor counted."""
        ticks = 0
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            name, *numbers = line.split()
            if name in self._names:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, numbers[:8])
                ticks += user + nice + system + irq + softirq + steal
        return ticks / _TICKS_PER_S


def _settle(cores: frozenset[int]) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def settle() -> None:
        os.sched_setaffinity(0, cores)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # a bench that is killed leaves nothing behind

    return settle


def _family(pid: int) -> list[int]:
    found = [pid]
    for member in found:
        try:
            children = Path(f"/proc/{member}/task/{member}/children").read_text(encoding="ascii")
        except OSError:
            continue
        found.extend(int(child) for child in children.split())
    return found


def _cpu_s(pid: int) -> float:
    try:
        # The command may hold spaces and parentheses: the numbers start after the last ")".
        numbers = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(numbers[11]) + int(numbers[12])) / _TICKS_PER_S


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
