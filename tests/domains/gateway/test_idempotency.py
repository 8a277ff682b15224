"""One answer for each key, on both engines."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.system import SystemIds
from samovar.domains.gateway import store
from samovar.domains.gateway.errors import IdempotencyInFlight, IdempotencyKeyReused, IdempotentAnswerNotKept
from samovar.domains.gateway.model.idempotency import IdempotencySettings, Recorded, is_kept
from samovar.domains.gateway.service.idempotency import BATCH, Claim, IdempotencyService
from samovar.domains.gateway.store import idempotency
from samovar.domains.identity import store as identity_store
from samovar.domains.identity.model import Team, administrator
from samovar.kernel.errors import Malformed
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from tests.support.clock import ManualClock

ANSWER = Recorded(201, ((b"content-type", b"application/json"),), (b'{"key":"sk-sam', b'ovar-secret"}'))
LEASE_S = 60.0


@pytest.fixture
async def service(
    database: Database, box: AesGcmBox, clock: ManualClock, ids: SystemIds
) -> AsyncIterator[IdempotencyService]:
    async with database.transaction() as tx:
        for team in ("default", "other"):
            await identity_store.add_team(tx, Team(id=team, name=team, created_at=clock.now()))
    failures: list[BaseException] = []
    yield made(database, box, clock, ids, failures)
    assert failures == []


def made(
    database: Database, box: AesGcmBox, clock: ManualClock, ids: SystemIds, failures: list[BaseException]
) -> IdempotencyService:
    return IdempotencyService(
        database=database,
        box=box,
        clock=clock,
        ids=ids,
        settings=IdempotencySettings(lease_s=LEASE_S, max_answer_bytes=1000),
        report=lambda error, _: failures.append(error),
    )


def somebody(name: str, team: str = "default") -> Principal:
    return Principal(id=name, kind=PrincipalKind.KEY, team_id=team, name=name, permissions=frozenset())


async def ask(
    service: IdempotencyService,
    *,
    principal: Principal | None = None,
    path: str = "/api/keys",
    query: bytes = b"",
    key: bytes = b"k-1",
    body: bytes = b"{}",
) -> Claim | Recorded:
    return await service.claim(principal or administrator(), path=path, query=query, key=key, body=body)


async def work(service: IdempotencyService, **differences: object) -> Claim:
    claim = await ask(service, **differences)  # type: ignore[arg-type]
    assert isinstance(claim, Claim)
    return claim


async def test_the_first_answer_is_given_again_as_it_was_until_a_day_is_over(
    service: IdempotencyService, clock: ManualClock
) -> None:
    claim = await work(service)
    await claim.keep(ANSWER)
    clock.advance(86_399)
    assert await ask(service) == ANSWER
    clock.advance(1)
    assert isinstance(await ask(service), Claim)


async def test_what_is_kept_cannot_be_read_in_the_database(service: IdempotencyService, database: Database) -> None:
    await (await work(service)).keep(ANSWER)
    async with database.reading() as tx:
        row = (await tx.execute(select(idempotency))).one()
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    assert b"secret" not in stored
    assert b"k-1" not in stored


async def test_another_body_or_query_under_the_same_key_is_refused_also_while_the_first_runs(
    service: IdempotencyService,
) -> None:
    claim = await work(service)
    for differences in ({"body": b"{ }"}, {"query": b"alt=sse"}):
        with pytest.raises(IdempotencyKeyReused):
            await work(service, **differences)
    await claim.keep(ANSWER)
    with pytest.raises(IdempotencyKeyReused):
        await work(service, body=b"[]")


async def test_keys_of_others_and_for_other_paths_are_other_keys(service: IdempotencyService) -> None:
    await (await work(service)).keep(ANSWER)
    for differences in (
        {"principal": somebody("key_a")},
        {"principal": somebody("admin", "other")},
        {"path": "/api/wallets"},
        {"key": b"k-2"},
    ):
        await (await work(service, **differences)).free()


async def test_of_many_that_race_one_works_and_the_others_hear_when_to_come_again(service: IdempotencyService) -> None:
    found = await asyncio.gather(*(ask(service) for _ in range(20)), return_exceptions=True)
    claims = [one for one in found if isinstance(one, Claim)]
    others = [one for one in found if isinstance(one, IdempotencyInFlight)]
    assert (len(claims), len(others)) == (1, 19)
    assert others[0].headers["Retry-After"] == "3"


async def test_a_key_that_is_given_back_is_free_at_once(service: IdempotencyService) -> None:
    await (await work(service)).free()
    assert isinstance(await ask(service, body=b"another"), Claim)


async def test_a_dead_process_frees_its_key_with_the_end_of_its_lease(
    service: IdempotencyService,
    database: Database,
    box: AesGcmBox,
    clock: ManualClock,
    ids: SystemIds,
) -> None:
    late = await work(service)
    # Another process: the one above never speaks again.
    second = made(database, box, clock, ids, [])
    clock.advance(LEASE_S - 1)
    with pytest.raises(IdempotencyInFlight):
        await work(second)
    clock.advance(1)
    claim = await work(second)
    # The first was only slow, and comes back: what it brings is no longer wanted.
    await late.keep(Recorded(200, (), (b"too late",)))
    with pytest.raises(IdempotencyInFlight):
        await work(second)
    await claim.keep(ANSWER)
    await late.free()
    assert await ask(service) == ANSWER


async def test_a_long_call_keeps_its_key_by_renewing_the_lease(service: IdempotencyService, clock: ManualClock) -> None:
    claim = await work(service)
    for _ in range(5):
        clock.advance(LEASE_S - 1)
        await service.renew()
    with pytest.raises(IdempotencyInFlight):
        await work(service)
    await claim.keep(ANSWER)
    clock.advance(LEASE_S + 1)
    await service.renew()
    assert await ask(service) == ANSWER


async def test_an_answer_too_large_to_keep_is_said_to_be_so(service: IdempotencyService) -> None:
    await (await work(service)).keep(None)
    with pytest.raises(IdempotentAnswerNotKept, match="larger than the 1000 bytes"):
        await work(service)


async def test_what_is_over_is_removed_in_small_batches_and_nothing_else(
    service: IdempotencyService, database: Database, clock: ManualClock
) -> None:
    for number in range(BATCH + 5):
        await (await work(service, key=b"old %d" % number)).keep(ANSWER)
    clock.advance(86_000)
    await (await work(service, key=b"young")).keep(ANSWER)
    await work(service, key=b"running")
    clock.advance(401)
    await service.renew()
    assert [await service.remove_over() for _ in range(3)] == [BATCH, 5, 0]
    async with database.reading() as tx:
        assert await tx.scalar(select(func.count()).select_from(idempotency)) == 2


async def test_the_loop_renews_what_runs_and_removes_what_is_over(
    service: IdempotencyService, database: Database, box: AesGcmBox, clock: ManualClock, ids: SystemIds
) -> None:
    quick = IdempotencyService(
        database=database,
        box=box,
        clock=clock,
        ids=ids,
        settings=IdempotencySettings(lease_s=0.03),
        report=lambda error, what: pytest.fail(f"{what}: {error}"),
    )
    await (await work(quick, key=b"old")).keep(ANSWER)
    clock.advance(86_401)
    running = await work(quick, key=b"running")
    clock.advance(1)
    loop = asyncio.ensure_future(quick.run())
    try:
        for _ in range(1000):
            await asyncio.sleep(0.01)
            if await stored(database) == [(running.owner, True)] and await first_until(database) > clock.now():
                break
        else:
            pytest.fail(f"it holds {await stored(database)}, until {await first_until(database)}")
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def first_until(database: Database) -> datetime:
    async with database.reading() as tx:
        found: datetime = (await tx.execute(select(idempotency.c.until).limit(1))).scalar_one()
        return found


async def stored(database: Database) -> list[tuple[str, bool]]:
    async with database.reading() as tx:
        found = await tx.execute(select(idempotency.c.owner, idempotency.c.answer.is_(None)).limit(10))
        return [(row[0], bool(row[1])) for row in found]


async def test_a_caller_who_leaves_while_claiming_leaves_the_key_free(service: IdempotencyService) -> None:
    for _ in range(20):
        task = asyncio.ensure_future(ask(service))
        for _ in range(8):
            await asyncio.sleep(0)
        task.cancel()
        found = await asyncio.gather(task, return_exceptions=True)
        if isinstance(found[0], Claim):
            await found[0].free()
        await (await work(service)).free()


async def test_a_caller_who_leaves_while_the_answer_is_written_finds_it_when_he_comes_again(
    service: IdempotencyService, database: Database, clock: ManualClock
) -> None:
    claim = await work(service)
    async with database.transaction() as tx:
        # Holds the row, so that the write is under way for as long as this is open.
        await store.renew(tx, [(claim.key_hash, claim.owner)], until=clock.now() + timedelta(seconds=LEASE_S))
        keeping = asyncio.ensure_future(claim.keep(ANSWER))
        await asyncio.sleep(0.05)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
    await claim.free()
    assert await ask(service) == ANSWER


@pytest.mark.parametrize("key", [b"", b"  ", b"x" * 256, b"tab\there", "ключ".encode()])
async def test_a_key_that_is_none_is_refused(sqlite_service: IdempotencyService, key: bytes) -> None:
    with pytest.raises(Malformed, match="from 1 to 255 printable"):
        await ask(sqlite_service, key=key)


@pytest.fixture
def sqlite_service(sqlite_database: Database, box: AesGcmBox, clock: ManualClock, ids: SystemIds) -> IdempotencyService:
    return made(sqlite_database, box, clock, ids, [])


def test_only_what_each_try_would_get_is_kept() -> None:
    assert [status for status in range(200, 600) if status % 100 < 30 and is_kept(status)] == [
        *range(200, 230),
        *(status for status in range(400, 430) if status not in (401, 402, 403, 408, 409, 425, 429)),
    ]
