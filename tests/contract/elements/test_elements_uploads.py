"""The same suite: uploads that arrive in pieces."""

import hashlib

import pytest

from samovar.kernel.errors import Conflict
from samovar.ports.elements import (
    ContentDiffers,
    FileNotThere,
    OffsetDiffers,
    StorageElement,
)
from tests.contract.elements.drafts import content_of, draft, pieces, walked
from tests.contract.elements.homes import LARGE, Home, broken, visible


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


async def test_of_what_is_to_come_whole_or_not_at_all_nothing_stays_where_it_broke_off(element: StorageElement) -> None:
    await element.begin(draft("one"))
    await element.append("file_one", offset_bytes=0, content=pieces(b"tea"), all_or_nothing=True)
    with pytest.raises(RuntimeError, match="broke off"):
        await element.append("file_one", offset_bytes=3, content=broken(LARGE, b"tail"), all_or_nothing=True)
    assert await element.offset("file_one") == 3
    await element.append("file_one", offset_bytes=3, content=pieces(b" and milk"), all_or_nothing=True)
    await element.finish("file_one")
    assert await content_of(element, draft("one").path) == b"tea and milk"


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
