"""Service accounts: what they are, who may make them, how their secrets turn, and how soon their tokens hear of it."""

import asyncio
import time

import pytest
from sqlalchemy import text

from samovar.adapters.memory import MemoryBus, MemoryLimiter
from samovar.domains.identity.errors import (
    AccountNotFound,
    BadTokenRequest,
    BeyondOwnRights,
    ClientIdTaken,
    ExpiredToken,
    InvalidClient,
    RevokedToken,
    RotatedMeanwhile,
    TooManyWrongCredentials,
    UnknownKey,
)
from samovar.domains.identity.model import (
    EVERY_AUDIENCE,
    AccountState,
    IssuedAccount,
    Permission,
    Scope,
    ServiceRole,
    administrator,
    permissions_of,
)
from samovar.domains.identity.service import AccountChange, IdentityService, TokenRules
from samovar.kernel.errors import Forbidden, Invalid, StaleRevision
from samovar.kernel.guard import Guard
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from tests.domains.identity.conftest import AwayBus, Make, until
from tests.domains.identity.tokens import parts_of, seconds
from tests.support.clock import ManualClock

ADMIN = administrator()
DAY_S = 86_400


async def made(service: IdentityService, role: ServiceRole = ServiceRole.USER, **fields: str) -> IssuedAccount:
    return await service.accounts.create(ADMIN, name="nightly", role=role, **fields)


async def token(service: IdentityService, issued: IssuedAccount, *audience: str) -> str:
    client = await service.granting.client(issued.account.client_id, issued.secret, address=None)
    return (await service.granting.grant(client, audience=audience)).token


async def refused(service: IdentityService, issued: IssuedAccount, words: str) -> None:
    with pytest.raises(InvalidClient, match=words):
        await service.granting.client(issued.account.client_id, issued.secret, address=None)


async def test_a_token_has_the_document_s_claims_and_opens_what_the_role_may(
    service: IdentityService, clock: ManualClock
) -> None:
    issued = await made(service, client_id="nightly-export")
    text_ = await token(service, issued)
    _, claims = parts_of(text_)
    assert claims == {
        "sub": issued.account.id,
        "client_id": "nightly-export",
        "role": "USER",
        "permissions": sorted(permissions_of([ServiceRole.USER])),
        "iat": seconds(clock.now()),
        "exp": seconds(clock.now()) + 1800,
        "iss": "samovar",
        "aud": list(EVERY_AUDIENCE),
        "team": "default",
        "jti": claims["jti"],
        "secret_version": 1,
    }
    principal = await service.authenticate(text_)
    assert (principal.id, principal.kind, principal.name) == (issued.account.id, PrincipalKind.SERVICE, "nightly")
    assert principal.permissions == permissions_of([ServiceRole.USER])
    assert service.recall(text_) == principal


async def test_secrets_are_kept_as_argon2_and_shown_once(make: Make, database: Database) -> None:
    service = make(hashing=None)
    await service.ensure_installed("the-admin-token")
    issued = await made(service)
    again = await service.accounts.rotate_secret(ADMIN, issued.account.id)
    async with database.reading() as tx:
        stored = str((await tx.execute(text("SELECT * FROM service_accounts"))).all())
    for one in (issued, again):
        assert one.secret.startswith("sk-service-")
        assert one.secret not in stored
        assert one.secret not in repr(one)
    assert stored.count("$argon2id$v=19$m=65536,t=3,p=4$") == 2


async def test_a_wrong_secret_an_unknown_client_and_a_former_one_take_as_long(make: Make) -> None:
    service = make(hashing=None)
    await service.ensure_installed("the-admin-token")
    issued = await made(service, client_id="known")
    await service.accounts.rotate_secret(ADMIN, issued.account.id)

    async def took(client_id: str, secret: str) -> float:
        spans = []
        for _ in range(2):
            began = time.perf_counter()
            with pytest.raises(InvalidClient, match="no such client, or this is not its secret"):
                await service.granting.client(client_id, secret, address=None)
            spans.append(time.perf_counter() - began)
        return min(spans)

    wrong = issued.secret[:-1] + ("A" if issued.secret[-1] != "A" else "B")
    some = [await took("known", wrong), await took("unknown", wrong), await took("?", "?"), await took("known", "")]
    # One hash each, which takes 30 ms on the quickest machine; without one it would be a tenth of a millisecond.
    assert min(some) > max(some) / 4


