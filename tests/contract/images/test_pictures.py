"""What becomes of good images: their kind, size, colours, and which way up."""

import pytest
from PIL import Image

from samovar.adapters.pillow import PillowImages
from samovar.ports.image_limits import ANY_VENDOR, VENDOR_LIMITS, limits_of
from samovar.ports.images import SENDABLE, ImageKind, ImageLimits, tightest
from tests.contract.images import making
from tests.contract.images.making import LIMITS, corners, decoded, distance, encoded, flag

PLAIN = ImageLimits(
    kinds=frozenset({ImageKind.JPEG, ImageKind.PNG}), longest_side_px=512, max_pixels=512 * 512, max_bytes=500_000
)


async def test_every_kind_becomes_a_picture_that_all_can_read(images: PillowImages) -> None:
    for kind, make in making.every_kind().items():
        picture = await images.prepare(make(flag()), limits=PLAIN)
        image = decoded(picture.content)
        assert picture.kind in PLAIN.kinds, kind
        assert image.get_format_mimetype() == picture.media_type
        assert image.size == (picture.width_px, picture.height_px) == (320, 200), kind
        assert corners(image) == ["red", "green", "yellow", "blue"], kind


async def test_a_small_and_clean_image_keeps_every_byte(images: PillowImages) -> None:
    for name in ("JPEG", "PNG", "WEBP"):
        content = encoded(flag(), name)
        picture = await images.prepare(content, limits=LIMITS)
        assert (picture.content, picture.recoded) == (content, False), name


async def test_a_large_image_is_scaled_to_fit(images: PillowImages) -> None:
    for kind, make in making.every_kind().items():
        picture = await images.prepare(make(flag(1600, 1000)), limits=LIMITS)
        assert (picture.width_px, picture.height_px, picture.recoded) == (512, 320, True), kind
        assert corners(decoded(picture.content)) == ["red", "green", "yellow", "blue"], kind


