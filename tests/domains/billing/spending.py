"""A process that spends from a wallet: ``python -m tests.domains.billing.spending URL SPOOL WALLET NAME CALLS HOLD COST``.

Prints ``sent ID``, ``ended ID`` or ``refused ID`` as it goes, each line as one write, and ``done``. A call's intent is noted
before its first line and its outcome before its second. Ends in order after a line on its standard input, if nobody kills
it.
"""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from samovar.adapters.memory import MemoryBus
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.domains.billing.errors import CreditSpent
from samovar.domains.billing.model import Charge
from samovar.domains.billing.service import MoneyService, MoneySettings
from samovar.domains.billing.service.money.payers import WalletRef
from samovar.domains.identity.model import DEFAULT_TEAM_ID
from samovar.ports.database import Database

AT_ONCE = 20


def say(*words: str) -> None:
    """A line that is out when this returns, whatever becomes of the process."""
    os.write(1, (" ".join(words) + "\n").encode())


async def spend(money: MoneyService, wallet: WalletRef, name: str, calls: int, hold: int, cost: int) -> None:
    """Many calls, some at once."""
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            call_id = f"call_{name}_{number}"
            try:
                held = await money.hold(call_id, wallet, hold, principal_id="key_1")
            except CreditSpent:
                say("refused", call_id)
                continue
            held.sent()
            say("sent", call_id)
            await asyncio.sleep(0.0005)
            held.settle(Charge(nano_usd=cost, source="test"))
            say("ended", call_id)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(caller())


async def main(url: str, spool: str, wallet_id: str, name: str, calls: int, hold: int, cost: int) -> None:
    """One process, from its start to its end in order."""
    path = url.removeprefix("sqlite:///")
    database: Database = SqliteDatabase(Path(path)) if path != url else PostgresDatabase(url)
    clock = SystemClock()
    money = MoneyService(
        database=database,
        clock=clock,
        ids=SystemIds(clock=clock),
        bus=MemoryBus(),
        settings=MoneySettings(spool=Path(spool), lease_nano_usd=20 * hold, segment_bytes=20_000, idle_s=0.5),
    )
    running = asyncio.create_task(money.run())
    await spend(money, WalletRef(wallet_id, DEFAULT_TEAM_ID, hold), name, calls, hold, cost)
    say("done")
    await asyncio.to_thread(sys.stdin.readline)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await money.close()
    await database.close()


if __name__ == "__main__":
    address, folder, wallet_of, own_name, *figures = sys.argv[1:]
    asyncio.run(main(address, folder, wallet_of, own_name, *map(int, figures)))
