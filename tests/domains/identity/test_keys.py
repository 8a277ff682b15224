"""Making, showing, rotating and revoking keys, on both engines."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text

from samovar.domains.identity.errors import BeyondOwnRights, KeyNotActive, KeyNotFound
from samovar.domains.identity.model import IssuedKey, KeyState, Scope, administrator, digest_of
from samovar.domains.identity.service import MAX_GRACE_S, IdentityService
from samovar.kernel.errors import Forbidden, Invalid
from samovar.kernel.principal import Principal
from samovar.ports.database import Database
from tests.domains.identity.conftest import AwayBus, Make
from tests.support.clock import ManualClock

ADMIN = administrator()


async def a_key(service: IdentityService, name: str = "laptop", **fields: object) -> IssuedKey:
    return await service.create_key(ADMIN, name=name, **fields)  # type: ignore[arg-type]  # the fields a test names


async def test_a_key_is_shown_as_it_was_ordered(service: IdentityService, clock: ManualClock) -> None:
    end = clock.now() + timedelta(days=30)
    issued = await a_key(
        service, "  ноутбук ", scopes=[Scope.GATEWAY, Scope.USAGE], allowed_models=["openai/*"], expires_at=end
    )
    assert await service.get_key(ADMIN, issued.key.id) == issued.key
    assert issued.key.name == "ноутбук"
    assert issued.key.scopes == (Scope.GATEWAY, Scope.USAGE)
    assert issued.key.allowed_models == ("openai/*",)
    assert issued.key.expires_at == end
    assert issued.key.created_by == "admin"
    assert issued.secret.startswith(issued.key.hint[:-1])


async def test_only_the_hash_of_a_key_is_stored(service: IdentityService, database: Database) -> None:
    issued = await a_key(service)
    async with database.reading() as tx:
        rows = (await tx.execute(text("SELECT * FROM gateway_keys"))).all()
    assert issued.secret not in str(rows)
    assert digest_of(issued.secret).hex() in str(rows)


async def test_keys_are_listed_page_by_page_the_newest_first(service: IdentityService) -> None:
    made = [(await a_key(service, f"key {n}")).key.id for n in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await service.list_keys(ADMIN, limit=2, cursor=cursor)
        assert len(page.items) <= 2
        seen += [key.id for key in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen[:5] == made[::-1]
    assert len(seen) == 6  # and the first key of the installation


async def test_a_full_last_page_leads_nowhere(service: IdentityService) -> None:
    await a_key(service)
    page = await service.list_keys(ADMIN, limit=2)
    assert (len(page.items), page.next_cursor) == (2, None)


async def test_another_teams_key_is_not_there(service: IdentityService, other_team: Principal) -> None:
    mine = (await a_key(service)).key
    for attempt in (
        service.get_key(other_team, mine.id),
        service.revoke_key(other_team, mine.id),
        service.rotate_key(other_team, mine.id),
    ):
        with pytest.raises(KeyNotFound):
            await attempt
    assert (await service.list_keys(other_team)).items == ()
    assert (await service.get_key(ADMIN, mine.id)) == mine


async def test_a_key_of_another_team_calls_as_that_team(service: IdentityService, other_team: Principal) -> None:
    theirs = await service.create_key(other_team, name="theirs")
    assert (await service.authenticate(theirs.secret)).team_id == "team_other"
    with pytest.raises(KeyNotFound):
        await service.get_key(ADMIN, theirs.key.id)


@pytest.mark.parametrize("key_id", ["", "key_", "key_" + "0" * 26, "key_\x00" + "0" * 25, "' OR 1=1 --", "ключ"])
async def test_an_id_that_is_none_is_not_there(service: IdentityService, key_id: str) -> None:
    with pytest.raises(KeyNotFound):
        await service.get_key(ADMIN, key_id)


async def test_a_revoked_key_is_refused_at_once_and_revoking_it_again_changes_nothing(
    service: IdentityService, clock: ManualClock
) -> None:
    issued = await a_key(service)
    await service.authenticate(issued.secret)
    await service.revoke_key(ADMIN, issued.key.id)
    assert service.recall(issued.secret) is None
    revoked_at = clock.now()
    clock.advance(60)
    await service.revoke_key(ADMIN, issued.key.id)
    assert (await service.get_key(ADMIN, issued.key.id)).revoked_at == revoked_at


async def test_a_rotated_key_works_beside_the_new_one_until_its_grace_ends(
    service: IdentityService, clock: ManualClock
) -> None:
    old = await a_key(service, allowed_models=["openai/*"], expires_at=clock.now() + timedelta(days=90))
    new = await service.rotate_key(ADMIN, old.key.id, grace_s=3600)
    assert (new.key.name, new.key.scopes, new.key.allowed_models, new.key.expires_at) == (
        old.key.name,
        old.key.scopes,
        old.key.allowed_models,
        old.key.expires_at,
    )
    assert (await service.authenticate(old.secret)).id == old.key.id
    assert (await service.authenticate(new.secret)).id == new.key.id
    shown = await service.get_key(ADMIN, old.key.id)
    assert (shown.replaced_by, service.key_state(shown)) == (new.key.id, KeyState.REPLACED)
    clock.advance(3600)
    assert service.recall(old.secret) is None
    assert service.key_state(shown) is KeyState.REVOKED


async def test_a_rotation_may_give_the_new_key_an_end_of_its_own(service: IdentityService, clock: ManualClock) -> None:
    ends, later = clock.now() + timedelta(days=2), clock.now() + timedelta(days=90)
    old = await a_key(service, expires_at=ends)
    new = await service.rotate_key(ADMIN, old.key.id, expires_at=later)
    assert new.key.expires_at == later
    shown = await service.get_key(ADMIN, old.key.id)
    # Seven days of grace do not outlast the old key's own end.
    assert (shown.grace_until, shown.ends_at) == (clock.now() + timedelta(days=7), ends)
    with pytest.raises(Invalid, match="expires_at"):
        await service.rotate_key(ADMIN, new.key.id, expires_at=clock.now())


async def test_a_key_cannot_prolong_itself_by_rotation(service: IdentityService, clock: ManualClock) -> None:
    ends = clock.now() + timedelta(days=2)
    maker = await a_key(service, scopes=[Scope.KEYS], expires_at=ends)
    principal = await service.authenticate(maker.secret)
    with pytest.raises(BeyondOwnRights, match="no later than yours"):
        await service.rotate_key(principal, maker.key.id, expires_at=ends + timedelta(days=1))
    assert (await service.rotate_key(principal, maker.key.id)).key.expires_at == ends


async def test_without_grace_the_old_key_stops_at_once(service: IdentityService) -> None:
    old = await a_key(service)
    await service.authenticate(old.secret)
    await service.rotate_key(ADMIN, old.key.id, grace_s=0)
    assert service.recall(old.secret) is None


async def test_of_rotations_that_race_one_wins(make: Make, service: IdentityService) -> None:
    old = (await a_key(service)).key
    services = [make() for _ in range(4)]
    outcomes = await asyncio.gather(*(one.rotate_key(ADMIN, old.id) for one in services), return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, IssuedKey)]
    assert len(won) == 1
    assert sum(isinstance(outcome, KeyNotActive) for outcome in outcomes) == 3
    assert (await service.get_key(ADMIN, old.id)).replaced_by == won[0].key.id
    assert len((await service.list_keys(ADMIN)).items) == 3  # the losers left nothing: first key, old, new


async def test_a_rotation_and_a_revocation_that_race_leave_the_old_key_revoked(
    make: Make, service: IdentityService
) -> None:
    old = (await a_key(service)).key
    await asyncio.gather(make().rotate_key(ADMIN, old.id), make().revoke_key(ADMIN, old.id), return_exceptions=True)
    assert service.key_state(await service.get_key(ADMIN, old.id)) is KeyState.REVOKED


async def test_a_key_that_is_over_is_not_rotated(service: IdentityService, clock: ManualClock) -> None:
    revoked = (await a_key(service)).key
    await service.revoke_key(ADMIN, revoked.id)
    expired = (await a_key(service, expires_at=clock.now() + timedelta(seconds=1))).key
    replaced = (await a_key(service)).key
    await service.rotate_key(ADMIN, replaced.id)
    clock.advance(1)
    for key, state in ((revoked, "revoked"), (expired, "expired"), (replaced, "replaced")):
        with pytest.raises(KeyNotActive, match=state):
            await service.rotate_key(ADMIN, key.id)


async def test_a_key_that_may_make_keys_makes_none_beyond_itself(service: IdentityService) -> None:
    maker = await a_key(service, scopes=[Scope.KEYS, Scope.GATEWAY], allowed_models=["openai/*"])
    strong = (await a_key(service, scopes=[Scope.ADMIN])).key
    principal = await service.authenticate(maker.secret)
    made = await service.create_key(principal, name="narrow", allowed_models=["openai/gpt-5"])
    assert made.key.created_by == maker.key.id
    with pytest.raises(BeyondOwnRights):
        await service.create_key(principal, name="wide", scopes=[Scope.ADMIN], allowed_models=["openai/*"])
    with pytest.raises(BeyondOwnRights):
        await service.create_key(principal, name="all models")
    # Rotating shows a secret, so it is a way to take another key's rights.
    with pytest.raises(BeyondOwnRights):
        await service.rotate_key(principal, strong.id)


async def test_a_gateway_key_sees_and_changes_no_keys(service: IdentityService) -> None:
    issued = await a_key(service)
    caller = await service.authenticate(issued.secret)
    for attempt in (
        service.create_key(caller, name="x"),
        service.list_keys(caller),
        service.get_key(caller, issued.key.id),
        service.revoke_key(caller, issued.key.id),
        service.rotate_key(caller, issued.key.id),
    ):
        with pytest.raises(Forbidden, match="lacks the permission"):
            await attempt


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"name": "half\ud800"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"allowed_models": []}, "allowed_models"),
        ({"allowed_models": ["openai/*"] * 101}, "allowed_models"),
        ({"allowed_models": ["openai/*", "a*b"]}, "allowed_models[1]"),
        ({"allowed_models": ["x" * 201]}, "allowed_models[0]"),
        ({"expires_at": datetime(2027, 1, 1)}, "expires_at"),  # noqa: DTZ001 - the naive instant is the point
        ({"expires_at": datetime(2026, 11, 21, 12, tzinfo=UTC)}, "expires_at"),
        ({"expires_at": datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12)))}, "expires_at"),
        ({"expires_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))}, "expires_at"),
    ],
)
async def test_what_breaks_a_rule_is_refused_by_name(
    service: IdentityService, fields: dict[str, object], where: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        await a_key(service, **{"name": "laptop", **fields})  # type: ignore[arg-type]  # wrong on purpose
    assert [flaw.where for flaw in refusal.value.flaws] == [where]


async def test_limits_cursors_and_graces_have_bounds(service: IdentityService) -> None:
    key = (await a_key(service)).key
    for attempt in (
        service.list_keys(ADMIN, limit=0),
        service.list_keys(ADMIN, limit=101),
        service.list_keys(ADMIN, cursor="nonsense\x00"),
        service.rotate_key(ADMIN, key.id, grace_s=-1),
        service.rotate_key(ADMIN, key.id, grace_s=MAX_GRACE_S + 1),
        service.rotate_key(ADMIN, key.id, grace_s=float("nan")),
    ):
        with pytest.raises(Invalid):
            await attempt


async def test_an_instant_in_any_zone_is_kept_as_the_same_instant(service: IdentityService, clock: ManualClock) -> None:
    end = (clock.now() + timedelta(days=1)).astimezone(timezone(timedelta(hours=3)))
    issued = await a_key(service, expires_at=end)
    stored = (await service.get_key(ADMIN, issued.key.id)).expires_at
    assert stored == end
    assert stored is not None
    assert stored.tzinfo is UTC


async def test_a_key_is_revoked_also_while_the_bus_is_away(make: Make, service: IdentityService) -> None:
    lonely = make(bus=AwayBus())
    issued = await a_key(service)
    await lonely.authenticate(issued.secret)
    await lonely.revoke_key(ADMIN, issued.key.id)
    assert lonely.recall(issued.secret) is None
    assert service.key_state(await service.get_key(ADMIN, issued.key.id)) is KeyState.REVOKED


class TwoWallets:
    """Of the administrator's team; no key owns one."""

    async def exists(self, team_id: str, wallet_id: str) -> bool:
        return (team_id, wallet_id) in {(ADMIN.team_id, "wal_1"), (ADMIN.team_id, "wal_2")}

    async def of_key(self, team_id: str, key_id: str) -> str | None:
        return None


