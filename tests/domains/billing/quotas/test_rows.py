"""Rows that an admin edits."""

import pytest

from samovar.adapters.memory import MemoryBus
from samovar.domains.billing.errors import BadQuota, QuotaExists, QuotaNotFound, StaleRevision
from samovar.domains.billing.model.quotas import EVERY, Subject
from samovar.domains.identity.model import DEFAULT_TEAM_ID
from samovar.kernel.errors import Forbidden
from samovar.kernel.principal import Principal, PrincipalKind
from tests.domains.billing.quotas.conftest import ADMIN, Make, key, passed, until


async def test_a_row_holds_at_once_and_for_its_own_team_alone(make: Make) -> None:
    quotas = make()
    await quotas.load()
    made = await quotas.rows.add(ADMIN, subject=Subject.KEY, subject_id=EVERY, limits="2/hour")
    assert await passed(quotas, key(), 5) == 2
    assert await passed(quotas, key("key_2"), 5) == 2
    assert await passed(quotas, key("key_3", team_id="other"), 5) == 5
    await quotas.rows.change(ADMIN, made.id, limits="off", tokens="", concurrency=None)
    assert await passed(quotas, key(), 5) == 5


async def test_another_process_hears_of_a_row(make: Make, bus: MemoryBus) -> None:
    one, two = make(), make()
    await bus.start()
    assert await passed(two, key(), 5) == 5
    await one.rows.add(ADMIN, subject=Subject.KEY, subject_id="key_1", limits="2/hour")
    await until(lambda: two.figures().refused > 0, do=lambda: passed(two, key(), 5))


async def test_a_team_is_limited_as_a_whole(make: Make) -> None:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=Subject.TEAM, subject_id=DEFAULT_TEAM_ID, limits="5/hour")
    counts = [await passed(quotas, key(f"key_{n}"), 3) for n in range(3)]
    assert counts == [3, 2, 0]


async def test_a_project_is_refused_while_no_call_carries_one(make: Make) -> None:
    with pytest.raises(BadQuota, match="carry no project yet"):
        await make().rows.add(ADMIN, subject=Subject.PROJECT, subject_id="p1", limits="1/hour")


async def test_rows_are_kept_apart_by_team_and_permission(make: Make) -> None:
    quotas = make()
    made = await quotas.rows.add(ADMIN, subject=Subject.KEY, subject_id="key_1", limits="2/hour")
    other = Principal(id="p", kind=PrincipalKind.PERSON, team_id="other", name="p", permissions=ADMIN.permissions)
    with pytest.raises(QuotaNotFound):
        await quotas.rows.get(other, made.id)
    with pytest.raises(QuotaNotFound):
        await quotas.rows.remove(other, made.id)
    assert (await quotas.rows.page(other, limit=10, cursor=None)).items == ()
    with pytest.raises(Forbidden):
        await quotas.rows.page(key(), limit=10, cursor=None)
    with pytest.raises(Forbidden):
        await quotas.rows.add(key(), subject=Subject.KEY, subject_id="key_1", limits="9/hour")
    with pytest.raises(Forbidden):
        await quotas.addresses.blocked(key())


async def test_a_subject_has_one_row_and_a_stale_revision_is_refused(make: Make) -> None:
    rows = make().rows
    made = await rows.add(ADMIN, subject=Subject.KEY, subject_id="key_1", limits="2/hour")
    with pytest.raises(QuotaExists):
        await rows.add(ADMIN, subject=Subject.KEY, subject_id="key_1", tokens="2/hour")
    changed = await rows.change(ADMIN, made.id, limits="3/hour", tokens="", concurrency=None, expected=1)
    assert (changed.limits, changed.revision) == ("3/hour", 2)
    with pytest.raises(StaleRevision):
        await rows.change(ADMIN, made.id, limits="4/hour", tokens="", concurrency=None, expected=1)
    await rows.remove(ADMIN, made.id)
    with pytest.raises(QuotaNotFound):
        await rows.get(ADMIN, made.id)


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"limits": "many"}, "limits"),
        ({"tokens": "5/fortnight"}, "tokens"),
        ({"concurrency": -1}, "concurrency"),
        ({"limits": " "}, "limits"),
        ({"limits": "1/s", "subject": Subject.TEAM, "subject_id": "other"}, "subject_id"),
        ({"limits": "1/s", "subject_id": ""}, "subject_id"),
    ],
)
async def test_a_row_that_breaks_a_rule_is_refused_in_words(make: Make, said: dict[str, object], where: str) -> None:
    order = {"subject": Subject.KEY, "subject_id": "key_1", **said}
    with pytest.raises(BadQuota) as caught:
        await make().rows.add(ADMIN, **order)  # type: ignore[arg-type]
    assert [flaw.where for flaw in caught.value.flaws] == [where]
