"""Pictures made fit: given, or fetched from real servers and from nowhere that is not public."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.pillow import PillowImages
from samovar.adapters.webfetch import GuardedFetch
from samovar.domains.files.errors import FileUnknown
from samovar.domains.files.model.choosing import Element
from samovar.domains.files.service import FileService
from samovar.domains.vision.errors import BadAsk, StoredImageLate
from samovar.domains.vision.model.asking import Address, Content, Encoded, Stored
from samovar.domains.vision.service.pictures import Pictures, require_public
from samovar.ports.fetch import UrlRefused
from samovar.ports.images import ImageTooLarge, UnsupportedImage, kind_of
from tests.domains.files.conftest import ANN, AUDITOR, BOB, STRANGER, Start, files, put, start, told
from tests.domains.vision.test_asking import target
from tests.e2e.pictures import base64_of, picture
from tests.support.clock import ManualClock
from tests.support.scripted import answering, scripted

__all__ = ["files", "start", "told"]
"""Fixtures of files'."""

OPENAI, GEMINI = target("openai/gpt-4o"), target("gemini/gemini-2.5-flash")


@pytest.fixture
async def images() -> AsyncIterator[PillowImages]:
    images = PillowImages(workers=1)
    yield images
    await images.close()


@pytest.fixture
def pictures(images: PillowImages, files: FileService) -> Pictures:
    """Which may reach nothing but the public internet."""
    return Pictures(images=images, fetch=GuardedFetch(), files=files.reads)


def content_of(url: str) -> bytes:
    head, _, text = url.partition(";base64,")
    content = base64.b64decode(text)
    kind = kind_of(content)
    assert kind is not None
    assert head == f"data:{kind.value}"
    return content


async def test_what_is_given_goes_on_prepared_for_every_vendor_that_may_get_it(pictures: Pictures) -> None:
    webp = picture(kind="WEBP")
    given = [Content(webp, "image"), Encoded(base64_of(webp), "image_base64")]
    for one in await pictures.fit(given, [OPENAI], ANN, fetch=None):
        assert kind_of(content_of(one)) == "image/webp"
    # BigModel takes JPEG and PNG alone.
    for one in await pictures.fit(given, [OPENAI, target("bigmodel/glm-4.5v")], ANN, fetch=None):
        assert kind_of(content_of(one)) in ("image/jpeg", "image/png")


async def test_an_address_goes_on_where_the_vendor_fetches_and_nobody_asked_us_to(pictures: Pictures) -> None:
    address = [Address("https://example.com/cat.jpg", "image_url")]
    for fetch in (None, False):
        assert await pictures.fit(address, [OPENAI], ANN, fetch=fetch) == ["https://example.com/cat.jpg"]


async def on_loopback(host: str, port: int) -> list[IPv4Address]:
    """A resolver whose every name is this machine."""
    return [IPv4Address("127.0.0.1")]


def reaching(images: PillowImages, files: FileService, *ports: int) -> Pictures:
    """Which takes 127.0.0.1, and no other private address, for public."""
    fetch = GuardedFetch(allowed_networks=[ip_network("127.0.0.1/32")], ports=ports, resolver=on_loopback)
    return Pictures(images=images, fetch=fetch, files=files.reads)


async def test_an_address_is_fetched_where_the_vendor_does_not_or_we_are_asked_to(
    images: PillowImages, files: FileService
) -> None:
    content = picture(kind="JPEG")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(content)
    async with scripted(answering(head + content)) as server:
        pictures = reaching(images, files, server.port)
        address = [Address(f"http://photos.example:{server.port}/cat", "image_url")]
        for targets, fetch in (([OPENAI], True), ([GEMINI], None), ([OPENAI, GEMINI], None), ([GEMINI], False)):
            (url,) = await pictures.fit(address, targets, ANN, fetch=fetch)
            assert kind_of(content_of(url)) == "image/jpeg"
        assert server.connections == 4


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest/meta-data", "http://127.0.0.2/", "file:///etc/passwd"]
)
async def test_a_redirect_into_a_private_network_is_not_followed(
    images: PillowImages, files: FileService, location: str
) -> None:
    moved = f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
    async with scripted(answering(moved)) as server:
        address = [Address(f"http://photos.example:{server.port}/cat", "image_url")]
        with pytest.raises(UrlRefused) as refused:
            await reaching(images, files, server.port).fit(address, [OPENAI], ANN, fetch=True)
        assert server.connections == 1
    assert "169.254" not in refused.value.detail


