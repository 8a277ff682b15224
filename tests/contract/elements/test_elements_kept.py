"""The same suite: what a walk meets, damage and quarantine, modes and restarts."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from samovar.ports.element_rules import ATTRIBUTES_SUFFIX, PathRefused
from samovar.ports.elements import (
    DamagedFile,
    ElementUnavailable,
    FileNotThere,
    Mode,
    ModeRefused,
    StorageElement,
)
from tests.contract.elements.drafts import cold_content_of, content_of, draft, pieces, walked
from tests.contract.elements.homes import LARGE, Home, visible


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
    await home.put("2026/deep" + ATTRIBUTES_SUFFIX, b'{"format": 1, "more": ' + b"[" * 4000)
    await home.put("2026/stolen" + ATTRIBUTES_SUFFIX, msgspec.json.encode(made[0]))
    found = {one.path: one for one in await walked(element)}
    assert found[made[0].path].attributes == made[0]
    orphan = found["2026/11/21/13/orphan.bin"]
    assert (orphan.attributes, orphan.content_bytes, orphan.fault) == (None, 8, None)
    lone = found[made[1].path]
    assert (lone.attributes, lone.content_bytes) == (made[1], None)
    assert found[made[2].path].attributes is None
    assert "cannot be read" in (found[made[2].path].fault or "")
    assert "cannot be read" in (found["2026/deep"].fault or "")
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
    with pytest.raises(ModeRefused):
        await element.verify(made.path)
    assert await element.attributes(made.path) == made
    assert len(await walked(element)) == 1
    await element.acknowledge([(made.file_id, 1)])
    await element.close()


@pytest.mark.parametrize("mode", list(Mode))
async def test_content_is_read_to_be_restored_in_every_mode(home: Home, mode: Mode) -> None:
    element = home.make()
    await element.start()
    made = [await element.write(draft(f"f{number}"), pieces(content)) for number, content in enumerate((b"", LARGE))]
    lone = await element.write(draft("lone"), pieces(b"tea"))
    await element.close()
    await home.remove(lone.path)
    element = home.make(mode=Mode.RW if mode is Mode.RO else mode)
    await element.start()
    if mode is Mode.RO:
        await element.lower_mode(Mode.RO)
    assert (await element.condition()).mode is mode
    assert [await cold_content_of(element, one.path) for one in made] == [b"", LARGE]
    with pytest.raises(FileNotThere):
        await cold_content_of(element, "2026/never/there")
    with pytest.raises(DamagedFile):
        await cold_content_of(element, lone.path)
    for path in ("../one", ".element/state.json"):
        with pytest.raises(PathRefused):
            await cold_content_of(element, path)
    await element.close()
    with pytest.raises(ElementUnavailable):
        await cold_content_of(element, made[0].path)


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
    for use in (element.condition(), element.attributes("a/b"), element.abandon("x"), element.acknowledge([("x", 1)])):
        with pytest.raises(ElementUnavailable, match="not started"):
            await use
    with pytest.raises(ElementUnavailable, match="not started"):
        await walked(element)
