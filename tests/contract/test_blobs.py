"""One suite over every place for large things: a folder, and a real S3 server."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from samovar.adapters.objects import ObjectBlobs, S3Access, checked_url
from samovar.ports.blobs import BlobNotFound, Blobs, BlobsUnavailable
from tests.support.seaweed import BUCKET, SeaweedS3
from tests.support.sockets import closed_port

LARGE_BYTES = 40 * 1024 * 1024


@pytest.fixture(params=["disk", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """A place that is empty."""
    if request.param == "disk":
        return ObjectBlobs((tmp_path / "a folder").as_uri())
    seaweed: SeaweedS3 = request.getfixturevalue("seaweed")
    return ObjectBlobs(f"s3://{BUCKET}/{os.urandom(6).hex()}/nightly", s3=seaweed.access)


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content


async def read(blobs: Blobs, name: str) -> bytes:
    return b"".join([piece async for piece in blobs.get(name)])


async def names(blobs: Blobs, prefix: str = "") -> list[str]:
    return sorted([blob.name async for blob in blobs.list(prefix=prefix)])


async def test_what_was_put_is_got_listed_and_deleted(blobs: Blobs) -> None:
    await blobs.put("one.tar", pieces(b"he", b"", b"llo"))
    assert await read(blobs, "one.tar") == b"hello"
    found = await blobs.head("one.tar")
    assert found is not None
    assert (found.name, found.size_bytes) == ("one.tar", 5)
    assert found.modified_at.tzinfo is not None
    assert [blob async for blob in blobs.list()] == [found]
    await blobs.delete("one.tar")
    assert await blobs.head("one.tar") is None
    assert await names(blobs) == []


async def test_an_empty_thing_is_a_thing(blobs: Blobs) -> None:
    await blobs.put("nothing", pieces())
    assert await read(blobs, "nothing") == b""
    assert await names(blobs) == ["nothing"]


async def test_a_second_put_takes_the_place_of_the_first(blobs: Blobs) -> None:
    await blobs.put("one", pieces(b"first, and longer"))
    await blobs.put("one", pieces(b"second"))
    assert await read(blobs, "one") == b"second"


async def test_a_large_thing_goes_through_in_parts(blobs: Blobs) -> None:
    block = os.urandom(1024 * 1024)
    await blobs.put("large", pieces(*[block] * (LARGE_BYTES // len(block))))
    size_bytes = 0
    async for piece in blobs.get("large"):
        assert piece == (block * 2)[size_bytes % len(block) :][: len(piece)] or len(piece) > len(block)
        size_bytes += len(piece)
    assert size_bytes == LARGE_BYTES


async def test_what_breaks_off_leaves_nothing_behind(blobs: Blobs) -> None:
    async def broken(blocks: int) -> AsyncIterator[bytes]:
        for _ in range(blocks):
            yield bytes(1024 * 1024)
        raise RuntimeError("the source broke off")

    for blocks in (0, 1, 40):
        with pytest.raises(RuntimeError, match="broke off"):
            await blobs.put("half", broken(blocks))
        assert await names(blobs) == []
        assert await blobs.head("half") is None


async def test_what_stood_there_stays_when_the_next_breaks_off(blobs: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(20 * 1024 * 1024)
        raise RuntimeError("the source broke off")

    await blobs.put("one", pieces(b"good"))
    with pytest.raises(RuntimeError):
        await blobs.put("one", broken())
    assert await read(blobs, "one") == b"good"


async def test_a_put_that_is_cancelled_leaves_nothing_behind(blobs: Blobs) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(20 * 1024 * 1024)
        begun.set()
        await asyncio.Event().wait()
        yield b""

    putting = asyncio.ensure_future(blobs.put("half", endless()))
    await begun.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await names(blobs) == []


async def test_a_prefix_is_of_the_name_and_not_of_folders(blobs: Blobs) -> None:
    for name in ("samovar-1", "samovar-2", "other"):
        await blobs.put(name, pieces(b"x"))
    assert await names(blobs, "samovar-") == ["samovar-1", "samovar-2"]
    assert await names(blobs, "samovar-2") == ["samovar-2"]


async def test_a_long_list_comes_whole(blobs: Blobs) -> None:
    # More than S3 gives at a time.
    wanted = [f"{number:04d}" for number in range(1100)]
    for start in range(0, len(wanted), 50):
        await asyncio.gather(*(blobs.put(name, pieces(b"x")) for name in wanted[start : start + 50]))
    assert await names(blobs) == wanted


async def test_what_is_not_there_is_told_and_need_not_be_deleted(blobs: Blobs) -> None:
    with pytest.raises(BlobNotFound, match="no-such"):
        await read(blobs, "no-such")
    assert await blobs.head("no-such") is None
    await blobs.delete("no-such")


async def test_the_list_of_a_place_where_nothing_was_put_is_empty(blobs: Blobs) -> None:
    assert await names(blobs) == []


async def test_a_wrong_secret_is_unavailable_and_is_not_shown(seaweed: SeaweedS3) -> None:
    access = S3Access(
        endpoint=seaweed.access.endpoint,
        region="us-east-1",
        access_key_id="samovar-tests",
        secret_access_key="wrong-one",
    )
    blobs = ObjectBlobs(f"s3://{BUCKET}/x", s3=access)
    with pytest.raises(BlobsUnavailable) as refused:
        await blobs.put("one", pieces(b"x"))
    assert "wrong-one" not in refused.value.detail
    assert "wrong-one" not in repr(access)


async def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BlobsUnavailable, match="file"):
        await ObjectBlobs((tmp_path / "file").as_uri()).put("one", pieces(b"x"))


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    access = S3Access(
        endpoint=f"http://127.0.0.1:{closed_port()}", region="r", access_key_id="a", secret_access_key="s"
    )
    with pytest.raises(BlobsUnavailable):
        await ObjectBlobs("s3://bucket", s3=access, retries=0).head("one")


async def test_what_is_written_to_disk_is_its_owners_alone(tmp_path: Path) -> None:
    await ObjectBlobs((tmp_path / "kept").as_uri()).put("one", pieces(b"x"))
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "kept" / "one").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "url",
    [
        "",
        "backups",
        "file:backups",
        "file://host/x",
        "s3://",
        "s3:///x",
        "ftp://x",
        "s3://key:secret@bucket/x",
        "s3://b?x=1",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        checked_url(url)
