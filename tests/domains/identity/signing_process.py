"""A process of its own that makes the next signing key when it is told to, at the time that it is told.

Its arguments are the database's URL and the master key in hexadecimal; each line of its input is an instant, and it answers each
with the kid of the key that signs then."""

import asyncio
import sys
from datetime import datetime, timedelta

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.system import SystemIds
from samovar.domains.identity.model import Rotation
from samovar.domains.identity.service import SigningKeys
from tests.support.clock import ManualClock


def say(word: str) -> None:
    """A line among those of the log."""
    sys.stdout.write(f"said {word}\n")
    sys.stdout.flush()


async def main(url: str, master_key: str) -> None:
    """Until the input ends."""
    clock = ManualClock()
    database = PostgresDatabase(url)
    keys = SigningKeys(
        database=database,
        clock=clock,
        ids=SystemIds(clock=clock),
        box=AesGcmBox(master_key=bytes.fromhex(master_key)),
        rotation=Rotation(every=timedelta(hours=24), grace=timedelta(hours=1)),
    )
    say("ready")
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        clock.advance((datetime.fromisoformat(line) - clock.now()).total_seconds())
        await keys.advance()
        about, _ = await keys.signing()
        say(about.kid)
    await database.close()


asyncio.run(main(*sys.argv[1:]))
