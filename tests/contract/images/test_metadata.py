"""What a file says beside its picture goes no further."""

from io import BytesIO

from PIL import Image, PngImagePlugin

from samovar.adapters.pillow import PillowImages
from samovar.adapters.pillow.stripping import stripped
from samovar.ports.images import ImageKind, ImageLimits
from tests.contract.images import making
from tests.contract.images.making import LIMITS, SECRET, corners, decoded, encoded, flag

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"
SMALLER = ImageLimits(kinds=LIMITS.kinds, longest_side_px=100, max_pixels=10**9, max_bytes=10**6)


def segment(marker: int, payload: bytes) -> bytes:
    return b"\xff" + bytes((marker,)) + (len(payload) + 2).to_bytes(2, "big") + payload


def talkative() -> dict[str, bytes]:
    """One file of each kind that says where it was taken in every way its format has."""
    jpeg = encoded(flag(), "JPEG", exif=making.exif(), comment=SECRET, xmp=XMP, icc_profile=making.profile())
    thumbnail = b"JFIF\0\x01\x02\0\0\x01\0\x01\x04\x01" + SECRET[:12]
    jpeg = (
        jpeg[:2]
        + segment(0xE0, thumbnail)
        + segment(0xE0, b"JFXX\0\x10" + SECRET)
        + segment(0xED, b"Photoshop 3.0\0" + SECRET)
        + segment(0xEF, SECRET)
        + jpeg[2:]
        + b"\0\0ftypmp42"
        + SECRET
    )
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", SECRET.decode())
    notes.add_text("Zipped", SECRET.decode(), zip=True)
    notes.add_itxt("XML:com.adobe.xmp", XMP.decode())
    notes.add(b"prVt", SECRET)
    png = encoded(flag(), "PNG", pnginfo=notes, exif=making.exif(), icc_profile=making.profile(), dpi=(72, 72))
    webp = encoded(flag(), "WEBP", exif=making.exif(), xmp=XMP, icc_profile=making.profile())
    return {
        "JPEG": jpeg,
        "PNG": png + SECRET,
        "WEBP": webp + SECRET,
        "GIF": encoded(flag(), "GIF", comment=SECRET) + SECRET,
        "HEIF": encoded(flag(), "HEIF", exif=making.exif(), xmp=XMP, icc_profile=making.profile()),
        "AVIF": encoded(flag(), "AVIF", exif=making.exif(), xmp=XMP, icc_profile=making.profile()),
    }


async def test_no_word_of_a_file_goes_on(images: PillowImages) -> None:
    for name, content in talkative().items():
        assert SECRET in content or b"GPS" in content or name in ("HEIF", "AVIF"), name
        for limits in (LIMITS, SMALLER):
            picture = await images.prepare(content, limits=limits)
            assert SECRET not in picture.content, name
            assert b"Lumiere" not in picture.content, name
            image = decoded(picture.content)
            assert dict(image.getexif()) == {}, name
            assert not {"exif", "xmp", "comment", "icc_profile", "dpi", "Comment", "photoshop"} & set(image.info), name
            assert corners(image) == ["red", "green", "yellow", "blue"], name


async def test_words_are_taken_out_without_touching_a_pixel(images: PillowImages) -> None:
    for name in ("JPEG", "PNG", "WEBP"):
        content = talkative()[name]
        picture = await images.prepare(content, limits=LIMITS)
        assert not picture.recoded, name
        assert decoded(picture.content).tobytes() == decoded(content).tobytes(), name


async def test_a_second_picture_behind_the_first_goes_too(images: PillowImages) -> None:
    inside = Image.new("RGB", (50, 50), (1, 2, 3))
    buffer = BytesIO()
    flag().save(buffer, "MPO", save_all=True, append_images=[inside])
    picture = await images.prepare(buffer.getvalue(), limits=LIMITS)
    assert picture.content.count(b"\xff\xd8\xff") == 1
    assert picture.content.endswith(b"\xff\xd9")
    assert corners(decoded(picture.content)) == ["red", "green", "yellow", "blue"]


def test_what_a_picture_needs_stays() -> None:
    adobe = encoded(flag().convert("CMYK"), "JPEG")
    assert b"Adobe" in stripped(ImageKind.JPEG, adobe)
    progressive = encoded(Image.effect_noise((200, 200), 60), "JPEG", progressive=True)
    clear = encoded(flag().convert("RGBA").quantize(6), "PNG", transparency=bytes((0, 255, 128, 255, 255, 255)))
    alpha = flag().convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    for kind, content in (
        (ImageKind.JPEG, progressive),
        (ImageKind.JPEG, adobe),
        (ImageKind.PNG, clear),
        (ImageKind.WEBP, encoded(alpha, "WEBP")),
        (ImageKind.WEBP, encoded(alpha, "WEBP", lossless=True)),
    ):
        before, after = decoded(content), decoded(stripped(kind, content))
        assert after.convert("RGBA").tobytes() == before.convert("RGBA").tobytes(), kind
