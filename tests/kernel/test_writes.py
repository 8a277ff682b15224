"""Writes of one turn, sent in a row."""

import asyncio
from typing import cast

import pytest

from samovar.kernel.writes import AT_ONCE, Outgoing, Writes, writes_of


class Wire:
    """A transport that notes what comes, on a line that several may share."""

    def __init__(self, line: list[bytes]) -> None:
        self.line = line
        self.closing = False
        self.limits = (0, 0)

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.line.append(data)

    def write_eof(self) -> None:
        self.line.append(b"eof")

    def close(self) -> None:
        self.closing = True
        self.line.append(b"close")

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return len(self.line)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self.limits

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (low or 0, high or 0)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


def outgoing(wire: Wire, writes: Writes) -> Outgoing:
    return Outgoing(cast(asyncio.Transport, wire), writes)


async def test_what_is_written_alone_goes_out_at_once() -> None:
    line: list[bytes] = []
    writes = Writes()
    out = outgoing(Wire(line), writes)
    out.write(b"a")
    assert line == [b"a"]
    writes.expected += 1
    out.write(b"b")
    assert line == [b"a", b"b"]


async def test_what_is_expected_goes_out_with_the_last_of_it() -> None:
    line: list[bytes] = []
    writes = Writes()
    outs = [outgoing(Wire(line), writes) for _ in range(3)]
    writes.expected += 3
    outs[0].write(b"a")
    outs[1].write(b"b")
    assert line == []
    outs[2].write(b"c")
    assert line == [b"a", b"b", b"c"]


async def test_what_does_not_come_keeps_nothing_back_beyond_the_turn() -> None:
    line: list[bytes] = []
    writes = Writes()
    out = outgoing(Wire(line), writes)
    writes.expected += 3
    out.write(b"a")
    assert line == []
    await asyncio.sleep(0)
    assert line == [b"a"]
    out.write(b"b")
    assert line == [b"a", b"b"]


async def test_what_the_next_turn_expects_is_not_forgotten_with_what_did_not_come() -> None:
    line: list[bytes] = []
    writes = Writes()
    out = outgoing(Wire(line), writes)
    writes.expected += 3
    out.write(b"a")
    writes.expected += 2
    await asyncio.sleep(0)
    assert (line, writes.expected) == ([b"a"], 2)
    out.write(b"b")
    assert line == [b"a"]
    out.write(b"c")
    assert line == [b"a", b"b", b"c"]


async def test_only_so_many_are_kept_back() -> None:
    line: list[bytes] = []
    writes = Writes()
    out = outgoing(Wire(line), writes)
    writes.expected += 10 * AT_ONCE
    for number in range(2 * AT_ONCE + 1):
        out.write(b"%d" % number)
    assert line == [b"%d" % number for number in range(2 * AT_ONCE)]
    await asyncio.sleep(0)
    assert len(line) == 2 * AT_ONCE + 1


@pytest.mark.parametrize(("end", "mark"), [("close", b"close"), ("write_eof", b"eof")])
async def test_the_end_comes_after_what_was_kept_back(end: str, mark: bytes) -> None:
    line: list[bytes] = []
    writes = Writes()
    out = outgoing(Wire(line), writes)
    writes.expected += 5
    out.write(b"a")
    getattr(out, end)()
    assert line == [b"a", mark]


async def test_what_waits_to_be_sent_is_sent_before_it_is_told() -> None:
    writes = Writes()
    out = outgoing(Wire([]), writes)
    writes.expected += 5
    out.write(b"a")
    assert out.get_write_buffer_size() == 1


async def test_a_wire_that_broke_loses_only_its_own() -> None:
    line: list[bytes] = []
    writes = Writes()
    broken, whole = outgoing(Wire(line), writes), outgoing(Wire(line), writes)
    writes.expected += 5
    broken.write(b"a")
    whole.write(b"b")
    broken.abort()
    await asyncio.sleep(0)
    assert line == [b"b"]


async def test_a_loop_has_one() -> None:
    loop = asyncio.get_running_loop()
    assert writes_of(loop) is writes_of(loop)
    other = asyncio.new_event_loop()
    assert writes_of(other) is not writes_of(loop)
    other.close()
