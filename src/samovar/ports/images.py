"""Pictures on their way to a model: recognised by their bytes, turned upright, stripped and made to fit.

What a caller sends is hostile until proven otherwise: the first bytes say what it is, never a name, a header or a data URL.
A declared type that differs is therefore neither believed nor refused; what goes on carries the true one.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from samovar.kernel.errors import BodyTooLarge, Invalid, SamovarError, Unavailable


class ImageKind(StrEnum):
    """The kinds that are read, by media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    GIF = "image/gif"
    HEIC = "image/heic"
    AVIF = "image/avif"


SENDABLE: Final = frozenset({ImageKind.JPEG, ImageKind.PNG, ImageKind.WEBP})
"""The kinds that a prepared picture may have."""


class UnsupportedImage(SamovarError):
    """The bytes are no image of a kind that is read: a drawing, a document, a page, text."""

    code = "unsupported_image"
    status = 415
    title = "That is no image that can be read"


class BrokenImage(Invalid):
    """It begins like an image and cannot be decoded: truncated, damaged, or made to hurt."""

    code = "broken_image"
    title = "The image cannot be decoded"


class ImageTooLarge(BodyTooLarge):
    """More bytes or pixels than are read, or than can be made to fit."""

    code = "image_too_large"
    title = "The image is too large"


class ImagesBusy(Unavailable):
    """As many images are being prepared, and wait to be, as may be."""

    code = "images_busy"
    title = "Too many images at once"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What a receiver takes. ``kinds`` must hold JPEG, into which anything can be turned, and nothing beyond :data:`SENDABLE`.

    ``longest_side_px`` is what its model looks at: a larger image would be scaled down over there, and paid for on the way.
    """

    kinds: frozenset[ImageKind]
    longest_side_px: int
    max_pixels: int
    max_bytes: int

    def __post_init__(self) -> None:
        if ImageKind.JPEG not in self.kinds or not self.kinds <= SENDABLE:
            raise ValueError("kinds must hold JPEG, and besides it only PNG and WebP")
        if min(self.longest_side_px, self.max_pixels, self.max_bytes) < 1:
            raise ValueError("limits are positive")

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """The largest size of the same shape within the limits, never larger than it was, at least a pixel a side."""
        scale = min(
            1.0, self.longest_side_px / max(width_px, height_px), (self.max_pixels / (width_px * height_px)) ** 0.5
        )
        return max(1, int(width_px * scale)), max(1, int(height_px * scale))


def tightest(first: ImageLimits, *others: ImageLimits) -> ImageLimits:
    """Limits that suit every receiver, for a call that may fall back from one to another."""
    every = (first, *others)
    return ImageLimits(
        kinds=frozenset.intersection(*(limits.kinds for limits in every)),
        longest_side_px=min(limits.longest_side_px for limits in every),
        max_pixels=min(limits.max_pixels for limits in every),
        max_bytes=min(limits.max_bytes for limits in every),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A prepared image: upright, in sRGB, without any metadata, whole, and within its limits.

    ``recoded`` is whether its pixels were written anew; otherwise they are the sender's, bit for bit.
    """

    content: bytes
    kind: ImageKind
    width_px: int
    height_px: int
    recoded: bool

    @property
    def media_type(self) -> str:
        """For a ``data:`` URL or a vendor's ``media_type``."""
        return self.kind.value


class Images(Protocol):
    """Prepares images beside the event loop."""

    async def prepare(self, content: bytes, *, limits: ImageLimits) -> Picture:
        """Make an image fit for a model. An animation gives its first frame.

        Raises :class:`UnsupportedImage` (415), :class:`ImageTooLarge` (413), :class:`BrokenImage` (422) and
        :class:`ImagesBusy` (503, with ``Retry-After``).
        """
        ...

    async def close(self) -> None:
        """End what is under way and prepare nothing more."""
        ...


_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_MAX_FTYP_BYTES: Final = 256


def kind_of(content: bytes) -> ImageKind | None:
    """What the first bytes say it is; ``None`` for anything that is not read."""
    if content.startswith(b"\xff\xd8\xff"):
        return ImageKind.JPEG
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return ImageKind.PNG
    if content.startswith((b"GIF87a", b"GIF89a")):
        return ImageKind.GIF
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ImageKind.WEBP
    if content[4:8] == b"ftyp":
        return _kind_of_container(content)
    return None


def _kind_of_container(content: bytes) -> ImageKind | None:
    # ISO 14496-12: a box of its size, "ftyp", the major brand, a version, then the brands that it is compatible with.
    end = min(int.from_bytes(content[:4], "big"), _MAX_FTYP_BYTES, len(content))
    brands = {content[8:12]} | {content[at : at + 4] for at in range(16, end - 3, 4)}
    if brands & _AVIF_BRANDS:
        return ImageKind.AVIF
    return ImageKind.HEIC if brands & _HEIF_BRANDS else None


_OTHERS: Final = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"\x1f\x8b", "something compressed with gzip"),
    (b"\x1aE\xdf\xa3", "a video"),
)


def described(content: bytes) -> str:
    """What something that is no image seems to be, for a person: ``an SVG drawing``, ``a web page``, ``text``."""
    if not content:
        return "nothing at all"
    head = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<"):
        if b"<svg" in head:
            return "an SVG drawing"
        return "a web page" if b"<html" in head or b"<!doctype html" in head else "XML or HTML"
    found = next((name for magic, name in _OTHERS if content.startswith(magic)), None)
    if found:
        return found
    if content[4:8] == b"ftyp":
        return "a video"
    return "text" if content[:256].isascii() and content[:256].decode("ascii").isprintable() else "of an unknown kind"


def require_kind(content: bytes) -> ImageKind:
    """What the first bytes say it is. Raises :class:`UnsupportedImage`, which says what it seems to be instead."""
    kind = kind_of(content)
    if kind is None:
        raise UnsupportedImage(
            f"The image is {described(content)}. Send a JPEG, PNG, WebP, GIF, HEIC or AVIF; only its bytes count, not its name."
        )
    return kind
