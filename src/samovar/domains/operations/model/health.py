"""Health as data."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

Probe = Callable[[], Awaitable[None]]
"""Raises a ``SamovarError`` when the thing it looks at does not answer."""


@dataclass(frozen=True, slots=True)
class Alive:
    """``ts`` is the server's clock, milliseconds since 1970."""

    ok: bool
    ts: int


@dataclass(frozen=True, slots=True)
class Live:
    """The process answers."""

    status: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """``failing`` maps what is not ready to why, in plain words."""

    ready: bool
    checks: tuple[str, ...]
    failing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CleanupPattern:
    """What takes unwanted lines out of answers; ``source`` is ``default`` or ``database``."""

    pattern: str
    flags: str
    source: str


@dataclass(frozen=True, slots=True)
class AboutConfig:
    """What an admin may set while it runs; ``null`` while the database does not answer."""

    regex_cleanup: CleanupPattern | None


@dataclass(frozen=True, slots=True)
class About:
    """What this installation is."""

    name: str
    version: str
    environment: str
    roles: tuple[str, ...]
    python: str
    started_at: str
    uptime_s: float
    routes: tuple[str, ...]
    documentation: str
    prices: str
    config: AboutConfig