async def test_who_may_not_make_keys_makes_no_accounts_and_nobody_makes_one_that_may_more(
    service: IdentityService,
) -> None:
    everything = permissions_of([Scope.ADMIN])
    key = Principal(id="key_1", kind=PrincipalKind.KEY, team_id="default", name="k", permissions=everything)
    issued = await made(service, ServiceRole.ADMIN)

    async def tries(maker: Principal, role: ServiceRole, error: type[Exception]) -> None:
        with pytest.raises(error):
            await service.accounts.create(maker, name="n", role=role)
        with pytest.raises(error):
            await service.accounts.rotate_secret(maker, issued.account.id)

    few = frozenset({Permission.KEYS_WRITE, Permission.KEYS_READ})
    await tries(_with(key, permissions=frozenset({Permission.KEYS_READ})), ServiceRole.READONLY, Forbidden)
    await tries(_with(key, permissions=few), ServiceRole.READONLY, BeyondOwnRights)
    await tries(_with(key, allowed_models=("sandbox/*",)), ServiceRole.USER, BeyondOwnRights)
    await tries(_with(key, guard=Guard(max_output_tokens=5)), ServiceRole.USER, BeyondOwnRights)
    without_money = everything - {Permission.WALLETS_WRITE}
    await tries(_with(key, permissions=without_money, wallet_id="w"), ServiceRole.USER, BeyondOwnRights)
    assert (await service.accounts.create(key, name="n", role=ServiceRole.ADMIN)).account.created_by == "key_1"
    small = await made(service, ServiceRole.READONLY)
    with pytest.raises(BeyondOwnRights):
        await service.accounts.change(
            _with(key, permissions=few), small.account.id, AccountChange(role=ServiceRole.USER)
        )


def _with(principal: Principal, **changes: object) -> Principal:
    from msgspec.structs import replace

    return replace(principal, **changes)


async def test_another_team_s_account_is_not_there(service: IdentityService, other_team: Principal) -> None:
    issued = await made(service, client_id="ours")
    accounts, id_ = service.accounts, issued.account.id
    for work in (
        accounts.get(other_team, id_),
        accounts.change(other_team, id_, AccountChange(disabled=True)),
        accounts.rotate_secret(other_team, id_),
        accounts.delete(other_team, id_),
    ):
        with pytest.raises(AccountNotFound):
            await work
    assert (await accounts.page(other_team)).items == ()
    with pytest.raises(ClientIdTaken):
        await accounts.create(other_team, name="theirs", role=ServiceRole.USER, client_id="ours")
    theirs = await accounts.create(other_team, name="theirs", role=ServiceRole.USER)
    assert (await service.authenticate(await token(service, theirs))).team_id == "team_other"


async def test_accounts_are_listed_page_by_page_and_bad_words_refused(service: IdentityService) -> None:
    ids = [(await made(service)).account.id for _ in range(3)]
    first = await service.accounts.page(ADMIN, limit=2)
    assert first.next_cursor is not None
    rest = await service.accounts.page(ADMIN, limit=2, cursor=first.next_cursor)
    assert [one.id for one in (*first.items, *rest.items)] == sorted(ids, reverse=True)
    assert rest.next_cursor is None
    for fields in ({"client_id": "a:b"}, {"client_id": "xx"}, {"name": " "}, {"name": "a\x00"}, {"name": "n" * 101}):
        with pytest.raises(Invalid):
            await service.accounts.create(ADMIN, **{"name": "n", "role": ServiceRole.USER, **fields})  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        await service.accounts.rotate_secret(ADMIN, ids[0], grace_s=8 * DAY_S)
    with pytest.raises(StaleRevision):
        await service.accounts.change(ADMIN, ids[0], AccountChange(name="x"), expected=7)


