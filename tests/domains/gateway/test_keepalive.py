"""A beat and a block are never written at once, and no beat is cut in two."""

import asyncio

import pytest

from samovar.domains.gateway.http.keepalive import KeepAlive
from samovar.ports.asgi import Message

BEAT = b": beat\n\n"


class Line:
    """A way to a caller that takes nothing until ``opened`` is set."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.writing = asyncio.Event()
        self.bodies: list[bytes] = []
        self.most_at_once = 0
        self._at_once = 0

    async def send(self, message: Message) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.writing.set()
        try:
            await self.opened.wait()
        finally:
            self._at_once -= 1
        if "body" in message:
            self.bodies.append(message["body"])


def beating(line: Line, every_s: float) -> KeepAlive:
    return KeepAlive(send=line.send, headers=(), beat=BEAT, after_s=0, every_s=every_s, request_id="r")


async def test_a_caller_who_leaves_does_not_cut_a_beat_in_two() -> None:
    line = Line()
    alive = beating(line, every_s=60)
    await line.writing.wait()
    stopping = asyncio.ensure_future(alive.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    line.opened.set()
    assert await alive.stop()
    assert line.bodies == [BEAT]


async def test_no_beat_begins_while_a_block_waits_for_the_one_before_it() -> None:
    line = Line()
    alive = beating(line, every_s=0.01)
    await line.writing.wait()
    sending = asyncio.ensure_future(alive.send(b"data: half"))
    await asyncio.sleep(0.1)
    line.opened.set()
    await sending
    await alive.stop()
    assert line.bodies[-1] == b"data: half"
    assert line.most_at_once == 1
