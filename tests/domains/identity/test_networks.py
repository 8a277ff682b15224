"""Whom an address stands for when wrong credentials are counted."""

from collections.abc import Callable
from typing import Any

import pytest

from samovar.adapters.memory import MemoryLimiter
from samovar.domains.identity.errors import TooManyWrongCredentials, UnknownKey
from samovar.domains.identity.service.tries import network_of
from samovar.ports.limits import Limit
from tests.support.clock import ManualClock


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("a:host", "a:host"),
    ],
)
def test_of_ipv6_a_subscribers_network_is_meant(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_all_addresses_of_one_network_share_their_tries(make: Callable[..., Any], clock: ManualClock) -> None:
    service = make(limiter=MemoryLimiter(clock=clock), wrong_limit=Limit(amount=2, window_s=60))
    for number in range(2):
        with pytest.raises(UnknownKey):
            await service.authenticate("sk-samovar-" + f"{number}" * 43, address=f"2001:db8::{number}")
    for host in ("2001:db8::77", "2001:db8:0:0:ffff::"):
        with pytest.raises(TooManyWrongCredentials):
            await service.authenticate("sk-samovar-" + "z" * 43, address=host)
    with pytest.raises(UnknownKey):
        await service.authenticate("sk-samovar-" + "z" * 43, address="2001:db8:0:1::1")