async def test_the_old_secret_and_its_tokens_end_with_the_grace(service: IdentityService, clock: ManualClock) -> None:
    old = await made(service)
    with_old = await token(service, old)
    new = await service.accounts.rotate_secret(ADMIN, old.account.id, grace_s=900)
    with_new = await token(service, new)
    assert await token(service, old)
    clock.advance(899)
    assert await service.authenticate(with_old)
    assert (parts_of(await token(service, old))[1]["exp"]) == seconds(clock.now()) + 1
    clock.advance(1)
    assert service.recall(with_old) is None
    await refused(service, old, "its grace ended")
    with pytest.raises(RevokedToken, match="its grace ended"):
        await service.authenticate(with_old)
    assert await service.authenticate(with_new)


async def test_without_grace_and_after_a_second_rotation_the_old_one_is_over_at_once(service: IdentityService) -> None:
    first = await made(service)
    with_first = await token(service, first)
    second = await service.accounts.rotate_secret(ADMIN, first.account.id)
    assert await service.authenticate(with_first)
    with_second = await token(service, second)
    await service.accounts.rotate_secret(ADMIN, first.account.id, grace_s=0)
    for issued, got in ((first, with_first), (second, with_second)):
        with pytest.raises(RevokedToken):
            await service.authenticate(got)
        with pytest.raises(InvalidClient):
            await token(service, issued)


async def test_a_secret_is_over_after_ninety_days(service: IdentityService, clock: ManualClock) -> None:
    issued = await made(service)
    clock.advance(90 * DAY_S - 60)
    client = await service.granting.client(issued.account.client_id, issued.secret, address=None)
    assert (await service.granting.grant(client)).expires_in_s == 60
    clock.advance(60)
    assert service.accounts.state(issued.account) is AccountState.EXPIRED
    await refused(service, issued, "expired at 2027-02-19")
    assert await token(service, await service.accounts.rotate_secret(ADMIN, issued.account.id))


async def test_of_rotations_that_race_one_wins_and_its_secret_works(service: IdentityService) -> None:
    issued = await made(service)
    found = await asyncio.gather(
        *(service.accounts.rotate_secret(ADMIN, issued.account.id, grace_s=0) for _ in range(5)), return_exceptions=True
    )
    won = [one for one in found if isinstance(one, IssuedAccount)]
    lost = [one for one in found if isinstance(one, RotatedMeanwhile)]
    # Those that began after the first had ended are no race.
    assert won
    assert len(won) + len(lost) == 5
    last = max(won, key=lambda one: one.account.secret_version)
    assert last.account.secret_version == 1 + len(won)
    assert await token(service, last)
    await refused(service, issued, "not its secret|was replaced")


async def test_a_token_is_for_the_audience_that_was_asked_for(service: IdentityService, make: Make) -> None:
    issued = await made(service)
    query = make(tokens=TokenRules(audiences=("query",)))
    narrow = await token(service, issued, "gateway", "admin")
    assert parts_of(narrow)[1]["aud"] == ["gateway", "admin"]
    assert await service.authenticate(narrow)
    with pytest.raises(UnknownKey, match="is for gateway, admin, and this is query"):
        await query.authenticate(narrow)
    assert await query.authenticate(await token(service, issued))
    with pytest.raises(BadTokenRequest, match="no audience 'cellar'"):
        await token(service, issued, "cellar")


# --- how soon a token hears of its account --------------------------------------------------------------------------


async def test_a_smaller_role_is_felt_and_a_larger_one_gives_no_more_than_the_token_says(
    service: IdentityService,
) -> None:
    issued = await made(service, ServiceRole.USER)
    got = await token(service, issued)
    assert Permission.GATEWAY_CALL in (await service.authenticate(got)).permissions
    await service.accounts.change(ADMIN, issued.account.id, AccountChange(role=ServiceRole.READONLY))
    assert (await service.authenticate(got)).permissions == permissions_of([ServiceRole.READONLY]) & permissions_of(
        [ServiceRole.USER]
    )
    await service.accounts.change(ADMIN, issued.account.id, AccountChange(role=ServiceRole.ADMIN))
    assert (await service.authenticate(got)).permissions == permissions_of([ServiceRole.USER])