async def test_a_keys_wallet_is_one_that_its_team_has_and_goes_along_when_it_is_rotated(make: Make) -> None:
    service = make(wallets=TwoWallets())
    await service.ensure_installed("the-admin-token")
    issued = await a_key(service, wallet_id="wal_1", scopes=[Scope.KEYS])
    assert (await service.authenticate(issued.secret)).wallet_id == "wal_1"
    assert (await service.rotate_key(ADMIN, issued.key.id)).key.wallet_id == "wal_1"
    with pytest.raises(Invalid):
        await a_key(service, wallet_id="wal_none")


async def test_a_key_makes_keys_for_its_own_wallet_alone(make: Make) -> None:
    service = make(wallets=TwoWallets())
    await service.ensure_installed("the-admin-token")
    issued = await a_key(service, wallet_id="wal_1", scopes=[Scope.KEYS])
    maker = await service.authenticate(issued.secret)
    made = await service.create_key(maker, name="child", scopes=[Scope.KEYS])
    assert made.key.wallet_id == "wal_1"
    with pytest.raises(BeyondOwnRights):
        await service.create_key(maker, name="thief", scopes=[Scope.KEYS], wallet_id="wal_2")


async def test_a_key_renews_keys_of_its_own_wallet_alone(make: Make) -> None:
    service = make(wallets=TwoWallets())
    await service.ensure_installed("the-admin-token")
    issued = await a_key(service, wallet_id="wal_1", scopes=[Scope.KEYS])
    others = [await a_key(service, wallet_id=wallet_id, scopes=[Scope.KEYS]) for wallet_id in ("wal_2", None)]
    maker = await service.authenticate(issued.secret)
    for other in others:
        with pytest.raises(BeyondOwnRights, match="wal_1"):
            await service.rotate_key(maker, other.key.id)
        assert service.key_state(await service.get_key(ADMIN, other.key.id)) is KeyState.ACTIVE
    assert (await service.rotate_key(maker, issued.key.id)).key.wallet_id == "wal_1"
