"""Rows that an admin edits."""

import pytest

from samovar.adapters.memory import MemoryBus
from samovar.domains.billing.errors import BadQuota, QuotaExists, QuotaNotFound
from samovar.domains.billing.model.quotas import EVERY, Subject
from samovar.domains.billing.service.quotas import QuotaDefaults
from samovar.domains.identity.model import DEFAULT_TEAM_ID
from samovar.kernel.errors import Forbidden, StaleRevision
from samovar.kernel.principal import Principal, PrincipalKind
from tests.domains.billing.quotas.conftest import ADMIN, Make, key, passed, refusal, until


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


@pytest.mark.parametrize(
    ("subject", "owner"), [(Subject.PROJECT, {"project_id": "it"}), (Subject.PERSON, {"user_id": "it"})]
)
async def test_the_keys_of_a_project_or_a_person_share_its_quota(
    make: Make, subject: Subject, owner: dict[str, str]
) -> None:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=subject, subject_id="it", limits="5/hour")
    counts = [await passed(quotas, key(f"key_{n}", **owner), 3) for n in range(3)]
    assert counts == [3, 2, 0]
    other = dict.fromkeys(owner, "other")
    assert await passed(quotas, key("key_4", **other), 9) == 9
    assert await passed(quotas, key("key_5", **owner, team_id="other"), 9) == 9
    refused = await refusal(quotas, key("key_6", **owner))
    assert f"the limit of the {subject.value}" in refused.detail


async def test_every_project_has_what_its_star_says_by_itself(make: Make) -> None:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=Subject.PROJECT, subject_id=EVERY, limits="2/hour")
    counts = [await passed(quotas, key(f"key_{name}{n}", project_id=name), 2) for name in "ab" for n in range(2)]
    assert counts == [2, 0, 2, 0]
    assert await passed(quotas, key("key_of_none"), 5) == 5


async def test_a_key_that_goes_to_another_project_comes_under_its_quota(make: Make) -> None:
    quotas = make()
    await quotas.rows.add(ADMIN, subject=Subject.PROJECT, subject_id="tight", limits="1/hour")
    assert await passed(quotas, key(project_id="wide"), 4) == 4
    assert await passed(quotas, key(project_id="tight"), 4) == 1
    assert await passed(quotas, key(), 4) == 4


async def test_what_people_may_ask_who_sign_in_does_not_limit_their_keys(make: Make) -> None:
    quotas = make(defaults=QuotaDefaults(person="2/hour"))
    assert await passed(quotas, key(user_id="ann"), 5) == 5


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
