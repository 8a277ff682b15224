"""The database or Redis is gone while calls go on: warm wallets pay, cold ones are told to wait, and nothing is lost."""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import Samovar
from tests.e2e.money.conftest import Witness, end, first_number, started
from tests.e2e.money.paying import CREDIT, Customer, cost_of, customer, price, told_cost, until
from tests.support.callers import Heard
from tests.support.own_redis import OwnRedis
from tests.support.sockets import Relay

CALLERS = 6
PAUSE_S = 0.02
KEYS_LAST_S = 10
"""What a key that was read before may be believed without reading it again: else a revoked one would work for ever."""


class Load:
    """Callers that call on and on until told to stop; every third call is a stream."""

    def __init__(self, payer: Customer, model: str) -> None:
        self._payer = payer
        self._model = model
        self._stops = asyncio.Event()
        self.heard: list[Heard] = []

    async def run(self) -> None:
        """Call until stopped."""
        await asyncio.gather(*(self._caller(number) for number in range(CALLERS)))

    def stop(self) -> None:
        """Let the calls under way end."""
        self._stops.set()

    async def _caller(self, number: int) -> None:
        while not self._stops.is_set():
            self.heard.append(await self._payer.ask("chat", "on and on", model=self._model, stream=number % 3 == 0))
            await asyncio.sleep(PAUSE_S)


async def spooled(samovar: Samovar) -> float:
    """Bytes of charges that wait for the database."""
    _, text, _ = await asyncio.to_thread(samovar.request, "GET", "/metrics")
    return first_number(r"(?m)^samovar_spool_bytes (\S+)", text)


async def nothing_lost(payer: Customer, load: Load, *, credits: int, without_keys: bool = False) -> None:
    """Each call that was answered stands in the ledger at the cost that was told, and nothing else does. ``without_keys``
    is whether the outage was longer than a key may be believed unread (ten seconds): then calls were told to come again."""
    refused = [one for one in load.heard if one.status != 200]
    assert bool(refused) == without_keys, refused[:3]
    for one in refused:
        assert (one.status, one.json["error"]["code"]) == (503, "unavailable"), one
        assert one.headers["retry-after"], one
    paid = {one.headers["x-samovar-call-id"]: told_cost(one) for one in load.heard if one.status == 200}

    async def idle() -> bool:
        return (await payer.wallet()).held == 0

    assert await until(idle, within_s=30), await payer.wallet()
    assert {call: cost_of(row) for call, row in (await payer.charges()).items()} == paid
    figures = await payer.wallet()
    assert (figures.spent, figures.balance) == (sum(paid.values()), credits - sum(paid.values()))
    assert await payer.check() == []


async def without_postgres(witness: Witness, folder: Path, postgres_url: str, *, gone_s: float) -> None:
    """PostgreSQL goes away in mid-load and comes back."""
    place = urlsplit(postgres_url)
    relay = Relay(place.hostname or "", place.port or 5432)
    await relay.start()
    url = place._replace(netloc=f"{place.username}@127.0.0.1:{relay.port}").geturl()
    samovar = await started(
        folder / "host", {**witness.vendors(), "SAMOVAR_DATABASE_URL": url, "SAMOVAR_LEASE_CREDITS": "100"}
    )
    try:

        def prepared() -> tuple[str, Customer, Customer]:
            model = price(samovar, "openai/gpt-outage", input="1", output="1")
            return model, customer(samovar, credits="10000"), customer(samovar, credits="10000")

        model, warm, cold = await asyncio.to_thread(prepared)
        # The key is known, its wallet is not: no model was asked that anybody could pay for.
        assert (await cold.ask("chat", "hello", model="openai/gpt-none")).status == 402
        load = Load(warm, model)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            assert await until(lambda: len(load.heard) > 50)
            before = await spooled(samovar)
            await relay.cut()
            until_s = time.monotonic() + gone_s
            while time.monotonic() < until_s:
                refused = await cold.ask("chat", "hello", model=model)
                assert refused.status == 503, refused
                assert refused.headers["retry-after"]
                assert refused.json["error"]["message"]
                await asyncio.sleep(0.5)
            answered = len(load.heard)
            assert await spooled(samovar) > before
            await relay.start()
            assert await until(lambda: len(load.heard) > answered + 50)
            # The cold wallet pays as soon as its database is there.
            assert await until(lambda: paid(cold, model))
            load.stop()
        await nothing_lost(warm, load, credits=10_000 * CREDIT, without_keys=gone_s > KEYS_LAST_S)
    finally:
        await asyncio.to_thread(end, samovar)
        await relay.cut()


async def paid(payer: Customer, model: str) -> bool:
    """Whether a call of this customer goes through now."""
    return (await payer.ask("chat", "hello", model=model)).status == 200


async def without_redis(witness: Witness, folder: Path, redis: OwnRedis, *, gone_s: float) -> None:
    """Redis goes away in mid-load and comes back."""
    samovar = await started(folder / "host", {**witness.vendors(), "SAMOVAR_REDIS_URL": redis.url})
    try:
        model = price(samovar, "openai/gpt-outage", input="1", output="1")
        warm, cold = customer(samovar), customer(samovar)
        load = Load(warm, model)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            assert await until(lambda: len(load.heard) > 50)
            await asyncio.to_thread(redis.stop)
            # Money does not need it: a cold wallet pays too.
            assert await paid(cold, model)
            await asyncio.sleep(gone_s)
            answered = len(load.heard)
            await asyncio.to_thread(redis.start)
            assert await until(lambda: len(load.heard) > answered + 50)
            load.stop()
        await nothing_lost(warm, load, credits=100 * CREDIT)
    finally:
        await asyncio.to_thread(end, samovar)


async def test_calls_go_on_for_seconds_without_postgresql(witness: Witness, own_postgres: str, tmp_path: Path) -> None:
    await without_postgres(witness, tmp_path, own_postgres, gone_s=3)


async def test_calls_go_on_for_seconds_without_redis(witness: Witness, own_redis: OwnRedis, tmp_path: Path) -> None:
    await without_redis(witness, tmp_path, own_redis, gone_s=2)


@pytest.mark.soak
@pytest.mark.chaos
async def test_calls_go_on_for_half_a_minute_without_postgresql(
    witness: Witness, own_postgres: str, tmp_path: Path
) -> None:
    await without_postgres(witness, tmp_path, own_postgres, gone_s=30)


@pytest.mark.soak
@pytest.mark.chaos
async def test_calls_go_on_for_half_a_minute_without_redis(
    witness: Witness, own_redis: OwnRedis, tmp_path: Path
) -> None:
    await without_redis(witness, tmp_path, own_redis, gone_s=30)
