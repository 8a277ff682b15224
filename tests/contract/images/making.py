"""Images for tests, good and bad, made on the spot."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import ExifTags, Image, ImageCms
from pillow_heif import register_heif_opener

from samovar.ports.images import ImageKind, ImageLimits

LIMITS = ImageLimits(
    kinds=frozenset({ImageKind.JPEG, ImageKind.PNG, ImageKind.WEBP}),
    longest_side_px=512,
    max_pixels=512 * 512,
    max_bytes=500_000,
)
SECRET = b"52.37403N 4.88969E taken at home"
RED, GREEN, BLUE, YELLOW = (200, 30, 30), (30, 180, 30), (30, 30, 200), (220, 220, 40)


def flag(width_px: int = 320, height_px: int = 200) -> Image.Image:
    """A field in each corner: red, green, blue, yellow. Whoever turns it, turns them."""
    image = Image.new("RGB", (width_px, height_px))
    half = (width_px // 2, height_px // 2)
    for colour, corner in ((RED, (0, 0)), (GREEN, (half[0], 0)), (BLUE, (0, half[1])), (YELLOW, half)):
        image.paste(colour, (*corner, width_px, height_px))
    return image


def corners(image: Image.Image) -> list[str]:
    """The colours at its corners, clockwise from the top left."""
    names = {RED: "red", GREEN: "green", BLUE: "blue", YELLOW: "yellow"}
    width, height = image.size
    places = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
    plain = image.convert("RGB")
    found = [plain.getpixel((int(x * width), int(y * height))) for x, y in places]
    return [names[min(names, key=lambda name: distance(name, pixel))] for pixel in found]


def distance(one: Any, other: Any) -> int:
    """How far two colours are apart, by their worst channel."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    """In Pillow's format of that name."""
    register_heif_opener()
    buffer = BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> Image.Image:
    """To the last pixel."""
    image = Image.open(BytesIO(content))
    image.load()
    return image


def exif(*, orientation: int | None = None) -> bytes:
    """A camera's notes: where, when, and which way up."""
    notes = Image.Exif()
    notes[ExifTags.Base.Make] = "Lumiere"
    notes[ExifTags.Base.ImageDescription] = SECRET.decode()
    if orientation is not None:
        notes[ExifTags.Base.Orientation] = orientation
    notes.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 22.0, 26.5)
    return notes.tobytes()


def profile() -> bytes:
    """The profile of sRGB, which changes nothing."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """A profile whose red is sRGB's green, and the other way round: whoever ignores it sees wrong colours."""
    content = bytearray(profile())
    tags = {
        bytes(content[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(content[128:132], "big"), 12)
    }
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    content[red + 4 : red + 12], content[green + 4 : green + 12] = (
        content[green + 4 : green + 12],
        content[red + 4 : red + 12],
    )
    return bytes(content).replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be")).replace(b"sRGB", b"odd!")


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


def png_header(width_px: int, height_px: int, *, depth: int = 8, colour: int = 2) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, depth, colour, 0, 0, 0))


def png_bomb(side_px: int = 50_000) -> bytes:
    """A square of black in a few kilobytes, gigabytes once decoded: rows are deflated twice as far as a whole one needs."""
    return png(png_header(side_px, side_px, depth=1, colour=0), png_chunk(b"IDAT", zlib.compress(bytes(1_000_000), 9)))


def slow_jpeg(side_px: int = 6_000, scans: int = 2_000) -> bytes:
    """A progressive JPEG whose last scan, of a few bytes, comes again and again: small, whole, and a minute of work."""
    content = encoded(Image.new("L", (side_px, side_px), 128), "JPEG", progressive=True, quality=20)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * scans + b"\xff\xd9"


def every_kind() -> dict[ImageKind, Callable[[Image.Image], bytes]]:
    """How each kind is made."""
    return {
        ImageKind.JPEG: lambda image: encoded(image, "JPEG", quality=92),
        ImageKind.PNG: lambda image: encoded(image, "PNG"),
        ImageKind.WEBP: lambda image: encoded(image, "WEBP", quality=92),
        ImageKind.GIF: lambda image: encoded(image, "GIF"),
        ImageKind.HEIC: lambda image: encoded(image, "HEIF", quality=92),
        ImageKind.AVIF: lambda image: encoded(image, "AVIF", quality=92),
    }
