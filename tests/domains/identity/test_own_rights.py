"""Who may do what to whom: nobody makes, changes or ends a key or an account that can do more than they can."""

from collections.abc import Awaitable, Callable, Iterator
from itertools import product
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.identity.errors import BeyondOwnRights
from samovar.domains.identity.model import (
    IssuedAccount,
    IssuedKey,
    Permission,
    Scope,
    ServiceRole,
    administrator,
    check_may_empower,
    permissions_of,
)
from samovar.domains.identity.model.permissions import PersonRole
from samovar.domains.identity.service import AccountChange, IdentityService, KeyChange
from samovar.kernel.errors import Forbidden
from samovar.kernel.principal import Principal, PrincipalKind

ADMIN: Final = administrator()
SCOPES: Final = (
    (Scope.KEYS,),
    (Scope.GATEWAY, Scope.KEYS),
    (Scope.GATEWAY, Scope.KEYS, Scope.USAGE),
    (Scope.KEYS, Scope.PROMPTS, Scope.FILES),
    (Scope.GATEWAY,),
    (Scope.ADMIN,),
)
KEY_SCOPES: Final = (*((one,) for one in Scope), (Scope.GATEWAY, Scope.KEYS))


def actors() -> Iterator[Principal]:
    """A key of each of these scopes, a service of each role, a person of each, and two that stand in no table."""
    for scopes in SCOPES:
        yield actor(PrincipalKind.KEY, "+".join(scopes), permissions_of(scopes))
    for service_role in ServiceRole:
        yield actor(PrincipalKind.SERVICE, service_role.value, permissions_of([service_role]))
    for person_role in PersonRole:
        yield actor(PrincipalKind.PERSON, person_role.value, permissions_of([person_role]))
    keys = permissions_of([Scope.KEYS])
    yield actor(PrincipalKind.SERVICE, "USER and keys", permissions_of([ServiceRole.USER]) | keys)
    yield actor(PrincipalKind.SERVICE, "all but one", frozenset(Permission) - {Permission.ELEMENTS_ADMIN})


def actor(kind: PrincipalKind, name: str, permissions: frozenset[str]) -> Principal:
    return Principal(id=f"{kind.value}_1", kind=kind, team_id="default", name=name, permissions=permissions)


EVERY_ACTOR: Final = tuple(actors())
# The rule is the same on both engines, and there are hundreds of cases.
on_one_engine = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def holds(one: Principal, *granted: ServiceRole | Scope) -> bool:
    """The rule, said once more: who manages keys at all, and has all that the other has."""
    return Permission.KEYS_WRITE in one.permissions and permissions_of(granted) <= one.permissions


async def is_let(what: Awaitable[object]) -> bool:
    try:
        await what
    except Forbidden:
        return False
    return True


Act = Callable[[IdentityService, Principal, str], Awaitable[object]]


def changing(change: AccountChange) -> Act:
    return lambda service, who, id_: service.accounts.change(who, id_, change)


ON_ACCOUNTS: Final[dict[str, Act]] = {
    "rename": changing(AccountChange(name="other")),
    "disable": changing(AccountChange(disabled=True)),
    "enable": changing(AccountChange(disabled=False)),
    "rotate": lambda service, who, id_: service.accounts.rotate_secret(who, id_),
    "delete": lambda service, who, id_: service.accounts.delete(who, id_),
}
ON_KEYS: Final[dict[str, Act]] = {
    "rename": lambda service, who, id_: service.change_key(who, id_, KeyChange(name="other"), expected=None),
    "rotate": lambda service, who, id_: service.rotate_key(who, id_),
    "revoke": lambda service, who, id_: service.revoke_key(who, id_),
}


async def account(service: IdentityService, role: ServiceRole) -> IssuedAccount:
    return await service.accounts.create(ADMIN, name="target", role=role)


async def key(service: IdentityService, *scopes: Scope) -> IssuedKey:
    return await service.create_key(ADMIN, name="target", scopes=scopes)


@on_one_engine
@pytest.mark.parametrize("who", EVERY_ACTOR, ids=lambda one: f"{one.kind.value} {one.name}")
async def test_an_account_is_changed_only_by_who_has_all_that_it_has(service: IdentityService, who: Principal) -> None:
    for role in ServiceRole:
        made = service.accounts.create(who, name="new", role=role)
        assert await is_let(made) is holds(who, role), f"create {role}"
        for name, act in ON_ACCOUNTS.items():
            target = (await account(service, role)).account
            assert await is_let(act(service, who, target.id)) is holds(who, role), f"{name} {role}"
            if not holds(who, role):
                assert await service.accounts.get(ADMIN, target.id) == target, f"{name} {role} left a trace"
    for role, other in product(ServiceRole, ServiceRole):
        target = (await account(service, role)).account
        moved = service.accounts.change(who, target.id, AccountChange(role=other))
        assert await is_let(moved) is holds(who, role, other), f"from {role} to {other}"


@on_one_engine
@pytest.mark.parametrize("who", EVERY_ACTOR, ids=lambda one: f"{one.kind.value} {one.name}")
async def test_a_key_is_changed_only_by_who_has_all_that_it_has(service: IdentityService, who: Principal) -> None:
    for scopes in KEY_SCOPES:
        made = service.create_key(who, name="new", scopes=scopes)
        assert await is_let(made) is holds(who, *scopes), f"create {scopes}"
        for name, act in ON_KEYS.items():
            target = (await key(service, *scopes)).key
            assert await is_let(act(service, who, target.id)) is holds(who, *scopes), f"{name} {scopes}"
            if not holds(who, *scopes):
                assert await service.get_key(ADMIN, target.id) == target, f"{name} {scopes} left a trace"


async def test_a_key_that_is_somebody_s_neither_takes_over_nor_revokes_another_s(service: IdentityService) -> None:
    mine = (Scope.GATEWAY, Scope.KEYS)
    who = Principal(
        id="key_ann",
        kind=PrincipalKind.KEY,
        team_id="default",
        name="ann",
        permissions=permissions_of(mine),
        user_id="ann",
    )
    theirs = (await service.create_key(ADMIN, name="bob's", scopes=mine, user_id="bob")).key
    hers = (await service.create_key(ADMIN, name="ann's", scopes=mine, user_id="ann")).key
    for act in ON_KEYS.values():
        with pytest.raises(BeyondOwnRights, match="for user_id ann"):
            await act(service, who, theirs.id)
    with pytest.raises(BeyondOwnRights, match="for user_id ann"):
        await service.change_key(who, theirs.id, KeyChange(user_id="ann"), expected=None)
    assert await service.get_key(ADMIN, theirs.id) == theirs
    await service.revoke_key(who, hers.id)


@given(permissions=st.frozensets(st.sampled_from(Permission)), role=st.sampled_from(ServiceRole))
def test_whatever_one_may_empowering_takes_all_of_it(permissions: frozenset[Permission], role: ServiceRole) -> None:
    who = actor(PrincipalKind.SERVICE, "any", frozenset(permissions))
    try:
        check_may_empower(who, role)
    except BeyondOwnRights:
        assert not permissions_of([role]) <= permissions
    else:
        assert permissions_of([role]) <= permissions
