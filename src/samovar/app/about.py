"""What this installation says of itself."""

import platform
from collections.abc import Awaitable, Callable

from samovar import __version__
from samovar.app.settings import Settings
from samovar.domains.operations.model import About, AboutConfig, CleanupPattern
from samovar.kernel.errors import Unavailable
from samovar.kernel.time import rfc3339
from samovar.ports.clock import Clock


def about(
    settings: Settings,
    *,
    clock: Clock,
    prices: Callable[[], str],
    routes: Callable[[], tuple[str, ...]],
    cleanup: Callable[[], Awaitable[CleanupPattern]],
) -> Callable[[], Awaitable[About]]:
    """What ``/about`` answers from now on; ``prices``, ``routes`` and ``cleanup`` are read at each request."""
    started = clock.now()

    async def read() -> About:
        try:
            pattern = await cleanup()
        except Unavailable:
            # What this is can be said without the database.
            pattern = None
        return About(
            name="samovar",
            version=__version__,
            environment=settings.profile.value,
            roles=settings.roles,
            python=platform.python_version(),
            started_at=rfc3339(started),
            uptime_s=round((clock.now() - started).total_seconds(), 1),
            routes=routes(),
            documentation=f"{settings.url}/docs",
            prices=prices(),
            config=AboutConfig(regex_cleanup=pattern),
        )

    return read
