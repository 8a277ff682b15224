"""A process that appends to the audit chain: ``python -m tests.domains.audit.appending_process URL NAME COUNT AT_ONCE``.

Prints ``ready``, waits for a line on its standard input, and prints ``done ID`` for each record that was acknowledged, one write
each. ``COUNT`` 0 goes on until it is killed.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock, SystemIds
from samovar.domains.audit.model import Result
from samovar.domains.audit.service import AuditService, AuditSettings
from samovar.kernel.tasks import background
from samovar.ports.database import Database

MASTER_KEY = b"\x07" * 32


def opened(url: str) -> Database:
    """The database of an address."""
    if url.startswith("sqlite:"):
        return SqliteDatabase(Path(url.removeprefix("sqlite:///")))
    return PostgresDatabase(url)


def report(error: BaseException, what: str) -> None:
    """To whoever looks."""
    os.write(2, f"{what}: {error}\n".encode())


async def main(url: str, name: str, count: int, at_once: int) -> None:
    """Append."""
    clock, database = SystemClock(), opened(url)
    service = AuditService(
        database=database,
        clock=clock,
        ids=SystemIds(clock=clock),
        box=AesGcmBox(master_key=MASTER_KEY),
        report=report,
        installation_team_id="default",
        settings=AuditSettings(checkpoint_records=40),
    )
    numbers = iter(range(count)) if count else itertools.count()

    async def append_some() -> None:
        for number in numbers:
            entry = service.entry(
                service=name, action="key:create", user_id=name, resource=f"key:{number}", result=Result.SUCCESS
            )
            await service.record(entry)
            os.write(1, f"done {entry.id}\n".encode())

    os.write(1, b"ready\n")
    await asyncio.to_thread(sys.stdin.readline)
    async with background(service.run()):
        await asyncio.gather(*(append_some() for _ in range(at_once)))
    await service.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
