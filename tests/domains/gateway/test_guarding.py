"""Guard rails at the beginning of a call: what is long is ruled beside the event loop."""

import asyncio
import json
from collections.abc import Awaitable

import pytest

from samovar.adapters.system import SystemClock
from samovar.domains.gateway.errors import GuardBlocked
from samovar.domains.gateway.model import Call
from samovar.domains.gateway.service.guarding import LONG_BYTES, Guards, ruled_answer
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.guard import Guard, GuardAction, GuardRule, GuardSide
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.dialect import Head
from samovar.ports.llm import ChatResponse, Stop, StopKind, Text, Usage
from samovar.providers.openai import OpenAIChat
from tests.domains.gateway.screens import redacting

MAIL = "a@b.co "
MANY = 20_000


def trail(text: str, action: GuardAction = GuardAction.REDACT) -> Trail:
    """A call with one rule over mail addresses."""
    rule = GuardRule(name="mail", pattern=r"[a-z]+@[a-z]+\.co", on=GuardSide.INPUT, action=action, replacement="[mail]")
    principal = Principal(
        id="key_1",
        kind=PrincipalKind.KEY,
        team_id="default",
        name="k",
        permissions=frozenset(),
        guard=Guard(rules=(rule,)),
    )
    body = json.dumps({"model": "gpt", "messages": [{"role": "user", "content": text}]}).encode()
    call = Call(
        id="call_1",
        request_id="r",
        principal=principal,
        surface=OpenAIChat(),
        head=Head(model="gpt", stream=False),
        body=body,
        started=0.0,
        started_at=SystemClock().now(),
    )
    return Trail(call, SystemClock())


async def turns_during(ruling: Awaitable[object]) -> int:
    """How many turns others get while something is ruled."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    await asyncio.sleep(0)
    turns = 0
    try:
        await ruling
        return turns
    finally:
        beside.cancel()


async def test_a_long_text_is_ruled_while_others_are_served() -> None:
    long, short = trail(MAIL * MANY), trail(MAIL)
    guards = Guards()
    assert len(long.call.body) > LONG_BYTES > len(short.call.body)
    assert await turns_during(guards.run(guards.admit, long)) > 0
    assert await turns_during(guards.run(guards.admit, short)) == 0
    for one, count in ((long, MANY), (short, 1)):
        assert one.request().messages[0].parts == (Text(text="[mail] " * count),)
        assert one.guard_actions == {(GuardAction.REDACT, GuardSide.INPUT): count}


async def test_a_long_text_is_blocked_as_a_short_one_is() -> None:
    long = trail("words " * MANY + MAIL, GuardAction.BLOCK)
    guards = Guards()
    with pytest.raises(GuardBlocked):
        await guards.run(guards.admit, long)
    assert long.guard_actions == {(GuardAction.BLOCK, GuardSide.INPUT): 1}


async def test_a_call_that_is_left_ends_once_nothing_writes_to_it_any_more() -> None:
    long = trail(MAIL * MANY)
    guards = Guards()
    ruling = asyncio.create_task(guards.run(guards.admit, long))
    await asyncio.sleep(0)
    ruling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ruling
    assert long.guard_actions == {(GuardAction.REDACT, GuardSide.INPUT): MANY}


async def test_several_long_calls_are_ruled_side_by_side() -> None:
    guards = Guards()
    trails = [trail(MAIL * MANY) for _ in range(8)]
    await asyncio.gather(*(guards.run(guards.admit, one) for one in trails))
    assert [one.guard_actions for one in trails] == [{(GuardAction.REDACT, GuardSide.INPUT): MANY}] * 8


async def test_a_long_answer_is_ruled_while_others_are_served() -> None:
    screen = redacting("[a-z]+@[a-z]+[.]co", replacement="[mail]")
    long, short = (
        ChatResponse(id="1", model="m", parts=(Text(text=MAIL * count),), stop=Stop(kind=StopKind.END), usage=Usage())
        for count in (MANY, 1)
    )
    assert await turns_during(ruled_answer(long, screen, size_bytes=len(MAIL) * MANY)) > 0
    assert await turns_during(ruled_answer(short, screen, size_bytes=len(MAIL))) == 0
    ruled = await ruled_answer(long, screen, size_bytes=len(MAIL) * MANY)
    assert ruled.parts == (Text(text="[mail] " * MANY),)
