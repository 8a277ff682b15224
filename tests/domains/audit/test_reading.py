"""The chain in the database: pages for people, and what is found of changes in it."""

from datetime import timedelta

import msgspec
import pytest

from samovar.domains.audit.model import Result
from samovar.domains.audit.service import READ, Wanted
from samovar.domains.identity.model import Permission, permissions_of
from samovar.domains.identity.model.permissions import PersonRole, ServiceRole
from samovar.kernel.errors import Forbidden, Invalid
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from tests.domains.audit.conftest import ADMIN, Chain
from tests.support.clock import ManualClock

ALL = Wanted(team_id=None)


def person(team_id: str, role: PersonRole) -> Principal:
    return Principal(
        id="per_1", kind=PrincipalKind.PERSON, team_id=team_id, name="x", permissions=permissions_of([role])
    )


async def fill(chain: Chain, clock: ManualClock) -> None:
    """Ten records, one a minute: the even ones of another team, every third denied."""
    for number in range(1, 11):
        await chain.service.record(
            chain.entry(
                action="key:create" if number <= 5 else "wallet:topup",
                resource=f"thing:{number % 2}",
                user_id=f"per_{number % 3}",
                result=Result.SUCCESS if number % 3 else Result.DENIED,
                team_id="default" if number % 2 else "other",
            )
        )
        clock.advance(60)


async def sequences(chain: Chain, who: Principal = ADMIN, **wanted: object) -> list[int]:
    page = await chain.service.reading.page(who, msgspec.structs.replace(ALL, **wanted), cursor=None, limit=100)
    return [record.sequence for record in page.items]


async def test_records_are_found_by_each_filter_the_newest_first(chain: Chain, clock: ManualClock) -> None:
    began = clock.now()
    await fill(chain, clock)
    assert await sequences(chain) == [*range(10, 0, -1)]
    assert await sequences(chain, action="key:create") == [5, 4, 3, 2, 1]
    assert await sequences(chain, user_id="per_1") == [10, 7, 4, 1]
    assert await sequences(chain, resource="thing:0", result=Result.DENIED) == [6]
    start, end = began + timedelta(minutes=3), began + timedelta(minutes=5)
    assert await sequences(chain, start=start, end=end) == [5, 4]


async def test_pages_lead_from_one_to_the_next(chain: Chain, clock: ManualClock) -> None:
    await fill(chain, clock)
    seen, cursor = [], None
    while True:
        page = await chain.service.reading.page(ADMIN, ALL, cursor=cursor, limit=4)
        seen += [record.sequence for record in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [*range(10, 0, -1)]
    for bad in ("x", "-1", "9" * 30, "١"):
        with pytest.raises(Invalid):
            await chain.service.reading.page(ADMIN, ALL, cursor=bad, limit=4)


async def test_another_team_reads_its_own_records_and_not_the_chain(chain: Chain, clock: ManualClock) -> None:
    await fill(chain, clock)
    other = person("other", PersonRole.AUDITOR)
    assert await sequences(chain, other) == [10, 8, 6, 4, 2]
    assert await sequences(chain, other, team_id="default") == [10, 8, 6, 4, 2]
    reading = chain.service.reading
    for forbidden in (
        reading.export(other),
        reading.verify(other),
        reading.keys(other),
        reading.checkpoints(other, cursor=None, limit=5),
    ):
        with pytest.raises(Forbidden):
            await forbidden


async def test_owners_admins_and_auditors_read_and_nobody_else() -> None:
    assert Permission(READ) is Permission.AUDIT_READ
    can = {role for role in (*PersonRole, *ServiceRole) if READ in permissions_of([role])}
    assert can == {PersonRole.OWNER, PersonRole.ADMIN, PersonRole.AUDITOR, ServiceRole.ADMIN, ServiceRole.AUDITOR}


async def test_a_member_reads_nothing(chain: Chain) -> None:
    with pytest.raises(Forbidden):
        await chain.service.reading.page(person("default", PersonRole.MEMBER), ALL, cursor=None, limit=5)


async def test_an_empty_chain_is_a_chain(chain: Chain) -> None:
    assert (await chain.service.reading.verify(ADMIN)).is_good
    report = await chain.verified()
    assert (report.is_good, report.records, report.last) == (True, 0, 0)


async def test_a_part_is_exported_and_what_is_not_there_is_not(chain: Chain, clock: ManualClock) -> None:
    await fill(chain, clock)
    lines = await chain.export(first=4, last=6)
    assert [b'"sequence":%d,' % number in b"".join(lines) for number in range(3, 8)] == [False, True, True, True, False]
    assert len(await chain.export(first=11)) == 3
    with pytest.raises(Invalid):
        await chain.export(first=12)


@pytest.mark.parametrize(
    ("change", "sequence", "words"),
    [
        ("UPDATE audit_records SET result = 'success' WHERE sequence = 6", 6, "Record 6 was changed"),
        ("UPDATE audit_records SET user_id = 'nobody' WHERE sequence = 1", 1, "Record 1 was changed"),
        ("UPDATE audit_records SET at = at + 1 WHERE sequence = 10", 10, "Record 10 was changed"),
        ("UPDATE audit_records SET at = 9000000000000000000 WHERE sequence = 5", 1, "or one of the"),
        ("UPDATE audit_records SET facts = '[1]' WHERE sequence = 5", 5, "was changed"),
        ("DELETE FROM audit_records WHERE sequence = 4", 4, "Record 4 is missing"),
        ("DELETE FROM audit_records WHERE sequence = 10", 10, "Record 10 is missing"),
        ("UPDATE audit_records SET sequence = 11 WHERE sequence = 3", 3, "Record 3 is missing"),
        ("UPDATE audit_head SET sequence = 9", 9, "head was changed"),
        ("UPDATE audit_head SET hash = 'x'", 10, "head was changed"),
        ("UPDATE audit_head SET chain = 'another'", 1, "Record 1 was changed"),
        ("UPDATE audit_checkpoints SET hash = 'x' WHERE sequence = 10", 10, "checkpoint"),
        ("UPDATE audit_checkpoints SET at = at + 1 WHERE sequence = 10", 10, "its signature is not good"),
        ("DELETE FROM audit_checkpoints", 10, "The checkpoint of record 10 is missing"),
    ],
)
async def test_a_change_in_the_database_is_found(
    chain: Chain, clock: ManualClock, database: Database, change: str, sequence: int, words: str
) -> None:
    await fill(chain, clock)
    await chain.service.seal()
    assert (await chain.service.reading.verify(ADMIN)).is_good
    async with database.transaction() as tx:
        await tx.exec_driver_sql(change)
    report = await chain.service.reading.verify(ADMIN)
    assert (report.sequence, words in str(report.why)) == (sequence, True), report.why


async def test_a_chain_that_grows_while_it_is_verified_is_good(chain: Chain) -> None:
    for _ in range(3):
        await chain.service.record(chain.entry())
    for _ in range(10):
        chain.service.submit(chain.entry())
        assert (await chain.service.reading.verify(ADMIN)).is_good
