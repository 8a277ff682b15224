"""The chain is exact, whoever appends to it, and what was acknowledged is in it."""

import asyncio
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemIds
from samovar.domains.audit import store
from samovar.domains.audit.errors import AuditUnwritten
from samovar.domains.audit.model import Result, verify_lines
from samovar.domains.audit.service import AppendBounds, AuditService
from samovar.ports.database import Database
from tests.domains.audit.appending_process import MASTER_KEY
from tests.domains.audit.conftest import Chain, MakeChain, appending
from tests.support.clock import ManualClock
from tests.support.jobs import eventually

ROOT = Path(__file__).parents[3]
WITHIN_S = 60.0


@pytest.fixture
def url(database: Database, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of the database."""
    if database.engine == "sqlite":
        return f"sqlite:///{tmp_path / 'samovar.db'}"
    return str(request.getfixturevalue("postgres_url"))


@asynccontextmanager
async def process(url: str, name: str, *, count: int, at_once: int) -> AsyncIterator[Process]:
    """An appender that is ready."""
    words = ("-m", "tests.domains.audit.appending_process", url, name, str(count), str(at_once))
    one = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        assert one.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            assert await one.stdout.readline() == b"ready\n"
        yield one
    finally:
        if one.returncode is None:
            one.kill()
        await one.communicate()


def acknowledged(said: bytes) -> list[str]:
    return [line.split()[1] for line in said.decode().splitlines() if line.startswith("done ")]


async def chained(database: Database) -> list[str]:
    """The ids of all records, in the order of the chain."""
    async with database.reading() as tx:
        return [record.entry.id for record in await store.records(tx, after=0, up_to=2**62, limit=100_000)]


async def test_three_processes_append_to_one_chain_without_a_gap(
    database: Database, url: str, make_chain: MakeChain
) -> None:
    async with (
        process(url, "a", count=100, at_once=8) as a,
        process(url, "b", count=100, at_once=8) as b,
        process(url, "c", count=100, at_once=8) as c,
    ):
        async with asyncio.timeout(WITHIN_S):
            said = await asyncio.gather(*(one.communicate(b"go\n") for one in (a, b, c)))
    done = [one for part, _ in said for one in acknowledged(part)]
    assert len(done) == 300
    assert sorted(await chained(database)) == sorted(done)
    report = await make_chain(box=AesGcmBox(master_key=MASTER_KEY)).verified()
    assert (report.why, report.records, report.last, report.unsealed) == (None, 300, 300, 0)
    assert report.checkpoints >= 4


async def test_a_process_that_is_killed_between_batches_loses_no_acknowledged_record(
    database: Database, url: str, make_chain: MakeChain
) -> None:
    async with process(url, "victim", count=0, at_once=20) as victim:
        assert victim.stdin is not None
        assert victim.stdout is not None
        victim.stdin.write(b"go\n")
        said = b"".join([await victim.stdout.readline() for _ in range(60)])
        os.kill(victim.pid, signal.SIGKILL)
        rest, _ = await victim.communicate()
    done = acknowledged(said + rest)
    there = await chained(database)
    assert set(done) <= set(there)
    chain = make_chain(box=AesGcmBox(master_key=MASTER_KEY))
    async with appending(chain):
        await chain.service.record(chain.entry())
    report = await chain.verified()
    assert (report.why, report.last) == (None, len(there) + 1)


async def test_records_that_wait_go_into_one_transaction(chain: Chain) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(chain.service.record(chain.entry(resource=f"key:{number}")))
    assert chain.service.figures().written == {"success": 50}
    assert (await chain.verified()).records == 50


async def test_a_record_whose_caller_left_is_written_all_the_same(chain: Chain, database: Database) -> None:
    entry = chain.entry()
    waiting = asyncio.create_task(chain.service.record(entry))
    await asyncio.sleep(0)
    waiting.cancel()
    await chain.service.record(chain.entry())
    assert entry.id in await chained(database)


async def test_what_a_stopping_process_has_still_to_write_is_written_and_sealed(
    make_chain: MakeChain, database: Database
) -> None:
    chain = make_chain()
    for _ in range(3):
        chain.service.submit(chain.entry())
    assert await chained(database) == []
    await chain.service.close()
    async with database.reading() as tx:
        head = await store.head(tx)
    assert head is not None
    assert (head.sequence, head.sealed_sequence) == (3, 3)


async def test_no_more_records_wait_than_there_is_room_for(make_chain: MakeChain) -> None:
    chain = make_chain(bounds=AppendBounds(waiting=2))
    for _ in range(2):
        chain.service.submit(chain.entry())
    with pytest.raises(AuditUnwritten, match="no room"):
        chain.service.submit(chain.entry(resource="key:lost"))
    assert chain.service.figures().unwritten == 1
    assert any("key:lost" in said and "is lost" in said for said in chain.reported)
    await chain.service.close()


async def test_a_record_waits_out_a_database_that_is_locked_and_is_written_once(
    tmp_path: Path, sqlite_database: SqliteDatabase, clock: ManualClock, ids: SystemIds, box: AesGcmBox
) -> None:
    impatient = SqliteDatabase(tmp_path / "samovar.db", wait_s=0.1)
    reported: list[str] = []
    service = AuditService(
        database=impatient,
        clock=clock,
        ids=ids,
        box=box,
        report=lambda error, what: reported.append(what),
        installation_team_id="default",
        bounds=AppendBounds(wait_s=0.3),
    )
    chain = Chain(service, reported)
    async with appending(chain):
        other = sqlite3.connect(tmp_path / "samovar.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        entry = chain.entry()
        with pytest.raises(AuditUnwritten, match="it is tried again"):
            await service.record(entry)
        other.execute("ROLLBACK")
        other.close()
        await eventually(lambda: _is(service, 1), within_s=WITHIN_S)
    assert reported.count("audit records wait: the database does not take them") == 1
    assert await chained(sqlite_database) == [entry.id]
    await impatient.close()


async def _is(service: AuditService, written: int) -> bool:
    return sum(service.figures().written.values()) == written


async def test_a_record_that_cannot_be_written_does_not_hold_up_the_others(
    make_chain: MakeChain, database: Database
) -> None:
    chain = make_chain()
    good, bad = chain.entry(), msgspec.structs.replace(chain.entry(), team_id="\ud800")
    async with appending(chain):
        results = await asyncio.gather(chain.service.record(bad), chain.service.record(good), return_exceptions=True)
    assert [type(one) for one in results] == [AuditUnwritten, type(None)]
    assert await chained(database) == [good.id]
    assert chain.service.figures().unwritten == 1
    assert (await chain.verified()).is_good


async def test_texts_are_bounded_and_cleaned_before_they_are_hashed(chain: Chain) -> None:
    metadata = {"name": "x" * 1000, "n": 2**80, "bad name": 1, "f": 1.5, "nul": "a\0b", "half": "\ud800", "ok": True}
    await chain.service.record(
        chain.entry(resource="key:" + "я" * 1000, metadata=metadata, result=Result.DENIED, user_id=None)
    )
    (line,) = [line for line in await chain.export() if b'"kind":"record"' in line]
    assert len(line) < 4000
    assert b'"user_id":"anonymous"' in line
    assert (await chain.verified()).is_good


async def test_a_retry_after_a_lost_answer_writes_nothing_twice(
    make_chain: MakeChain, database: Database, box: AesGcmBox
) -> None:
    """As after a commit whose answer was lost: the task that commits is cancelled in the middle of it, at every turn."""
    for turns in range(0, 40, 3):
        chain = make_chain()
        entry = chain.entry()
        chain.service.submit(entry)
        task = asyncio.create_task(chain.service.run())
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await chain.service.close()
        assert (await chained(database)).count(entry.id) == 1
    assert verify_lines(await make_chain().export()).is_good
