"""A process without a disk: each charge goes to the database before its answer ends."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise

from structlog.testing import capture_logs

from samovar.domains.billing.service.money import Tally
from samovar.domains.billing.service.money.direct import DirectJournal
from samovar.ports.database import Database
from tests.domains.billing.test_moving import charged, refusing
from tests.domains.billing.test_spool import intent, outcome


def journal_on(database: Database, report: Callable[[str], None] = str) -> DirectJournal:
    return DirectJournal(database=database, report=report, tally=Tally())


def ends(journal: DirectJournal, call_id: str, cost: int) -> "asyncio.Task[None]":
    """A call whose answer waits for its charge."""
    waiting = journal.conclude(intent(call_id), outcome(call_id, cost))
    assert waiting is not None

    async def answer() -> None:
        await waiting

    return asyncio.create_task(answer())


async def test_what_the_database_refuses_is_tried_again_less_and_less_often(installed: Database) -> None:
    said: list[float] = []
    journal = journal_on(installed, lambda _: said.append(time.monotonic()))
    async with asyncio.timeout(30):
        first = ends(journal, "call_1", 2)
        await journal.drain()
        await first
        async with refusing(installed, "principal_id, amount_nano_usd"):
            second = ends(journal, "call_2", 2)
            running = asyncio.create_task(journal.run())
            while len(said) < 4:  # noqa: ASYNC110  # a report calls nobody
                await asyncio.sleep(0.02)
            running.cancel()
    pauses = [after - before for before, after in pairwise(said)]
    assert pauses[2] > 1.5 * pauses[1] > 2 * pauses[0] > 0.8
    await journal.drain()
    await second
    assert await charged(installed) == {"call_1", "call_2"}


async def test_as_many_refused_charges_as_a_batch_holds_keep_no_other_waiting(installed: Database) -> None:
    journal = journal_on(installed)
    first = ends(journal, "call_0", 2)
    await journal.drain()
    async with refusing(installed, "principal_id, amount_nano_usd"):
        answers = [ends(journal, f"refused_{n}", 2) for n in range(500)] + [ends(journal, "call_1", 3)]
        with capture_logs() as said:
            await journal.drain()
        await asyncio.gather(first, *answers)
    assert await charged(installed) == {"call_0", "call_1"}
    assert len({one["call"] for one in said if "charge" in one}) == 500


async def test_what_the_database_never_took_is_in_the_log_when_the_process_ends(installed: Database) -> None:
    tally = Tally()
    journal = DirectJournal(database=installed, report=str, tally=tally)
    answer = ends(journal, "call_1", 7)
    with capture_logs() as said:
        await journal.close()
    await answer
    (line,) = said
    assert (line["log_level"], line["call"], tally.charges_set_aside) == ("error", "call_1", 1)
    assert '"amount_nano_usd":7' in line["charge"]
