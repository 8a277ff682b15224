"""Who is not let in: unknown, revoked and replaced keys, guesses at the admin token, and floods of them."""

import asyncio
from secrets import token_urlsafe

import pytest

from samovar.adapters.memory import MemoryLimiter
from samovar.domains.identity.errors import RevokedKey, SignInFailed, TooManyWrongCredentials, UnknownKey
from samovar.domains.identity.model import administrator
from samovar.domains.identity.service import IdentityService, SignInBounds
from samovar.kernel.errors import Unavailable
from samovar.ports.limits import Limit
from tests.domains.identity.conftest import AwayLimiter, Make, Watched
from tests.support.clock import ManualClock

ADMIN = administrator()
ADDRESS = "192.0.2.7"


def a_wrong_key() -> str:
    return "sk-samovar-" + token_urlsafe(32)


@pytest.mark.parametrize(
    "secret", ["", "x", "sk-samovar-", "sk-samovar-" + "é" * 43, "\ud800", "the-admin-tokem", "x" * 9999]
)
async def test_a_text_that_is_no_key_is_refused_without_asking_the_database(
    make: Make, service: IdentityService, watched: Watched, secret: str
) -> None:
    one = make(database=watched)
    with pytest.raises(UnknownKey) as refusal:
        await one.authenticate(secret)
    assert watched.asked == 0
    assert len(secret) < 12 or secret not in refusal.value.detail
    assert refusal.value.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_unknown_key_is_refused_and_not_repeated(service: IdentityService) -> None:
    secret = a_wrong_key()
    with pytest.raises(UnknownKey) as refusal:
        await service.authenticate(secret)
    assert secret[11:] not in str(refusal.value) + repr(refusal.value) + repr(service)


async def test_a_refusal_is_remembered_for_a_few_seconds(
    make: Make, service: IdentityService, watched: Watched, clock: ManualClock
) -> None:
    one, secret = make(database=watched), a_wrong_key()
    for _ in range(20):
        with pytest.raises(UnknownKey):
            await one.authenticate(secret)
    assert watched.asked == 1
    clock.advance(5)
    with pytest.raises(UnknownKey):
        await one.authenticate(secret)
    assert watched.asked == 2


async def test_a_flood_of_one_wrong_key_asks_the_database_a_few_times(
    make: Make, service: IdentityService, watched: Watched
) -> None:
    one, secret = make(database=watched), a_wrong_key()
    found = await asyncio.gather(*(one.authenticate(secret) for _ in range(300)), return_exceptions=True)
    assert all(isinstance(one, UnknownKey) for one in found)
    assert watched.asked <= 4


async def test_too_many_lookups_at_once_are_refused_and_not_queued_for_ever(
    make: Make, service: IdentityService
) -> None:
    one = make(bounds=SignInBounds(lookups_waiting=20))
    found = await asyncio.gather(*(one.authenticate(a_wrong_key()) for _ in range(30)), return_exceptions=True)
    kinds = [type(one) for one in found]
    assert kinds.count(Unavailable) == 10
    assert kinds.count(UnknownKey) == 20


async def test_the_grace_of_a_replaced_key_ends_with_its_own_words(
    service: IdentityService, clock: ManualClock
) -> None:
    old = await service.create_key(ADMIN, name="laptop")
    await service.rotate_key(ADMIN, old.key.id, grace_s=10)
    clock.advance(10)
    with pytest.raises(RevokedKey, match="its grace ended"):
        await service.authenticate(old.secret)


# --- the admin token ------------------------------------------------------------------------------------------------


async def test_the_admin_token_signs_in_as_the_administrator(service: IdentityService) -> None:
    assert await service.authenticate("the-admin-token") == ADMIN
    assert await service.authenticate_admin("the-admin-token") == ADMIN


async def test_a_gateway_key_is_no_admin_token(service: IdentityService) -> None:
    issued = await service.create_key(ADMIN, name="strong")
    with pytest.raises(UnknownKey):
        await service.authenticate_admin(issued.secret)


async def test_before_the_first_start_there_is_no_administrator(make: Make) -> None:
    for secret in ("", "the-admin-token"):
        with pytest.raises(UnknownKey):
            await make().authenticate_admin(secret)


# --- the limit on wrong credentials ---------------------------------------------------------------------------------


async def test_an_address_with_too_many_wrong_credentials_must_wait(
    make: Make, service: IdentityService, watched: Watched, clock: ManualClock
) -> None:
    issued = await service.create_key(ADMIN, name="laptop")
    known = await service.create_key(ADMIN, name="known")
    one = make(database=watched, limiter=MemoryLimiter(clock=clock), wrong_limit=Limit(amount=3, window_s=60))
    await one.authenticate(known.secret, address=ADDRESS)
    for _ in range(3):
        with pytest.raises(UnknownKey):
            await one.authenticate(a_wrong_key(), address=ADDRESS)
    with pytest.raises(TooManyWrongCredentials) as refusal:
        await one.authenticate(a_wrong_key(), address=ADDRESS)
    assert 1 <= int(refusal.value.headers["Retry-After"]) <= 60
    asked = watched.asked
    with pytest.raises(TooManyWrongCredentials):
        await one.authenticate_admin("a guess", address=ADDRESS)
    with pytest.raises(TooManyWrongCredentials):
        await one.authenticate(issued.secret, address=ADDRESS)
    assert watched.asked == asked
    assert (await one.authenticate(known.secret, address=ADDRESS)).id == known.key.id
    assert (await one.authenticate(issued.secret, address="192.0.2.8")).id == issued.key.id
    clock.advance(int(refusal.value.headers["Retry-After"]))
    with pytest.raises(UnknownKey):
        await one.authenticate(a_wrong_key(), address=ADDRESS)


async def test_a_revoked_key_in_a_loop_is_no_guess(make: Make, service: IdentityService, clock: ManualClock) -> None:
    issued = await service.create_key(ADMIN, name="old")
    await service.revoke_key(ADMIN, issued.key.id)
    one = make(limiter=MemoryLimiter(clock=clock), wrong_limit=Limit(amount=1, window_s=60))
    for _ in range(5):
        with pytest.raises(RevokedKey):
            await one.authenticate(issued.secret, address=ADDRESS)


async def test_with_the_limiter_away_wrong_credentials_are_refused_all_the_same(make: Make) -> None:
    one = make(limiter=AwayLimiter())
    for _ in range(30):
        with pytest.raises(SignInFailed):
            await one.authenticate("a guess", address=ADDRESS)