@pytest.mark.parametrize("what", ["disabled", "deleted", "rotated"])
async def test_what_ends_an_account_is_felt_where_it_was_done_and_elsewhere_by_the_news(
    make: Make, bus: MemoryBus, what: str
) -> None:
    here, there = make(), make()
    await here.ensure_installed("the-admin-token")
    await bus.start()
    issued = await made(here)
    several = [await token(here, issued) for _ in range(3)]
    for got in several:
        assert await there.authenticate(got)
        assert await here.authenticate(got)
    await _end(here, issued, what)
    for got in several:
        assert here.recall(got) is None
    await until(lambda: all(there.recall(got) is None for got in several))
    for service in (here, there):
        for got in several:
            with pytest.raises(RevokedToken):
                await service.authenticate(got)
    await bus.close()


async def test_without_the_news_a_token_stops_within_ten_seconds(make: Make, clock: ManualClock) -> None:
    here, there = make(bus=AwayBus()), make(bus=AwayBus())
    await here.ensure_installed("the-admin-token")
    issued = await made(here)
    got = await token(here, issued)
    async with there.running():
        assert await there.authenticate(got)
        await _end(here, issued, "disabled")
        assert there.recall(got)
        clock.advance(5)
        # Read again beside the path, as a key is.
        assert there.recall(got)
        await until(lambda: there.recall(got) is None)
    clock.advance(5)
    with pytest.raises(RevokedToken, match="was disabled at"):
        await there.authenticate(got)


async def test_a_token_in_use_is_read_again_and_goes_on(service: IdentityService, clock: ManualClock) -> None:
    got = await token(service, await made(service))
    async with service.running():
        assert await service.authenticate(got)
        for _ in range(5):
            clock.advance(6)
            assert service.recall(got)
            await asyncio.sleep(0.1)
    clock.advance(1800)
    assert service.recall(got) is None
    with pytest.raises(ExpiredToken):
        await service.authenticate(got)


async def test_an_account_that_is_enabled_again_goes_on(service: IdentityService) -> None:
    issued = await made(service)
    got = await token(service, issued)
    await service.accounts.change(ADMIN, issued.account.id, AccountChange(disabled=True))
    await refused(service, issued, "was disabled at")
    with pytest.raises(RevokedToken):
        await service.authenticate(got)
    await service.accounts.change(ADMIN, issued.account.id, AccountChange(disabled=False))
    assert await token(service, issued)


async def test_last_uses_are_written_of_sign_ins_and_of_tokens(service: IdentityService, clock: ManualClock) -> None:
    issued = await made(service)
    got = await token(service, issued)
    await service.write_uses()
    signed_in = (await service.accounts.get(ADMIN, issued.account.id)).last_used_at
    assert signed_in == clock.now()
    clock.advance(60)
    assert await service.authenticate(got)
    await service.write_uses()
    assert (await service.accounts.get(ADMIN, issued.account.id)).last_used_at == clock.now()


async def test_an_address_has_five_wrong_tries_a_minute_whatever_the_client(make: Make, clock: ManualClock) -> None:
    service = make(limiter=MemoryLimiter(clock=clock))
    await service.ensure_installed("the-admin-token")
    issued = await made(service)
    client_id, address = issued.account.client_id, "203.0.113.7"
    for number in range(5):
        with pytest.raises(InvalidClient):
            await service.granting.client(f"client-{number}", issued.secret, address=address)
    with pytest.raises(TooManyWrongCredentials) as error:
        await service.granting.client("client-6", "wrong", address=address)
    assert int(error.value.headers["Retry-After"]) == 13
    with pytest.raises(TooManyWrongCredentials):
        await service.granting.client(client_id, issued.secret, address=address)
    assert await service.granting.client(client_id, issued.secret, address="203.0.113.8")
    clock.advance(13)
    assert await service.granting.client(client_id, issued.secret, address=address)


async def _end(service: IdentityService, issued: IssuedAccount, what: str) -> None:
    id_ = issued.account.id
    if what == "disabled":
        await service.accounts.change(ADMIN, id_, AccountChange(disabled=True))
    elif what == "deleted":
        await service.accounts.delete(ADMIN, id_)
    else:
        await service.accounts.rotate_secret(ADMIN, id_, grace_s=0)
