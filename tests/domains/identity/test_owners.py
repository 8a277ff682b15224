"""The project and the person that a key names, on both engines."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.identity.errors import BeyondOwnRights
from samovar.domains.identity.model import OWNER_PATTERN, IssuedKey, Scope, administrator, is_owner_id
from samovar.domains.identity.service import IdentityService, KeyChange
from samovar.kernel.errors import Invalid

ADMIN = administrator()


async def a_key(service: IdentityService, **fields: Any) -> IssuedKey:
    return await service.create_key(ADMIN, name="laptop", **fields)


async def test_a_key_is_for_its_project_and_person_and_so_is_the_one_that_replaces_it(
    service: IdentityService,
) -> None:
    issued = await a_key(service, project_id="site", user_id="ann@example.org")
    rotated = await service.rotate_key(ADMIN, issued.key.id)
    for one in (issued, rotated):
        caller = await service.authenticate(one.secret)
        assert (caller.project_id, caller.user_id, caller.person_id) == ("site", "ann@example.org", "ann@example.org")
    assert await service.get_key(ADMIN, rotated.key.id) == rotated.key


async def test_a_key_goes_to_another_project_at_once_and_keeps_what_is_not_named(service: IdentityService) -> None:
    issued = await a_key(service, project_id="site", user_id="ann")
    assert (await service.authenticate(issued.secret)).project_id == "site"
    await service.change_key(ADMIN, issued.key.id, KeyChange(project_id="garden"))
    caller = await service.authenticate(issued.secret)
    assert (caller.project_id, caller.user_id) == ("garden", "ann")
    await service.change_key(ADMIN, issued.key.id, KeyChange(project_id=None, user_id=None))
    caller = await service.authenticate(issued.secret)
    assert (caller.project_id, caller.user_id, caller.person_id) == (None, None, None)


@pytest.mark.parametrize("named", ["", "*", "~ann", "(other)", "a b", "a/b", "anñ", "a\n", "a" * 129, "-a"])
async def test_what_cannot_be_told_from_a_mark_of_ours_names_nobody(service: IdentityService, named: str) -> None:
    for field in ("project_id", "user_id"):
        with pytest.raises(Invalid, match=field):
            await a_key(service, **{field: named})
    made = await a_key(service)
    with pytest.raises(Invalid, match="user_id"):
        await service.change_key(ADMIN, made.key.id, KeyChange(user_id=named))


@given(st.from_regex(OWNER_PATTERN, fullmatch=True).map(lambda text: text.rstrip("\n")))
def test_what_the_pattern_allows_names_somebody(named: str) -> None:
    assert is_owner_id(named)
    assert 1 <= len(named) <= 128


async def test_a_key_that_is_somebodys_makes_and_renews_keys_of_theirs_alone(service: IdentityService) -> None:
    issued = await a_key(service, scopes=[Scope.KEYS], project_id="site", user_id="ann")
    maker = await service.authenticate(issued.secret)
    child = await service.create_key(maker, name="child", scopes=[Scope.KEYS])
    assert (child.key.project_id, child.key.user_id) == ("site", "ann")
    theirs = await a_key(service, scopes=[Scope.KEYS], project_id="site", user_id="bob")
    for attempt in (
        service.create_key(maker, name="thief", scopes=[Scope.KEYS], project_id="garden"),
        service.create_key(maker, name="thief", scopes=[Scope.KEYS], user_id="bob"),
        service.change_key(maker, child.key.id, KeyChange(project_id=None)),
        service.rotate_key(maker, theirs.key.id),
    ):
        with pytest.raises(BeyondOwnRights):
            await attempt


async def test_who_may_change_wallets_makes_keys_for_anybody(service: IdentityService) -> None:
    issued = await a_key(service, scopes=[Scope.ADMIN], project_id="site")
    maker = await service.authenticate(issued.secret)
    made = await service.create_key(maker, name="other", project_id="garden", user_id="bob")
    assert (made.key.project_id, made.key.user_id) == ("garden", "bob")
