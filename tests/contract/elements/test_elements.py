"""One suite over every storage element: a folder, and a bucket on a real S3 server."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from samovar.adapters.bucket import BucketElement
from samovar.adapters.disk import DiskElement
from samovar.adapters.system import SystemClock
from samovar.kernel.errors import Conflict, Invalid, StaleRevision
from samovar.ports.element_rules import ATTRIBUTES_SUFFIX, PathRefused
from samovar.ports.elements import (
    AttributesTooLarge,
    ContentDiffers,
    DamagedFile,
    ElementUnavailable,
    FileNotThere,
    Mode,
    ModeRefused,
    OffsetDiffers,
    StorageElement,
)
from tests.contract.elements.drafts import content_of, draft, pieces, walked
from tests.support.seaweed import BUCKET, SeaweedS3

LARGE = os.urandom(1024 * 1024) * 20 + b"and a rest"


@dataclass
class Home:
    """A place for an element; ``make`` makes one there, not started. ``put`` and ``remove`` go behind its back."""

    make: Callable[..., StorageElement]
    put: Callable[[str, bytes], Awaitable[None]]
    remove: Callable[[str], Awaitable[None]]
    names: Callable[[], Awaitable[set[str]]]


def on_disk(root: Path) -> Home:
    def make(**changed: Any) -> DiskElement:
        return DiskElement(root, **({"element_id": "se-1", "mode": Mode.EDIT, "clock": SystemClock()} | changed))

    async def put(name: str, content: bytes) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    async def remove(name: str) -> None:
        (root / name).unlink()

    async def names() -> set[str]:
        found = [
            path.relative_to(root) for path in await asyncio.to_thread(lambda: [*root.rglob("*")]) if path.is_file()
        ]
        return {str(path) for path in found if path.parts[1:2] != ("wal",)}

    return Home(make, put, remove, names)


def on_s3(seaweed: SeaweedS3) -> Home:
    import obstore
    from obstore.store import S3Store

    prefix = f"{os.urandom(6).hex()}/files"
    config = msgspec.structs.asdict(seaweed.access)

    def make(**changed: Any) -> BucketElement:
        values = {"element_id": "se-1", "mode": Mode.EDIT, "clock": SystemClock(), "lease": timedelta(0)}
        return BucketElement(f"s3://{BUCKET}/{prefix}", config=config, allow_http=True, **(values | changed))

    store = S3Store(BUCKET, prefix=prefix, client_options={"allow_http": True}, **config)

    async def put(name: str, content: bytes) -> None:
        await obstore.put_async(store, name, content)

    async def remove(name: str) -> None:
        await obstore.delete_async(store, name)

    async def names() -> set[str]:
        return {one["path"] async for page in obstore.list(store) for one in page}

    return Home(make, put, remove, names)


@pytest.fixture(params=["disk", "s3"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A place that is empty."""
    return on_disk(tmp_path / "element") if request.param == "disk" else on_s3(request.getfixturevalue("seaweed"))


@pytest.fixture
async def element(home: Home) -> AsyncIterator[StorageElement]:
    """A started element in mode edit."""
    made = home.make()
    await made.start()
    yield made
    await made.close()


