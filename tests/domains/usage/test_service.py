"""The usage log: nothing is lost, nothing twice, and one bad event holds nobody up."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import text

from samovar.adapters.postgres import PostgresDatabase
from samovar.domains.gateway.model import AttemptNote
from samovar.domains.usage.errors import EventsRefused
from samovar.domains.usage.service import BATCH, UsageService
from samovar.ports.database import Database
from samovar.ports.llm import Usage
from tests.domains.usage.calls import EVENT, event
from tests.support.sockets import Relay


def service_on(database: Any, reports: list[str] | None = None, **settings: Any) -> UsageService:
    said = reports if reports is not None else []
    return UsageService(database=database, report=lambda _, what: said.append(what), **settings)


class Counted:
    """A database that counts its transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.transactions = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def transaction(self) -> Any:
        """See the port."""
        self.transactions += 1
        return self._database.transaction()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for tells nobody
        await asyncio.sleep(0.02)


async def rows(database: Database, columns: str = "id") -> list[Any]:
    async with database.transaction() as tx:
        return list((await tx.execute(text(f"SELECT {columns} FROM usage_events ORDER BY id"))).all())


async def test_more_than_a_batch_is_written_once_each(database: Database) -> None:
    usage = service_on(database)
    count = 2 * BATCH + 7
    for number in range(count):
        usage.record(event(number))
    usage.record(event(0))
    await usage.flush()
    assert usage.waiting == 0
    assert {row.id for row in await rows(database)} == {f"call_{number}" for number in range(count)}


async def test_a_row_says_what_the_event_said(database: Database) -> None:
    usage = service_on(database)
    usage.record(event(1))
    await usage.flush()
    columns = "status, input_tokens, output_tokens, usage_estimated, cost_nano_usd, started_at, attempts"
    (row,) = await rows(database, columns)
    assert (row.status, row.input_tokens, row.output_tokens, bool(row.usage_estimated)) == ("ok", 3, 5, True)
    assert row.cost_nano_usd == 1234
    assert row.started_at == int(EVENT.started_at.timestamp()) * 1_000_000
    assert msgspec.json.decode(row.attempts) == [{"model": "sandbox/echo", "provider": "sandbox", "took_ms": 12.0}]


async def test_odd_words_and_numbers_are_kept_within_their_columns(database: Database) -> None:
    usage = service_on(database)
    usage.record(event(1, requested_model="a\x00b" * 1000, model="\x00" * 400, request_id="r" * 500))
    usage.record(event(2, usage=Usage(input_tokens=2**70, output_tokens=-(2**70)), cost_nano_usd=2**80))
    await usage.flush()
    assert len(await rows(database)) == 2
    assert usage.dropped == 0


async def test_an_event_of_which_no_row_can_be_made_is_lost_alone(database: Database) -> None:
    reports: list[str] = []
    usage = service_on(database, reports)
    # No caller can make such an event today, either.
    usage.record(event(1, attempts=(AttemptNote("half a letter: \ud83d", "sandbox", 1.0),)))
    usage.record(event(2))
    await usage.flush()
    assert [row.id for row in await rows(database)] == ["call_2"]
    assert (usage.dropped, usage.waiting) == (1, 0)
    assert any("call_1" in what for what in reports)


async def test_an_event_that_is_refused_is_dropped_alone(database: Database) -> None:
    reports: list[str] = []
    usage = service_on(database, reports)
    async with database.transaction() as tx:
        # No caller can make such an event today; the rule must hold for the one that we did not think of.
        await tx.execute(text("CREATE UNIQUE INDEX planted ON usage_events (trace_id)"))
    try:
        for number in range(3):
            usage.record(event(number, trace_id=str(number % 2) * 32))
        await usage.flush()
        assert [row.id for row in await rows(database)] == ["call_0", "call_1"]
        assert (usage.dropped, usage.written, usage.waiting) == (1, 2, 0)
        assert any("call_2" in what for what in reports)
    finally:
        async with database.transaction() as tx:
            await tx.execute(text("DROP INDEX planted"))


async def test_a_few_bad_events_among_many_are_found_within_a_bound(database: Database) -> None:
    usage = service_on(database, [])
    bad = {3, 4, 500, 999}
    async with database.transaction() as tx:
        await tx.execute(text("CREATE UNIQUE INDEX planted ON usage_events (trace_id)"))
    try:
        usage.record(event(5_000, trace_id="taken"))
        await usage.flush()
        for number in range(BATCH):
            usage.record(event(number, trace_id="taken" if number in bad else str(number)))
        await usage.flush()
        assert (usage.dropped, usage.written, usage.waiting) == (len(bad), BATCH - len(bad) + 1, 0)
        written = {row.id for row in await rows(database)}
        assert written == {f"call_{number}" for number in (*range(BATCH), 5_000) if number not in bad}
    finally:
        async with database.transaction() as tx:
            await tx.execute(text("DROP INDEX planted"))


async def test_where_no_event_of_a_large_batch_is_taken_few_transactions_find_that_out(database: Database) -> None:
    usage = service_on(counted := Counted(database))
    async with database.transaction() as tx:
        await tx.execute(text("ALTER TABLE usage_events RENAME TO elsewhere"))
    try:
        for number in range(BATCH):
            usage.record(event(number))
        with pytest.raises(EventsRefused):
            await usage.flush()
    finally:
        async with database.transaction() as tx:
            await tx.execute(text("ALTER TABLE elsewhere RENAME TO usage_events"))
    assert counted.transactions < 50
    assert (usage.waiting, usage.dropped) == (BATCH, 0)
    await usage.flush()
    assert len(await rows(database)) == BATCH


async def test_where_no_event_is_taken_all_of_them_wait(database: Database) -> None:
    usage = service_on(database)
    for number in range(3):
        usage.record(event(number))
    async with database.transaction() as tx:
        await tx.execute(text("ALTER TABLE usage_events RENAME TO elsewhere"))
    try:
        with pytest.raises(EventsRefused):
            await usage.flush()
        assert (usage.waiting, usage.dropped) == (3, 0)
    finally:
        async with database.transaction() as tx:
            await tx.execute(text("ALTER TABLE elsewhere RENAME TO usage_events"))
    await usage.flush()
    assert len(await rows(database)) == 3


async def test_past_the_bound_the_oldest_are_dropped_and_counted(database: Database) -> None:
    usage = service_on(database, max_waiting=10)
    for number in range(15):
        usage.record(event(number))
    assert (usage.waiting, usage.dropped) == (10, 5)
    await usage.flush()
    assert {row.id for row in await rows(database)} == {f"call_{number}" for number in range(5, 15)}


async def test_postgresql_may_go_and_come_back(postgres_database: PostgresDatabase, postgres_url: str) -> None:
    place = urlsplit(postgres_url)
    relay = Relay(place.hostname or "", place.port or 5432)
    await relay.start()
    away = PostgresDatabase(postgres_url.replace(f":{place.port}/", f":{relay.port}/"))
    reports: list[str] = []
    usage = service_on(away, reports, every_s=0.05)
    writing = asyncio.create_task(usage.run())
    try:
        usage.record(event(1))
        async with asyncio.timeout(10):
            await until(lambda: usage.written == 1)
            await relay.cut()
            usage.record(event(2))
            await until(lambda: bool(reports))
            assert usage.waiting == 1
            await relay.start()
            usage.record(event(3))
            await until(lambda: usage.written == 3)
        assert [row.id for row in await rows(postgres_database)] == ["call_1", "call_2", "call_3"]
        assert usage.dropped == 0
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await away.close()
        await relay.cut()
