"""Ends of calls are told of together, each once and in their order, whatever becomes of another."""

import asyncio

from samovar.adapters.system import SystemClock
from samovar.domains.gateway.model import Call, CallFinished, CallStatus
from samovar.domains.gateway.service.endings import Endings
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.clock import Clock
from samovar.ports.dialect import Head
from samovar.providers.openai import OpenAIChat
from tests.support.clock import ManualClock

PRINCIPAL = Principal(id="key_1", kind=PrincipalKind.KEY, team_id="default", name="k", permissions=frozenset())


def ended(call_id: str, *, is_lesson: bool = True, clock: Clock | None = None) -> Trail:
    clock = clock or SystemClock()
    call = Call(
        id=call_id,
        request_id="r",
        principal=PRINCIPAL,
        surface=OpenAIChat(),
        head=Head(model="gpt", stream=False),
        body=b"{}",
        started=clock.monotonic(),
        started_at=clock.now(),
    )
    return Trail(call, clock).ended(CallStatus.OK, 200, None, is_lesson=is_lesson)


async def test_calls_are_told_of_after_the_turn_in_which_they_ended_each_once() -> None:
    told: list[str] = []
    learnt: list[str] = []
    endings = Endings(answered=lambda trail: learnt.append(trail.call.id), tell=lambda event: told.append(event.id))
    endings.add(ended("1"))
    endings.add(ended("2", is_lesson=False))
    endings.add(ended("3"))
    assert told == []
    await asyncio.sleep(0)
    assert (told, learnt) == (["1", "2", "3"], ["1", "3"])
    endings.add(ended("4"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == ["1", "2", "3", "4"]


async def test_how_long_a_call_took_does_not_depend_on_when_it_is_told_of() -> None:
    told: list[CallFinished] = []
    endings = Endings(answered=lambda trail: None, tell=told.append)
    clock = ManualClock()
    endings.add(ended("1", clock=clock))
    clock.advance(5)
    await asyncio.sleep(0)
    assert told[0].duration_ms == 0


async def test_a_defect_over_one_call_does_not_take_the_others_along() -> None:
    told: list[str] = []
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["exception"]))

    def tell(event: CallFinished) -> None:
        if event.id == "2":
            raise ValueError("a defect")
        told.append(event.id)

    endings = Endings(answered=lambda trail: None, tell=tell)
    for call_id in ("1", "2", "3"):
        endings.add(ended(call_id))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told == ["1", "3"]
    assert [type(error) for error in seen] == [ValueError]