async def broken(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content
    raise RuntimeError("the sender broke off")


async def visible(home: Home) -> set[str]:
    """What stands there, but for what is the element's own."""
    return {name for name in await home.names() if not name.startswith(".element/")}


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


async def test_what_is_not_acknowledged_is_told_again_after_a_restart(home: Home) -> None:
    first = home.make()
    await first.start()
    made = [await first.write(draft(name), pieces(name.encode())) for name in ("one", "two", "three")]
    await first.acknowledge([made[1].file_id, "no-such-file"])
    await first.close()
    second = home.make()
    await second.start()
    told = [one async for one in second.unacknowledged()]
    assert {one.file_id for one in told} == {made[0].file_id, made[2].file_id}
    assert all(one in made for one in told)
    await second.acknowledge([one.file_id for one in told])
    assert [one async for one in second.unacknowledged()] == []
    amended = await second.amend(msgspec.structs.replace(made[0], revision=2))
    assert [one async for one in second.unacknowledged()] == [amended]
    await second.close()


async def test_a_walk_is_ordered_and_goes_on_behind_a_cursor(element: StorageElement) -> None:
    paths = ["a-b/c", "a.z", "a/b", "a/b.c/d", "a/c", "ab", "a/é", "b"]
    for number, path in enumerate(paths):
        await element.write(draft(f"w{number}", path=path), pieces(b"x"))
    everything = [found.path for found in await walked(element)]
    assert everything == sorted(paths)
    for path in ["", "a", "a/", "a/b.c/", "a/zzz", *paths]:
        assert [found.path for found in await walked(element, after=path)] == [one for one in everything if one > path]


async def test_a_walk_meets_orphans_lone_attributes_and_unreadable_ones(element: StorageElement, home: Home) -> None:
    made = [await element.write(draft(name), pieces(b"tea")) for name in ("good", "lone", "torn")]
    await home.put("2026/11/21/13/orphan.bin", b"nobody's")
    await home.remove(made[1].path)
    await home.put(made[2].path + ATTRIBUTES_SUFFIX, b'{"format": 1, "file')
    await home.put("2026/stolen" + ATTRIBUTES_SUFFIX, msgspec.json.encode(made[0]))
    found = {one.path: one for one in await walked(element)}
    assert found[made[0].path].attributes == made[0]
    orphan = found["2026/11/21/13/orphan.bin"]
    assert (orphan.attributes, orphan.content_bytes, orphan.fault) == (None, 8, None)
    lone = found[made[1].path]
    assert (lone.attributes, lone.content_bytes) == (made[1], None)
    assert found[made[2].path].attributes is None
    assert "cannot be read" in (found[made[2].path].fault or "")
    assert "are those of" in (found["2026/stolen"].fault or "")
    with pytest.raises(DamagedFile):
        await element.attributes(made[2].path)
    with pytest.raises(FileNotThere):
        await content_of(element, "2026/11/21/13/orphan.bin")
    with pytest.raises(DamagedFile):
        await content_of(element, made[1].path)


async def test_a_walk_does_not_meet_what_is_being_written(element: StorageElement) -> None:
    on_its_way, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield LARGE
        on_its_way.set()
        await go_on.wait()
        yield b"the end"

    writing = asyncio.ensure_future(element.write(draft("one"), slow()))
    await on_its_way.wait()
    assert await walked(element) == []
    go_on.set()
    made = await writing
    assert [found.attributes for found in await walked(element)] == [made]


async def test_a_flipped_bit_and_a_lost_end_are_found(element: StorageElement, home: Home) -> None:
    made = await element.write(draft("one"), pieces(b"tea and milk"))
    await home.put(made.path, b"tea And milk")
    assert "checksum" in (await element.verify(made.path) or "")
    await home.put(made.path, b"tea and")
    assert "7 bytes; 12 were written" in (await element.verify(made.path) or "")


async def test_a_damaged_file_is_set_aside_whole_and_its_place_is_free(element: StorageElement, home: Home) -> None:
    made = await element.write(draft("one"), pieces(b"tea and milk"))
    await home.put(made.path, b"tea And milk")
    await element.quarantine(made.path, reason="a bit flipped")
    assert await visible(home) == set()
    aside = sorted(name for name in await home.names() if name.startswith(".element/quarantine/"))
    assert [name.rpartition("/")[2] for name in aside] == ["attr.json", "content", "reason.json"]
    with pytest.raises(FileNotThere):
        await element.attributes(made.path)
    with pytest.raises(FileNotThere):
        await element.quarantine(made.path, reason="again")
    again = await element.write(draft("one"), pieces(b"tea and milk"))
    assert await element.verify(again.path) is None
    await home.put("2026/orphan", b"x")
    await element.quarantine("2026/orphan", reason="nobody's")
    assert await visible(home) == {again.path, again.path + ATTRIBUTES_SUFFIX}


async def test_an_upload_arrives_in_pieces_and_becomes_a_file(element: StorageElement) -> None:
    wanted = draft("one", expected_bytes=len(LARGE), expected_checksum=hashlib.sha256(LARGE).hexdigest())
    await element.begin(wanted)
    await element.begin(wanted)
    at = 0
    for end in (0, 5, 1_500_000, 1_500_001, len(LARGE)):
        assert await element.offset(wanted.file_id) == at
        at = await element.append(wanted.file_id, offset_bytes=at, content=pieces(LARGE[at:end]))
        assert at == end
    assert await walked(element) == []
    made = await element.finish(wanted.file_id)
    assert await content_of(element, wanted.path) == LARGE
    assert await element.finish(wanted.file_id) == made
    assert [one async for one in element.unacknowledged()] == [made]
    with pytest.raises(FileNotThere):
        await element.offset(wanted.file_id)


async def test_an_upload_outlives_a_restart(home: Home) -> None:
    first = home.make()
    await first.start()
    await first.begin(draft("one"))
    await first.append("file_one", offset_bytes=0, content=pieces(b"tea "))
    await first.close()
    second = home.make()
    await second.start()
    assert await second.offset("file_one") == 4
    await second.append("file_one", offset_bytes=4, content=pieces(b"and milk"))
    made = await second.finish("file_one")
    assert made.checksum == hashlib.sha256(b"tea and milk").hexdigest()
    await second.close()


async def test_what_came_before_an_upload_broke_off_stays(element: StorageElement) -> None:
    await element.begin(draft("one"))
    with pytest.raises(RuntimeError, match="broke off"):
        await element.append("file_one", offset_bytes=0, content=broken(LARGE, b"tail"))
    assert await element.offset("file_one") == len(LARGE) + 4
    await element.append("file_one", offset_bytes=len(LARGE) + 4, content=pieces(b" and more"))
    await element.finish("file_one")
    assert await content_of(element, draft("one").path) == LARGE + b"tail and more"


async def test_an_upload_goes_on_only_where_it_stands(element: StorageElement) -> None:
    await element.begin(draft("one", expected_bytes=6))
    await element.append("file_one", offset_bytes=0, content=pieces(b"tea"))
    for wrong in (0, 2, 4):
        with pytest.raises(OffsetDiffers) as refused:
            await element.append("file_one", offset_bytes=wrong, content=pieces(b"x"))
        assert refused.value.offset_bytes == 3
    with pytest.raises(ContentDiffers):
        await element.append("file_one", offset_bytes=3, content=pieces(b"too long"))
    assert await element.offset("file_one") == 3
    with pytest.raises(Conflict):
        await element.begin(draft("one", owner="bob"))


async def test_an_upload_with_a_wrong_checksum_is_forgotten(element: StorageElement, home: Home) -> None:
    await element.begin(draft("one", expected_checksum="0" * 64))
    await element.append("file_one", offset_bytes=0, content=pieces(b"tea"))
    with pytest.raises(ContentDiffers):
        await element.finish("file_one")
    with pytest.raises(FileNotThere):
        await element.finish("file_one")
    assert await visible(home) == set()
    assert not [name for name in await home.names() if "uploads" in name]


async def test_an_upload_that_is_abandoned_leaves_nothing(element: StorageElement, home: Home) -> None:
    await element.begin(draft("one"))
    await element.append("file_one", offset_bytes=0, content=pieces(b"tea"))
    await element.abandon("file_one")
    await element.abandon("file_one")
    for use in (element.offset, element.finish):
        with pytest.raises(FileNotThere):
            await use("file_one")
    with pytest.raises(FileNotThere):
        await element.append("file_one", offset_bytes=0, content=pieces(b"tea"))
    assert not [name for name in await home.names() if "uploads" in name]


async def test_each_mode_allows_what_it_says_and_refuses_the_rest(home: Home) -> None:
    element = home.make(mode=Mode.RW)
    await element.start()
    made = await element.write(draft("one"), pieces(b"tea"))
    await element.begin(draft("open"))
    with pytest.raises(ModeRefused, match="rw"):
        await element.delete(made.path)
    for wrong in (Mode.EDIT, Mode.RW, Mode.AR):
        with pytest.raises(ModeRefused):
            await element.lower_mode(wrong)
    await element.lower_mode(Mode.RO)
    assert (await element.condition()).mode is Mode.RO
    changes = [
        lambda: element.write(draft("two"), pieces(b"x")),
        lambda: element.begin(draft("two")),
        lambda: element.append("file_open", offset_bytes=0, content=pieces(b"x")),
        lambda: element.finish("file_open"),
        lambda: element.amend(msgspec.structs.replace(made, revision=2)),
        lambda: element.delete(made.path),
    ]
    for change in changes:
        with pytest.raises(ModeRefused, match="ro"):
            await change()
    assert await content_of(element, made.path) == b"tea"
    await element.lower_mode(Mode.AR)
    with pytest.raises(ModeRefused, match="cold"):
        await content_of(element, made.path)
    with pytest.raises(ModeRefused):
        await element.quarantine(made.path, reason="none")
    assert await element.attributes(made.path) == made
    assert len(await walked(element)) == 1
    await element.acknowledge([made.file_id])
    await element.close()


async def test_a_lowered_mode_outlives_restarts_until_configuration_lifts_it(home: Home) -> None:
    async def mode_with(configured: Mode, *lowered: Mode) -> Mode:
        element = home.make(mode=configured)
        await element.start()
        for mode in lowered:
            await element.lower_mode(mode)
        found = (await element.condition()).mode
        await element.close()
        return found

    assert await mode_with(Mode.EDIT) is Mode.EDIT
    assert await mode_with(Mode.RW) is Mode.RW
    assert await mode_with(Mode.EDIT) is Mode.EDIT
    assert await mode_with(Mode.RW, Mode.RO) is Mode.RO
    assert await mode_with(Mode.RW) is Mode.RO
    assert await mode_with(Mode.EDIT) is Mode.RO
    assert await mode_with(Mode.EDIT, Mode.AR) is Mode.AR
    assert await mode_with(Mode.EDIT) is Mode.AR
    assert await mode_with(Mode.RW) is Mode.RW


async def test_a_place_is_one_elements_only(home: Home) -> None:
    element = home.make()
    await element.start()
    await element.close()
    other = home.make(element_id="se-2")
    with pytest.raises(ElementUnavailable, match="se-1"):
        await other.start()
    await other.close()


async def test_before_its_start_and_after_its_end_an_element_is_unavailable(home: Home) -> None:
    element = home.make()
    with pytest.raises(ElementUnavailable, match="not started"):
        await element.write(draft("one"), pieces(b"x"))
    with pytest.raises(ElementUnavailable, match="not started"):
        await element.attributes("a/b")
    await element.start()
    await element.close()
    await element.close()
    for use in (element.condition(), element.attributes("a/b"), element.abandon("x"), element.acknowledge(["x"])):
        with pytest.raises(ElementUnavailable, match="not started"):
            await use
    with pytest.raises(ElementUnavailable, match="not started"):
        await walked(element)
