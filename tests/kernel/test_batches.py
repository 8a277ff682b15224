"""What many ask for one by one, done together."""

import asyncio
from collections.abc import Sequence

import pytest

from samovar.kernel.batches import Batches


async def test_those_who_come_while_one_batch_runs_go_into_the_next_together() -> None:
    seen: list[list[int]] = []
    behind: list[int] = []

    async def square(some: Sequence[int]) -> list[int]:
        seen.append([*some])
        await asyncio.sleep(0.001)
        return [one * one for one in some]

    async def then(some: Sequence[int]) -> None:
        behind.extend(some)

    batches = Batches(square, name="squares", then=then, at_most=4)
    assert await asyncio.gather(*[batches.add(n) for n in range(10)]) == [n * n for n in range(10)]
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    await batches.close()
    assert behind == [*range(10)]


async def test_a_batch_that_fails_tells_each_of_it_and_the_next_one_is_done() -> None:
    async def refuse(some: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        if 3 in some:
            raise LookupError(some)
        return [*some]

    batches = Batches(refuse, name="some", at_most=2)
    found = await asyncio.gather(*[batches.add(n) for n in range(6)], return_exceptions=True)
    assert [type(one) for one in found] == [int, int, LookupError, LookupError, int, int]
    with pytest.raises(LookupError):
        await batches.add(3)


async def test_one_who_goes_away_keeps_nobody_from_an_answer() -> None:
    gate = asyncio.Event()

    async def wait(some: Sequence[int]) -> list[int]:
        await gate.wait()
        return [*some]

    batches = Batches(wait, name="some")
    first, second = (asyncio.create_task(batches.add(n)) for n in range(2))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == 1
    assert first.cancelled()
