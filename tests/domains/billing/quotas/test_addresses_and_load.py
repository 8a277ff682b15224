"""Addresses that are shut out, and callers that are refused under load."""

import asyncio
import time

import pytest

from samovar.adapters.memory import MemoryBus
from samovar.domains.billing.errors import (
    AddressBlocked,
    Overloaded,
    QuotaNotFound,
    RateLimited,
)
from samovar.domains.billing.service.quotas import (
    AddressBounds,
    LoadBounds,
)
from samovar.ports.limits import Limit
from tests.domains.billing.quotas.conftest import ADMIN, Make, key, until


async def test_an_address_that_is_refused_too_often_is_shut_out_everywhere_until_an_admin_lets_it_in(
    make: Make, bus: MemoryBus
) -> None:
    bounds = AddressBounds(tries=Limit(5, 600), block_s=60)
    one, two = make(addresses=bounds), make(addresses=bounds)
    await bus.start()
    for _ in range(5):
        await one.addresses.refused("192.0.2.1")
    assert one.addresses.refusal("192.0.2.1") is None
    await one.addresses.refused("192.0.2.1")
    blocked = one.addresses.refusal("192.0.2.1")
    assert isinstance(blocked, AddressBlocked)
    assert 55 <= int(blocked.headers["Retry-After"]) <= 60
    assert one.addresses.refusal("192.0.2.2") is None
    await until(lambda: two.addresses.refusal("192.0.2.1") is not None)
    assert [found.address for found in await two.addresses.blocked(ADMIN)] == ["192.0.2.1"]
    await two.addresses.unblock(ADMIN, "192.0.2.1")
    await until(lambda: one.addresses.refusal("192.0.2.1") is None)
    with pytest.raises(QuotaNotFound):
        await two.addresses.unblock(ADMIN, "192.0.2.1")


async def test_an_address_without_a_credential_has_a_limit_of_its_own(make: Make) -> None:
    quotas = make(addresses=AddressBounds(anonymous=Limit(3, 600)))
    for _ in range(3):
        await quotas.addresses.admit_anonymous("192.0.2.1")
    with pytest.raises(RateLimited, match="without a credential"):
        await quotas.addresses.admit_anonymous("192.0.2.1")
    await quotas.addresses.admit_anonymous("192.0.2.2")


async def test_under_load_the_heaviest_caller_is_refused_first_and_all_come_in_again_afterwards(make: Make) -> None:
    quotas = make(bounds=LoadBounds(in_flight=20, lag_s=0))
    heavy = [await quotas.admit(key("heavy")) for _ in range(18)]
    light = [await quotas.admit(key("light")) for _ in range(2)]
    with pytest.raises(Overloaded) as caught:
        await quotas.admit(key("heavy"))
    assert caught.value.status == 503
    assert caught.value.headers["Retry-After"] == "1"
    light.append(await quotas.admit(key("light")))
    light.append(await quotas.admit(key("new")))
    assert quotas.figures().shed == 1
    for grant in heavy:
        grant.release()
    (await quotas.admit(key("heavy"))).release()
    for grant in light:
        grant.release()


async def test_a_loop_that_is_late_sheds_and_recovers_by_itself(make: Make) -> None:
    quotas = make(bounds=LoadBounds(in_flight=0, lag_s=0.2))
    async with quotas.running():
        held = [await quotas.admit(key()) for _ in range(3)]
        await asyncio.sleep(0.15)
        time.sleep(0.5)  # noqa: ASYNC251  # the very thing that is felt
        await until(lambda: quotas.figures().lag_s > 0.2)
        with pytest.raises(Overloaded):
            await quotas.admit(key())
        await until(lambda: quotas.figures().lag_s < 0.2)
        held.append(await quotas.admit(key()))
        for grant in held:
            grant.release()
