"""Whatever the bytes are: a refusal of ours, or a picture that is whole, clean and within its limits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from samovar.adapters.pillow import PillowImages
from samovar.adapters.pillow.stripping import stripped
from samovar.ports.images import BrokenImage, ImageKind, ImageTooLarge, UnsupportedImage, kind_of
from tests.contract.images import making
from tests.contract.images.making import LIMITS, decoded, encoded, flag


def seeds() -> list[bytes]:
    image = flag(48, 32)
    found = [make(image) for make in making.every_kind().values()]
    found.append(
        encoded(image, "JPEG", progressive=True, exif=making.exif(orientation=6), icc_profile=making.swapped_profile())
    )
    found.append(encoded(image.quantize(4), "PNG", exif=making.exif(orientation=3), transparency=1))
    found.append(encoded(image.convert("RGBA"), "WEBP", exif=making.exif(), lossless=True))
    found.append(encoded(image, "GIF", save_all=True, append_images=[image.rotate(180)]))
    return found


SEEDS: Final = seeds()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An image of ours after a few accidents: bytes changed, cut, doubled, or moved."""
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        # Near the beginning, most of the time: there it says what it is.
        end = max(1, len(content) - 1)
        at = draw(st.one_of(st.integers(0, min(end, 200)), st.integers(0, end)))
        match draw(st.sampled_from(["change", "flip", "cut", "drop", "double", "insert"])):
            case "change":
                content[at : at + 4] = draw(st.binary(min_size=1, max_size=4))
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del content[at + 12 :]
            case "drop":
                del content[at : at + draw(st.integers(1, 40))]
            case "double":
                content[at:at] = content[at : at + draw(st.integers(1, 200))]
            case _:
                content[at:at] = draw(st.binary(max_size=20))
    return bytes(content)


@contextmanager
def running() -> Iterator[tuple[asyncio.Runner, PillowImages]]:
    """A loop for many examples, and one worker for them all."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def start() -> PillowImages:
            return PillowImages(workers=1, wait_s=60, processor_s=20, memory_bytes=1_000_000_000)

        images = runner.run(start())
        try:
            yield runner, images
        finally:
            runner.run(images.close())


def test_hostile_bytes_give_a_refusal_or_a_good_picture() -> None:
    with running() as (runner, images):

        @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.one_of(mutated(), st.binary(max_size=300)))
        @example(SEEDS[0])
        def holds(content: bytes) -> None:
            try:
                picture = runner.run(images.prepare(content, limits=LIMITS))
            except (UnsupportedImage, BrokenImage, ImageTooLarge):
                return
            assert kind_of(picture.content) is picture.kind
            assert picture.kind in LIMITS.kinds
            assert len(picture.content) <= LIMITS.max_bytes
            image = decoded(picture.content)
            assert image.size == (picture.width_px, picture.height_px)
            assert max(image.size) <= LIMITS.longest_side_px
            assert dict(image.getexif()) == {}
            assert b"Lumiere" not in picture.content

        holds()


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_stripping_ends_and_never_makes_more(content: bytes) -> None:
    kind = kind_of(content)
    if kind not in (ImageKind.JPEG, ImageKind.PNG, ImageKind.WEBP):
        return
    try:
        result = stripped(kind, content)
    except BrokenImage:
        return
    assert len(result) <= len(content) + 2
    assert stripped(kind, result) == result


@pytest.mark.parametrize("kind", [ImageKind.JPEG, ImageKind.PNG, ImageKind.WEBP])
def test_stripping_a_clean_image_changes_nothing(kind: ImageKind) -> None:
    content = making.every_kind()[kind](Image.effect_noise((64, 64), 50))
    assert stripped(kind, content) == content
