"""What many ask for one by one, done together."""

import asyncio
import contextvars
from collections.abc import Sequence

import pytest

from samovar.kernel.batches import Batches

NOTED = contextvars.ContextVar("noted", default="nobody's")


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


async def test_a_worker_that_is_stopped_leaves_nobody_waiting_and_the_next_one_is_done() -> None:
    gate = asyncio.Event()

    async def wait(some: Sequence[int]) -> list[int]:
        await gate.wait()
        return [*some]

    batches = Batches(wait, name="stopped", at_most=2)
    waiting = [asyncio.create_task(batches.add(n)) for n in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (worker,) = [task for task in asyncio.all_tasks() if task.get_name() == "stopped"]
    worker.cancel()
    async with asyncio.timeout(1):
        await asyncio.wait(waiting)
    assert all(task.cancelled() for task in waiting)
    gate.set()
    async with asyncio.timeout(1):
        assert await batches.add(7) == 7


async def test_what_fails_behind_a_batch_or_answers_for_too_few_keeps_nobody_waiting() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))

    async def some_of_them(some: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        return [*some][: 1 if 3 in some else 9]

    async def fail(some: Sequence[int]) -> None:
        if 0 in some:
            raise LookupError(some)

    batches = Batches(some_of_them, name="some", then=fail, at_most=2)
    async with asyncio.timeout(1):
        found = await asyncio.gather(*[batches.add(n) for n in range(6)], return_exceptions=True)
    assert [type(one) for one in found] == [int, int, ValueError, ValueError, int, int]
    await batches.close()
    assert [type(one) for one in complaints] == [LookupError]


async def test_what_is_noted_of_one_who_asked_stays_with_them() -> None:
    async def said(some: Sequence[str]) -> list[str]:
        await asyncio.sleep(0)
        return [NOTED.get() for _ in some]

    batches = Batches(said, name="said")
    NOTED.set("mine")
    assert await batches.add("a") == "nobody's"


async def test_each_who_waits_has_a_failure_of_their_own() -> None:
    class Refused(Exception):
        def __init__(self, why: str, *, headers: dict[str, str]) -> None:
            super().__init__(why)
            self.headers = headers

    async def refuse(some: Sequence[int]) -> list[int]:
        raise Refused("no", headers={"Retry-After": "1"})

    batches = Batches(refuse, name="refused")
    found = await asyncio.gather(*[batches.add(n) for n in range(3)], return_exceptions=True)
    assert [str(one) for one in found] == ["no"] * 3
    assert len({id(one) for one in found}) == 3
    assert all(isinstance(one, Refused) and one.headers == {"Retry-After": "1"} for one in found)
    found[0].headers["X-Mine"] = "1"  # type: ignore[union-attr]
    assert found[1].headers == {"Retry-After": "1"}  # type: ignore[union-attr]
