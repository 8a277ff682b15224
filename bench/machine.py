"""What this machine is, and which of its cores does what."""

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """Sets of cores, as `sched_setaffinity` takes them. The subject (Samovar, nginx) has one to itself where there are two."""

    subject: frozenset[int]
    sandbox: frozenset[int]
    load: frozenset[int]

    def describe(self) -> str:
        if self.subject == self.load:
            return "one core for everything: the figures say little"
        shared = " (shared)" if self.sandbox == self.load else ""
        return (
            f"subject on {_names(self.subject)}, sandbox on {_names(self.sandbox)}, load on {_names(self.load)}{shared}"
        )


def share_out() -> Cores:
    """Give out the cores this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    last = frozenset(allowed[-1:])
    if len(allowed) == 1:
        return Cores(subject=last, sandbox=last, load=last)
    first = frozenset(allowed[:1])
    second = frozenset(allowed[1:2]) if len(allowed) > 2 else first
    return Cores(subject=last, sandbox=second, load=first)


def facts() -> dict[str, str | int]:
    """CPU, cores, memory, kernel, Python and the commit: what a figure means nothing without."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(),
    }


def busy() -> str | None:
    """A warning when others are using the machine, else None."""
    load = os.getloadavg()[0]
    return f"the machine is busy (load average {load:.1f} before the start)" if load > 0.7 else None


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False, timeout=10
    )
    return found.stdout.strip() or "unknown"


def _names(cores: frozenset[int]) -> str:
    return "core " + ",".join(str(core) for core in sorted(cores))