async def test_a_thin_image_keeps_a_pixel_and_a_small_one_its_size(images: PillowImages) -> None:
    thin = await images.prepare(encoded(flag(4000, 2), "PNG"), limits=LIMITS)
    assert (thin.width_px, thin.height_px) == (512, 1)
    one = await images.prepare(encoded(Image.new("RGB", (1, 1)), "JPEG"), limits=LIMITS)
    assert (one.width_px, one.height_px) == (1, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("side", [1, 4], ids=["as it is", "scaled"])
async def test_an_image_is_turned_upright(images: PillowImages, orientation: int, side: int) -> None:
    upright = flag(320 * side, 200 * side)
    # How a camera held that way stores it: the inverse of what a viewer does (Exif 2.32, 4.6.4).
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    for name in ("JPEG", "PNG", "WEBP"):
        content = encoded(stored, name, exif=making.exif(orientation=orientation))
        picture = await images.prepare(content, limits=LIMITS)
        assert corners(decoded(picture.content)) == ["red", "green", "yellow", "blue"], name
        assert picture.width_px > picture.height_px
        assert picture.recoded is (side != 1 or orientation != 1)


async def test_a_turned_heic_is_upright_too(images: PillowImages) -> None:
    stored = flag().transpose(Image.Transpose.ROTATE_90)
    picture = await images.prepare(encoded(stored, "HEIF", exif=making.exif(orientation=6)), limits=LIMITS)
    assert corners(decoded(picture.content)) == ["red", "green", "yellow", "blue"]
    assert picture.kind is ImageKind.JPEG


@pytest.mark.parametrize("orientation", [0, 9, 65535])
async def test_an_orientation_that_is_none_turns_nothing(images: PillowImages, orientation: int) -> None:
    content = encoded(flag(), "JPEG", exif=making.exif(orientation=orientation))
    picture = await images.prepare(content, limits=LIMITS)
    assert corners(decoded(picture.content)) == ["red", "green", "yellow", "blue"]


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
async def test_foreign_colours_become_those_of_srgb(images: PillowImages, name: str) -> None:
    field = Image.new("RGB", (64, 64), (250, 0, 0))
    content = encoded(field, name, icc_profile=making.swapped_profile())
    picture = await images.prepare(content, limits=LIMITS)
    red, green, blue = decoded(picture.content).convert("RGB").getpixel((30, 30))
    assert green > 200 > 80 > max(red, blue)
    assert picture.recoded


async def test_a_profile_of_srgb_or_of_nonsense_costs_no_recoding(images: PillowImages) -> None:
    for profile in (making.profile(), b"no profile at all", making.swapped_profile()[:200]):
        content = encoded(flag(), "JPEG", icc_profile=profile)
        picture = await images.prepare(content, limits=LIMITS)
        assert (picture.recoded, picture.content) == (False, encoded(flag(), "JPEG"))


async def test_every_kind_of_pixel_becomes_plain(images: PillowImages) -> None:
    image = flag()
    deep = image.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")
    cases = {
        "CMYK": (encoded(image.convert("CMYK"), "JPEG"), image),
        "grey JPEG": (encoded(image.convert("L"), "JPEG"), image.convert("L").convert("RGB")),
        "16 bits": (encoded(deep, "PNG"), image.convert("L").convert("RGB")),
        "palette": (encoded(image.quantize(8), "PNG"), image),
        "one bit": (encoded(image.convert("1"), "PNG"), image.convert("1").convert("RGB")),
        "grey and alpha": (encoded(image.convert("LA"), "PNG"), image.convert("L").convert("RGB")),
    }
    half = ImageLimits(kinds=LIMITS.kinds, longest_side_px=160, max_pixels=10**9, max_bytes=10**6)
    for name, (content, expected) in cases.items():
        whole = decoded((await images.prepare(content, limits=LIMITS)).content).convert("RGB")
        scaled = decoded((await images.prepare(content, limits=half)).content)
        assert scaled.mode in ("L", "RGB", "RGBA"), name
        if name == "one bit":
            continue  # dots of one bit are no colours to compare
        for x, y in ((20, 20), (300, 20), (20, 180), (300, 180)):
            wanted = expected.getpixel((x, y))
            assert distance(whole.getpixel((x, y)), wanted) < 12, (name, x, y)
            assert distance(scaled.convert("RGB").getpixel((x // 2, y // 2)), wanted) < 12, (name, x, y)


async def test_what_shows_through_is_kept_where_it_can_be_and_white_elsewhere(images: PillowImages) -> None:
    image = flag(800, 500).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.paste((0, 0, 0, 0), (0, 0, 400, 250))
    only_jpeg = ImageLimits(
        kinds=frozenset({ImageKind.JPEG}), longest_side_px=512, max_pixels=512 * 512, max_bytes=500_000
    )
    for name in ("PNG", "WEBP", "AVIF"):
        kept = await images.prepare(encoded(image, name), limits=LIMITS)
        assert (kept.kind, decoded(kept.content).mode) == (ImageKind.PNG, "RGBA"), name
        assert decoded(kept.content).getpixel((10, 10))[3] < 3  # type: ignore[index] # of RGBA
        flat = await images.prepare(encoded(image, name), limits=only_jpeg)
        assert flat.kind is ImageKind.JPEG
        assert distance(decoded(flat.content).getpixel((10, 10)), (255, 255, 255)) < 5, name
    see_through = Image.new("P", (900, 900), 0)
    content = encoded(see_through, "GIF", transparency=0)
    assert decoded((await images.prepare(content, limits=LIMITS)).content).mode == "RGBA"


async def test_of_an_animation_the_first_frame_is_taken(images: PillowImages) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in (making.RED, making.GREEN, making.BLUE)]
    for name in ("GIF", "PNG", "WEBP", "AVIF"):
        content = encoded(frames[0], name, save_all=True, append_images=frames[1:], duration=100)
        picture = await images.prepare(content, limits=LIMITS)
        image = decoded(picture.content)
        assert getattr(image, "n_frames", 1) == 1, name
        assert distance(image.convert("RGB").getpixel((30, 30)), making.RED) < 12, name


async def test_an_image_that_is_too_heavy_loses_quality_before_size(images: PillowImages) -> None:
    noise = Image.effect_noise((500, 500), 80).convert("RGB")
    content = encoded(noise, "PNG")
    enough = len(encoded(noise, "JPEG", quality=65))
    for max_bytes, size in ((enough * 2, (500, 500)), (enough, (500, 500)), (enough - 1, (350, 350)), (8_000, None)):
        limits = ImageLimits(kinds=LIMITS.kinds, longest_side_px=512, max_pixels=512 * 512, max_bytes=max_bytes)
        picture = await images.prepare(content, limits=limits)
        assert len(picture.content) <= max_bytes
        assert picture.kind is ImageKind.JPEG
        assert size is None or (picture.width_px, picture.height_px) == size


def test_the_tightest_limits_suit_everybody() -> None:
    both = tightest(limits_of("openai"), limits_of("bigmodel"))
    assert both.kinds == {ImageKind.JPEG, ImageKind.PNG}
    assert both.max_bytes == limits_of("bigmodel").max_bytes
    assert limits_of("a-vendor-of-tomorrow") is ANY_VENDOR
    for limits in VENDOR_LIMITS.values():
        assert tightest(ANY_VENDOR, limits) == ANY_VENDOR
        assert limits.kinds <= SENDABLE


@pytest.mark.parametrize(
    ("kinds", "side_px"), [({ImageKind.PNG}, 1), ({ImageKind.JPEG, ImageKind.GIF}, 1), ({ImageKind.JPEG}, 0)]
)
def test_limits_that_nothing_can_meet_are_refused(kinds: set[ImageKind], side_px: int) -> None:
    with pytest.raises(ValueError, match=r"kinds|positive"):
        ImageLimits(kinds=frozenset(kinds), longest_side_px=side_px, max_pixels=1, max_bytes=1)