async def test_a_page_at_the_address_is_no_picture(images: PillowImages, files: FileService) -> None:
    page = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 13\r\n\r\n<html></html>"
    async with scripted(answering(page)) as server:
        address = [Address(f"http://photos.example:{server.port}/cat.png", "image_url")]
        with pytest.raises(UnsupportedImage, match="web page"):
            await reaching(images, files, server.port).fit(address, [OPENAI], ANN, fetch=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/x",
        "http://LOCALHOST./x",
        "http://a.localhost/x",
        "http://127.0.0.1/x",
        "http://169.254.169.254/x",
        "http://[::1]/x",
        "http://[fe80::1]/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://192.168.1.1/x",
        "http:///x",
        "http://[::1/x",
    ],
)
def test_an_address_that_is_plainly_private_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        require_public(url)


def test_an_address_that_may_be_public_is_not_refused_yet() -> None:
    for url in (
        "https://example.com/x",
        "http://8.8.8.8/x",
        "https://[2606:4700::1]/x",
        "https://localhost.example.com/x",
    ):
        require_public(url)


async def test_what_is_empty_or_no_picture_is_refused(pictures: Pictures) -> None:
    for nothing in (Content(b"", "image"), Encoded("", "image_base64"), Encoded("  ", "image_base64")):
        with pytest.raises(BadAsk, match="empty"):
            await pictures.fit([nothing], [OPENAI], ANN, fetch=None)
    with pytest.raises(UnsupportedImage):
        await pictures.fit([Content(b"<svg><script/></svg>", "image")], [OPENAI], ANN, fetch=None)


async def test_a_stored_file_is_for_whoever_may_read_it(pictures: Pictures, files: FileService) -> None:
    made = await put(files, ANN, picture(kind="JPEG"), "report.pdf")
    for reader in (ANN, AUDITOR):
        (url,) = await pictures.fit([Stored(made.file_id, "file_id")], [OPENAI], reader, fetch=None)
        assert kind_of(content_of(url)) == "image/jpeg"
    for other in (BOB, STRANGER):
        with pytest.raises(FileUnknown):
            await pictures.fit([Stored(made.file_id, "file_id")], [OPENAI], other, fetch=None)


async def test_a_stored_file_that_no_picture_may_be_as_large_as_is_not_read(
    pictures: Pictures, files: FileService
) -> None:
    made = await put(files, ANN, picture() + bytes(20_000_001), "large.png")
    with pytest.raises(ImageTooLarge, match="20000000"):
        await pictures.fit([Stored(made.file_id, "file_id")], [OPENAI], ANN, fetch=None)


class Silent(DiskElement):
    """Its disk hangs."""

    async def read(self, path: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""


async def test_who_waits_for_a_disk_that_hangs_is_let_go_and_so_are_those_behind(
    start: Start, images: PillowImages, clock: ManualClock
) -> None:
    def opened(one: Element) -> Silent:
        return Silent(Path(one.url.removeprefix("file://")), element_id=one.id, mode=one.mode, clock=clock)

    files: FileService = await start(open_element=opened)
    pictures = Pictures(images=images, fetch=GuardedFetch(), files=files.reads, read_timeout_s=0.1)
    made = await put(files, ANN, picture(), "a.png")
    asked = [pictures.fit([Stored(made.file_id, "file_id")], [OPENAI], ANN, fetch=None) for _ in range(9)]
    refused = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in refused] == [StoredImageLate] * 9
    assert all(isinstance(one, StoredImageLate) and one.headers["Retry-After"] == "5" for one in refused)
