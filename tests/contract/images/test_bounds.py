"""What is no image, is not whole, or is made to hurt: each has a clear answer, and costs nobody else anything."""

import gzip
import zlib

import pytest
from PIL import Image

from samovar.adapters.pillow import PillowImages
from samovar.ports.images import BrokenImage, ImageKind, ImageLimits, ImageTooLarge, UnsupportedImage, kind_of
from tests.contract.images import making
from tests.contract.images.making import LIMITS, encoded, flag, png, png_chunk, png_header

SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (SVG, "an SVG drawing"),
        (b"  <svg onload=alert(1)>", "an SVG drawing"),
        (b"<!DOCTYPE html><html><body>cat.jpg</body></html>", "a web page"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"just a few words", "text"),
        (b"", "nothing at all"),
        (bytes(64), "of an unknown kind"),
        (encoded(Image.new("RGB", (4, 4)), "TIFF"), "a TIFF"),
        (encoded(Image.new("RGB", (4, 4)), "BMP"), "a BMP"),
        (gzip.compress(SVG), "compressed with gzip"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b"GIF8", "text"),
        (b"\xff\xd8", "of an unknown kind"),
    ],
)
async def test_what_is_no_image_is_refused_by_what_it_seems_to_be(
    images: PillowImages, content: bytes, seems: str
) -> None:
    with pytest.raises(UnsupportedImage, match=seems) as refused:
        await images.prepare(content, limits=LIMITS)
    assert refused.value.http_status == 415
    assert images.workers == 0


def test_an_image_is_known_by_its_bytes() -> None:
    for kind, make in making.every_kind().items():
        assert kind_of(make(flag())) is kind


@pytest.mark.parametrize("kind", list(ImageKind))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
async def test_a_truncated_image_is_told(images: PillowImages, kind: ImageKind, share: float) -> None:
    content = making.every_kind()[kind](Image.effect_noise((300, 200), 60).convert("RGB"))
    for limits in (LIMITS, ImageLimits(kinds=LIMITS.kinds, longest_side_px=90, max_pixels=10**9, max_bytes=10**6)):
        with pytest.raises(BrokenImage) as refused:
            await images.prepare(content[: int(len(content) * share)], limits=limits)
        assert refused.value.http_status == 422


async def test_a_name_alone_makes_no_image(images: PillowImages) -> None:
    for magic in (
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"\0\0\0\x14ftypheic\0\0\0\0mif1",
    ):
        for rest in (b"", bytes(500), SVG * 10):
            with pytest.raises((BrokenImage, ImageTooLarge)):
                await images.prepare(magic + rest, limits=LIMITS)


async def test_a_bomb_is_refused_by_its_header(images: PillowImages) -> None:
    bomb = making.png_bomb()
    assert len(bomb) < 8_000
    with pytest.raises(ImageTooLarge, match="50000 by 50000") as refused:
        await images.prepare(bomb, limits=LIMITS)
    assert refused.value.http_status == 413
    gif = bytearray(encoded(flag(), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    webp = bytearray(encoded(flag().convert("RGBA"), "WEBP", exif=making.exif()))
    webp[24:30] = b"\xff\x3f\0\xff\x3f\0"
    lossless = bytearray(encoded(flag(), "WEBP", lossless=True))
    lossless[21:25] = b"\xff\xff\xff\x0f"
    jpeg = bytearray(encoded(flag(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    for content in (gif, webp, lossless, jpeg):
        with pytest.raises(ImageTooLarge, match="pixels"):
            await images.prepare(bytes(content), limits=LIMITS)


async def test_a_bomb_in_the_metadata_does_not_go_off(images: PillowImages) -> None:
    deflated = zlib.compress(bytes(200_000_000), 9)
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" + bytes(3)))
    for name, chunk in (
        ("zTXt", png_chunk(b"zTXt", b"Comment\0\0" + deflated)),
        ("iTXt", png_chunk(b"iTXt", b"Comment\0\x01\0\0\0" + deflated)),
        ("iCCP", png_chunk(b"iCCP", b"profile\0\0" + deflated)),
    ):
        try:
            picture = await images.prepare(png(png_header(1, 1), chunk, pixels), limits=LIMITS)
        except BrokenImage:
            continue
        assert len(picture.content) < 1_000, name


async def test_an_image_of_too_many_bytes_is_refused_unread() -> None:
    images = PillowImages(max_bytes=1_000)
    with pytest.raises(ImageTooLarge, match="at most 1,000"):
        await images.prepare(encoded(flag(), "JPEG") + bytes(1_000), limits=LIMITS)
    assert images.workers == 0
    await images.close()


async def test_an_image_of_too_long_a_side_is_refused(images: PillowImages) -> None:
    with pytest.raises(ImageTooLarge, match="30,000 a side"):
        await images.prepare(encoded(Image.new("1", (40_000, 1)), "PNG"), limits=LIMITS)


async def test_an_image_that_takes_too_much_memory_is_refused_and_its_worker_goes_on() -> None:
    images = PillowImages(workers=1, memory_bytes=200_000_000)
    try:
        with pytest.raises(ImageTooLarge, match="memory"):
            await images.prepare(encoded(Image.new("RGB", (9_000, 9_000)), "PNG", compress_level=1), limits=LIMITS)
        assert images.workers == 1
        assert (await images.prepare(encoded(flag(), "PNG"), limits=LIMITS)).width_px == 320
    finally:
        await images.close()


async def test_what_cannot_be_made_to_fit_is_told(images: PillowImages) -> None:
    limits = ImageLimits(kinds=LIMITS.kinds, longest_side_px=512, max_pixels=10**6, max_bytes=100)
    with pytest.raises(ImageTooLarge, match="100 bytes"):
        await images.prepare(encoded(flag(), "JPEG"), limits=limits)
