"""One suite over every storage element: files come, are read, described, amended and deleted."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from samovar.kernel.errors import Invalid, StaleRevision
from samovar.ports.element_rules import PathRefused
from samovar.ports.elements import (
    AttributesTooLarge,
    ContentDiffers,
    FileNotThere,
    StorageElement,
)
from tests.contract.elements.drafts import content_of, draft, pieces, walked
from tests.contract.elements.homes import LARGE, Home, broken, visible


@pytest.mark.parametrize("content", [b"", b"tea", LARGE], ids=["empty", "small", "large"])
async def test_what_was_written_is_read_described_and_met_on_a_walk(element: StorageElement, content: bytes) -> None:
    wanted = draft("one")
    made = await element.write(wanted, pieces(content[:5], b"", content[5:]))
    assert made.checksum == hashlib.sha256(content).hexdigest()
    assert (made.size_bytes, made.revision, made.storage_element_id) == (len(content), 1, "se-1")
    assert await element.attributes(wanted.path) == made
    assert await content_of(element, wanted.path) == content
    assert await element.verify(wanted.path) is None
    [found] = await walked(element)
    assert (found.path, found.attributes, found.content_bytes, found.fault) == (wanted.path, made, len(content), None)
    assert [one async for one in element.unacknowledged()] == [made]


async def test_a_range_is_read_and_what_lies_behind_the_end_is_nothing(element: StorageElement) -> None:
    path = (await element.write(draft("one"), pieces(LARGE))).path
    for start, end in ((0, 1), (5, 1_500_000), (len(LARGE) - 3, None), (len(LARGE) - 3, len(LARGE) + 99), (7, 7)):
        assert await content_of(element, path, start=start, end=end) == LARGE[start:end]
    assert await content_of(element, path, start=len(LARGE) + 5) == b""
    assert await content_of(element, path, start=len(LARGE), end=len(LARGE) + 5) == b""


async def test_the_same_draft_again_answers_with_what_stands(element: StorageElement) -> None:
    made = await element.write(draft("one"), pieces(b"tea"))
    assert await element.write(draft("one"), pieces(b"tea")) == made
    assert await element.write(draft("one"), pieces(LARGE)) == made
    assert await content_of(element, made.path) == b"tea"
    with pytest.raises(PathRefused, match="Another file"):
        await element.write(draft("two", path=made.path), pieces(b"coffee"))


async def test_two_who_write_the_same_at_once_make_one_file(element: StorageElement) -> None:
    made = await asyncio.gather(*(element.write(draft("one"), pieces(LARGE)) for _ in range(3)))
    assert made[0] == made[1] == made[2]
    assert len(await walked(element)) == 1


@pytest.mark.parametrize("content", [b"tea", LARGE], ids=["small", "large"])
async def test_what_is_not_what_was_announced_leaves_nothing(
    element: StorageElement, home: Home, content: bytes
) -> None:
    wrong = [{"expected_checksum": "0" * 64}, {"expected_bytes": 1}, {"expected_bytes": len(content) + 1}]
    for announced in wrong:
        with pytest.raises(ContentDiffers, match="announced"):
            await element.write(draft("one", **announced), pieces(content))
    assert await visible(home) == set()
    assert [one async for one in element.unacknowledged()] == []
    right = {"expected_checksum": hashlib.sha256(content).hexdigest(), "expected_bytes": len(content)}
    await element.write(draft("one", **right), pieces(content))


async def test_a_sender_that_breaks_off_leaves_nothing(element: StorageElement, home: Home) -> None:
    for contents in ((), (b"tea",), (LARGE, b"more")):
        with pytest.raises(RuntimeError, match="broke off"):
            await element.write(draft("one"), broken(*contents))
        assert await visible(home) == set()
    assert await walked(element) == []


async def test_a_writer_that_is_cancelled_leaves_nothing(element: StorageElement, home: Home) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield LARGE
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.ensure_future(element.write(draft("one"), endless()))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await visible(home) == set()


BAD_PATHS = [
    *("", "/etc/passwd", "../one", "a/../one", "a/./one", "a//one", "a/", ".element/state.json", "a/.hidden"),
    *("a\0b", "a\nb", "a\\b", "\ud800", "ы" * 123, "x" * 1001, "/".join("a" * 17), "one.attr.json", "a.attr.json/b"),
]


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_a_path_that_plays_tricks_is_refused_everywhere(element: StorageElement, home: Home, path: str) -> None:
    before = await home.names()
    with pytest.raises(PathRefused):
        await element.write(draft("one", path=path), pieces(b"x"))
    with pytest.raises(PathRefused):
        await element.begin(draft("one", path=path))
    for use in (element.attributes, element.delete, element.verify):
        with pytest.raises(PathRefused):
            await use(path)
    with pytest.raises(PathRefused):
        await element.quarantine(path, reason="none")
    with pytest.raises(PathRefused):
        await content_of(element, path)
    assert await home.names() == before


@pytest.mark.parametrize("file_id", ["", "../x", "a/b", ".x", "x" * 81, "a.b", "ы"])
async def test_an_id_that_plays_tricks_is_refused(element: StorageElement, file_id: str) -> None:
    for use in (element.offset, element.finish, element.abandon):
        with pytest.raises(PathRefused):
            await use(file_id)
    with pytest.raises(PathRefused):
        await element.begin(draft("one", file_id=file_id))


async def test_long_and_strange_names_are_names(element: StorageElement) -> None:
    names = ["ж" * 122, "a b+c&d=e%41#f?g*[h]'\"~^|<>", "чай 🫖", "e\u0301", "é", "x" * 245]
    for number, name in enumerate(names):
        await element.write(draft(f"n{number}", path=f"2026/{name}"), pieces(name.encode()))
    for name in names:
        assert await content_of(element, f"2026/{name}") == name.encode()
    assert [found.path for found in await walked(element)] == sorted(f"2026/{name}" for name in names)


async def test_attributes_that_do_not_fit_are_refused_before_the_first_byte(element: StorageElement) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("a byte was asked for")
        yield b""

    with pytest.raises(AttributesTooLarge, match="4096"):
        await element.write(draft("one", custom={"long": "x" * 4096}), never())
    made = await element.write(draft("one"), pieces(b"tea"))
    with pytest.raises(AttributesTooLarge):
        await element.amend(msgspec.structs.replace(made, revision=2, custom={"long": "x" * 4096}))


async def test_attributes_are_amended_one_revision_at_a_time_and_content_never(element: StorageElement) -> None:
    made = await element.write(draft("one"), pieces(b"tea"))
    second = msgspec.structs.replace(made, revision=2, tags=("green",))
    assert await element.amend(second) == second
    assert await element.attributes(made.path) == second
    with pytest.raises(StaleRevision):
        await element.amend(msgspec.structs.replace(made, revision=2, tags=("black",)))
    for changed in ({"checksum": "0" * 64}, {"size_bytes": 9}, {"file_id": "other"}):
        with pytest.raises(Invalid, match="never change"):
            await element.amend(msgspec.structs.replace(second, revision=3, **changed))
    with pytest.raises(FileNotThere):
        await element.amend(msgspec.structs.replace(second, revision=3, path="2026/none"))
    assert await element.attributes(made.path) == second


async def test_of_many_who_amend_the_same_revision_one_succeeds(element: StorageElement) -> None:
    made = await element.write(draft("one"), pieces(b"tea"))
    wanted = [msgspec.structs.replace(made, revision=2, tags=(str(number),)) for number in range(5)]
    outcomes = await asyncio.gather(*(element.amend(one) for one in wanted), return_exceptions=True)
    [winner] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert all(isinstance(outcome, StaleRevision) for outcome in outcomes if outcome is not winner)
    assert await element.attributes(made.path) == winner


async def test_what_is_deleted_is_gone_and_may_be_written_again(element: StorageElement, home: Home) -> None:
    made = await element.write(draft("one"), pieces(b"tea"))
    await element.delete(made.path)
    await element.delete(made.path)
    await element.delete("2026/never/there")
    assert await visible(home) == set()
    for use in (element.attributes, element.verify):
        with pytest.raises(FileNotThere):
            await use(made.path)
    with pytest.raises(FileNotThere):
        await content_of(element, made.path)
    assert [one async for one in element.unacknowledged()] == []
    assert (await element.write(draft("one"), pieces(b"coffee"))).checksum != made.checksum


async def test_who_acknowledges_a_revision_does_not_acknowledge_the_next(home: Home) -> None:
    element = home.make()
    await element.start()
    made = await element.write(draft("one"), pieces(b"tea"))
    amended = await element.amend(msgspec.structs.replace(made, revision=2, tags=("green",)))
    # It comes late: what was told of has been changed since.
    await element.acknowledge([(made.file_id, made.revision)])
    assert [one async for one in element.unacknowledged()] == [amended]
    await element.close()
    element = home.make()
    await element.start()
    assert [one async for one in element.unacknowledged()] == [amended]
    await element.acknowledge([(made.file_id, made.revision)])
    assert [one async for one in element.unacknowledged()] == [amended]
    await element.acknowledge([(made.file_id, amended.revision)])
    assert [one async for one in element.unacknowledged()] == []
    await element.close()


async def test_who_acknowledges_the_last_revision_acknowledges_those_before(element: StorageElement) -> None:
    made = await element.write(draft("one", revision=4), pieces(b"tea"))
    await element.amend(msgspec.structs.replace(made, revision=5))
    await element.amend(msgspec.structs.replace(made, revision=6))
    await element.acknowledge([(made.file_id, 6)])
    assert [one async for one in element.unacknowledged()] == []


async def test_what_is_not_acknowledged_is_told_again_after_a_restart(home: Home) -> None:
    first = home.make()
    await first.start()
    made = [await first.write(draft(name), pieces(name.encode())) for name in ("one", "two", "three")]
    await first.acknowledge([(made[1].file_id, 1), ("no-such-file", 1)])
    await first.close()
    second = home.make()
    await second.start()
    told = [one async for one in second.unacknowledged()]
    assert {one.file_id for one in told} == {made[0].file_id, made[2].file_id}
    assert all(one in made for one in told)
    await second.acknowledge([(one.file_id, one.revision) for one in told])
    assert [one async for one in second.unacknowledged()] == []
    amended = await second.amend(msgspec.structs.replace(made[0], revision=2))
    assert [one async for one in second.unacknowledged()] == [amended]
    await second.close()
