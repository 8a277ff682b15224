"""Frames survive however a stream is cut, and nothing that was cut short passes for whole."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.ports.element_frames import BadFrame, CutOff, Kind, Piece, frame, pieces, whole

CONTENTS = st.lists(st.binary(max_size=50), max_size=6)
CUTS = st.lists(st.integers(1, 20), min_size=1, max_size=10)


async def cut(stream: bytes, sizes: list[int]) -> AsyncIterator[bytes]:
    at, number = 0, 0
    while at < len(stream):
        size = sizes[number % len(sizes)]
        yield stream[at : at + size]
        at, number = at + size, number + 1


async def read(stream: bytes, sizes: list[int]) -> list[Piece]:
    return [piece async for piece in whole(pieces(cut(stream, sizes)))]


@given(contents=CONTENTS, sizes=CUTS, last=st.sampled_from([Kind.END, Kind.BROKEN]))
async def test_frames_come_out_as_they_went_in_wherever_the_stream_is_cut(
    contents: list[bytes], sizes: list[int], last: Kind
) -> None:
    stream = b"".join(frame(Kind.ALIVE) + frame(Kind.DATA, content) for content in contents) + frame(last, b"why")
    found = await read(stream + b"behind the end", sizes)
    assert [one.data for one in found] == [*contents, b"why"]
    assert found[-1].kind is last


@given(contents=CONTENTS, sizes=CUTS, data=st.data())
async def test_a_stream_without_its_last_frame_is_never_whole(
    contents: list[bytes], sizes: list[int], data: st.DataObject
) -> None:
    stream = b"".join(frame(Kind.DATA, content) for content in contents) + frame(Kind.END)
    short = stream[: data.draw(st.integers(0, len(stream) - 1))]
    with pytest.raises(CutOff):
        await read(short, sizes)


@pytest.mark.parametrize("stream", [b"?\0\0\0\0", b"D\xff\xff\xff\xff", b"E\x7f\0\0\0", b"HTTP/1.1 200"])
async def test_what_is_no_frame_or_too_large_a_one_is_refused(stream: bytes) -> None:
    with pytest.raises(BadFrame):
        await read(stream, [3])


async def test_a_thing_that_is_read_whole_is_bounded() -> None:
    with pytest.raises(BadFrame, match="where one thing was expected"):
        await read(frame(Kind.DATA, b"x" * (4 * 1024 * 1024 + 1)) + frame(Kind.END), [65536])
