"""A process that takes as much of a limit as it gets for a while, and prints the monotonic times at which it got it.

Arguments: the URL of a Redis, a key's id, the limits, seconds, a file for a database (never opened).
"""

import asyncio
import sys
import time
from pathlib import Path

from samovar.adapters.memory import MemoryBus
from samovar.adapters.redis import RedisLimiter, RedisLink
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.domains.billing.service.quotas import QuotaDefaults, QuotaService
from samovar.kernel.errors import TooManyRequests
from samovar.kernel.principal import Principal, PrincipalKind


async def work(url: str, key_id: str, limits: str, seconds: float, file: Path) -> list[float]:
    """The times."""
    clock = SystemClock()
    limiter = RedisLimiter(link=RedisLink(url, clock=clock, deadline_s=5), prefix=key_id)
    quotas = QuotaService(
        database=SqliteDatabase(file),
        clock=clock,
        ids=SystemIds(clock=clock),
        bus=MemoryBus(),
        shared=limiter,
        defaults=QuotaDefaults(key=limits),
    )
    caller = Principal(id=key_id, kind=PrincipalKind.KEY, team_id="default", name="a key", permissions=frozenset())
    times: list[float] = []
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        try:
            (await quotas.admit(caller)).release()
            times.append(now)
        except TooManyRequests:
            await asyncio.sleep(0.003)
        await asyncio.sleep(0)
    await limiter.close()
    return times


if __name__ == "__main__":
    for at in asyncio.run(work(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), Path(sys.argv[5]))):
        sys.stdout.write(f"{at!r}\n")
