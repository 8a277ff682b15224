"""Elements that fill up, or change, while a burst of uploads comes: who refuses before it took anything loses no upload."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.disk.syscalls import Syscalls
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.service import FileService, IngestRules
from samovar.ports.elements import Attributes, Draft, ElementFull, ElementUnavailable, Mode, ModeRefused, StorageElement
from tests.domains.files.conftest import ANN, Start, element, pieces, read_whole
from tests.support.clock import ManualClock

MB = 1024 * 1024


class Narrow(Syscalls):
    """A disk of 1000 MB with so many free; what is written goes off them."""

    def __init__(self, folder: Path, free_bytes: int) -> None:
        super().__init__()
        self._folder = folder
        self._free_bytes = free_bytes

    def space(self, path: str) -> tuple[int, int]:
        there = [one for one in self._folder.rglob("*") if one.is_file() and ".element" not in one.parts]
        return 1000 * MB, self._free_bytes - sum(one.stat().st_size for one in there)


class Late(DiskElement):
    """An element like one elsewhere: its refusal is heard when some of the content was sent, and the next piece is awaited."""

    refusal: Exception | None = None
    sees = 1
    all_of_it = False

    async def write(self, draft: Draft, content: AsyncIterator[bytes]) -> Attributes:
        if self.refusal is None:
            return await super().write(draft, content)
        for _ in range(self.sees):
            await anext(content)
        if self.all_of_it:
            assert await anext(content, None) is None
        with suppress(TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(0.01):
                await anext(content)
        raise self.refusal


async def slow(rest: Callable[[], Awaitable[object]], *some: bytes) -> AsyncIterator[bytes]:
    """Pieces, with a rest behind the first."""
    for place, piece in enumerate(some):
        if place == 1:
            await rest()
        yield piece


def two(folder: Path, clock: ManualClock) -> list[Element]:
    return [
        element(folder, Mode.EDIT, clock, id=name, url=(folder / name).as_uri(), priority=place)
        for place, name in enumerate("ab")
    ]


def opening(clock: ManualClock, make: Callable[[Path, Element], dict[str, Any]], kind: type = DiskElement) -> Any:
    def opened(one: Element) -> StorageElement:
        folder = Path(one.url.removeprefix("file://"))
        made: StorageElement = kind(folder, element_id=one.id, mode=one.mode, clock=clock, **make(folder, one))
        return made

    return opened


async def test_a_burst_on_an_element_that_is_nearly_full_goes_on_to_the_one_that_has_room(
    start: Start, tmp_path: Path, clock: ManualClock
) -> None:
    # On each there is room for two of the four, and before any of their bytes is there each finds it.
    opened = opening(clock, lambda folder, one: {"syscalls": Narrow(folder, 110 * MB if one.id == "b" else 60 * MB)})
    files: FileService = await start(configured=two(tmp_path, clock), open_element=opened)
    all_began, contents = asyncio.Barrier(4), [bytes([number]) * (25 * MB) for number in range(4)]
    made = await asyncio.gather(
        *[
            files.ingest.upload(
                ANN,
                Intent(filename="a.bin", expected_bytes=len(content)),
                slow(all_began.wait, content[:MB], content[MB:]),
            )
            for content in contents
        ]
    )
    assert sorted(one.storage_element_id for one in made) == ["a", "a", "b", "b"]
    for one, content in zip(made, contents, strict=True):
        assert await read_whole(files, ANN, one.file_id) == content


@pytest.fixture
def late(start: Start, tmp_path: Path, clock: ManualClock) -> Callable[..., Any]:
    """Files on two elements, of which the first refuses when it has seen so many pieces."""

    async def started(refusal: Exception, **more: Any) -> FileService:
        rules = IngestRules(max_bytes=more.pop("max_bytes", 0))
        opened = opening(clock, lambda folder, one: {}, Late)
        files: FileService = await start(configured=two(tmp_path, clock), open_element=opened, rules=rules)
        first: Any = files.registry.serving("a")
        first.refusal = refusal
        for name, value in more.items():
            setattr(first, name, value)
        return files

    return started


@pytest.mark.parametrize("refusal", [ElementFull("full"), ModeRefused("ro"), ElementUnavailable("away")])
async def test_what_an_element_was_sent_before_its_refusal_was_heard_is_given_to_the_next_one(
    late: Callable[..., Any], refusal: Exception
) -> None:
    files = await late(refusal, max_bytes=12, sees=1)
    rest = asyncio.sleep
    content = [b"one ", b"two ", b"six."]
    made = await files.ingest.upload(ANN, Intent(filename="a.txt"), slow(lambda: rest(0.05), *content))
    assert made.storage_element_id == "b"
    assert await read_whole(files, ANN, made.file_id) == b"one two six."
    assert (await files.reads.usage(ANN, "person_ann"))[:2] == (1, 12)


async def test_a_refusal_in_the_middle_of_a_large_content_stands(late: Callable[..., Any]) -> None:
    files = await late(ElementFull("full"), sees=5)
    with pytest.raises(ElementFull):
        await files.ingest.upload(ANN, Intent(filename="a.bin"), pieces(*[b"x" * MB] * 6))


async def test_who_had_all_of_a_content_may_have_kept_it_unless_it_says_otherwise(late: Callable[..., Any]) -> None:
    files = await late(ElementUnavailable("gone"), sees=1, all_of_it=True)
    with pytest.raises(ElementUnavailable):
        await files.ingest.upload(ANN, Intent(filename="a.txt"), pieces(b"all"))
    for refusal in (ModeRefused("ro"), ElementFull("full")):
        files.registry.serving("a").refusal = refusal
        made = await files.ingest.upload(ANN, Intent(filename="a.txt"), pieces(b"all"))
        assert made.storage_element_id == "b"
        assert await read_whole(files, ANN, made.file_id) == b"all"


async def test_a_sender_whose_upload_is_refused_while_it_is_waited_for_is_let_go(late: Callable[..., Any]) -> None:
    files, ended = await late(ElementFull("full"), sees=1), asyncio.Event()
    files.registry.serving("b").refusal = ElementFull("full")

    async def silent() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ElementFull):
        await files.ingest.upload(ANN, Intent(filename="a.txt"), silent())
    assert ended.is_set()
