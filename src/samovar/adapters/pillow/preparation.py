"""From the bytes that somebody sent to a picture that a model may see. Pure, and only for a worker: it runs decoders in C."""

import warnings
from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Final

from PIL import Image, ImageCms

from samovar.adapters.pillow.stripping import stripped
from samovar.adapters.pillow.wire import Bounds
from samovar.ports.images import BrokenImage, ImageKind, ImageLimits, ImageTooLarge, Picture, require_kind

_FORMATS: Final = {
    ImageKind.JPEG: "JPEG",
    ImageKind.PNG: "PNG",
    ImageKind.WEBP: "WEBP",
    ImageKind.GIF: "GIF",
    ImageKind.HEIC: "HEIF",
    ImageKind.AVIF: "AVIF",
}
_LOSSLESS: Final = frozenset({ImageKind.PNG, ImageKind.GIF})
_ORIENTATION: Final = 0x0112
# Exif 2.32, 4.6.4: which corner the first row and column are at. 1 is upright, and anything else says nothing.
_TURNS: Final[Mapping[object, Image.Transpose]] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
_MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024
_PNG_BIT_DEPTH_AT: Final = 24
_DEEP_BITS: Final = 16
# Scaled in the decoder or by whole factors down to this much above the size wanted, and resampled from there.
_REDUCING_GAP: Final = 1.25
# Sharp enough to read small print, and half the work of bicubic, which would be most of the work of all.
_FILTER: Final = Image.Resampling.HAMMING
_JPEG_QUALITIES: Final = (90, 80, 65)
_PNG_COMPRESSION: Final = 4
_SHRINK: Final = 0.7
_MAX_SHRINKS: Final = 8


def prepare(content: bytes, *, bounds: Bounds, limits: ImageLimits) -> Picture:
    """See :meth:`samovar.ports.images.Images.prepare`. Whatever else it raises, the image cannot be decoded."""
    kind = require_kind(content)
    if kind is ImageKind.WEBP:
        # Its decoder takes memory for two whole canvases before anybody can ask how large they are.
        _require_size(*_webp_canvas(content), bounds)
    image = _opened(kind, content)
    _require_size(*image.size, bounds)
    turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    profile = _foreign_profile(image)
    if turn is None and profile is None and _may_stay(image, kind, content, limits):
        kept = stripped(kind, content)
        if len(kept) <= limits.max_bytes:
            return _verified(kind, kept, image.size)
    # Scaling comes first: all that follows then works on what is left.
    image = _scaled(image, limits)
    if turn is not None:
        image = image.transpose(turn)
    if profile is not None:
        image = _in_srgb(image, profile)
    return _encoded(_plain(image), limits, lossless=kind in _LOSSLESS)


def _opened(kind: ImageKind, content: bytes) -> Image.Image:
    """Its header is read, none of its pixels are decoded."""
    if kind is ImageKind.HEIC:
        from pillow_heif import register_heif_opener  # only who sends one pays for its import

        register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    Image.MAX_IMAGE_PIXELS = None  # ours are the bounds: they raise what we want to say
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a worker, nobody reads them
        return Image.open(BytesIO(content), formats=[_FORMATS[kind]])


def _require_size(width_px: int, height_px: int, bounds: Bounds) -> None:
    if max(width_px, height_px) > bounds.max_side_px or width_px * height_px > bounds.max_pixels:
        raise ImageTooLarge(
            f"The image is {width_px} by {height_px} pixels; at most {bounds.max_pixels:,} in all are read, "
            f"and {bounds.max_side_px:,} a side. Send a smaller one."
        )
    if min(width_px, height_px) < 1:
        raise BrokenImage("The image has no pixels.")


def _webp_canvas(content: bytes) -> tuple[int, int]:
    # RFC 9649: the canvas of the extended format (2.7), else the frame's size (lossless: 3.4; lossy: RFC 6386, 9.1).
    name, head = content[12:16], content[20:30]
    if len(head) < 10:
        raise BrokenImage("The WebP is truncated: it ends before its image does.")
    if name == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if name == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if name == b"VP8 ":
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    raise BrokenImage("The WebP is damaged: it does not begin with an image.")


def _foreign_profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """The profile of its colours, where they are not sRGB anyway. One that cannot be read says nothing."""
    content = image.info.get("icc_profile")
    if not isinstance(content, bytes) or not 0 < len(content) <= _MAX_PROFILE_BYTES:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(content))
        name = ImageCms.getProfileDescription(profile)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
    return None if name.strip().startswith("sRGB") else profile


def _may_stay(image: Image.Image, kind: ImageKind, content: bytes, limits: ImageLimits) -> bool:
    """Whether its pixels suit the receiver as they are."""
    if kind not in limits.kinds or image.size != limits.fit(*image.size) or getattr(image, "is_animated", False):
        return False
    if kind is ImageKind.PNG and content[_PNG_BIT_DEPTH_AT] == _DEEP_BITS:
        return False
    return image.mode != "CMYK"


def _verified(kind: ImageKind, content: bytes, size: tuple[int, int]) -> Picture:
    """A picture whose bytes stay, once they were decoded to the end."""
    image = _opened(kind, content)
    image.load()
    if image.size != size:
        raise BrokenImage("The image is damaged: it says two sizes.")
    return Picture(content=content, kind=kind, width_px=size[0], height_px=size[1], recoded=False)


def _scaled(image: Image.Image, limits: ImageLimits) -> Image.Image:
    size = limits.fit(*image.size)
    if image.size == size:
        image.load()
        return image
    if image.mode in ("1", "P") or image.mode.startswith("I"):
        image = _plain(image)  # these would be scaled by picking single pixels
    image.draft(None, (int(size[0] * _REDUCING_GAP), int(size[1] * _REDUCING_GAP)))
    return image.resize(size, _FILTER, reducing_gap=_REDUCING_GAP)


def _in_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    if image.mode not in ("RGB", "RGBA", "L", "CMYK"):
        image = _plain(image)
    try:
        converted = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGBA" if image.mode == "RGBA" else "RGB"
        )
    except ImageCms.PyCMSError:
        return image  # a profile of other colours than the image has
    assert converted is not None
    return converted


def _plain(image: Image.Image) -> Image.Image:
    """In ``L``, ``RGB`` or ``RGBA`` of 8 bits, the last only where something shows through; with nothing beside the pixels."""
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    elif image.mode in ("LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    image.info = {}  # what encoders would write without being asked
    return image


def _encoded(image: Image.Image, limits: ImageLimits, *, lossless: bool) -> Picture:
    """Written anew: without loss where it came so or is transparent and may be, else as JPEG of the best quality that fits."""
    if (lossless or image.mode == "RGBA") and ImageKind.PNG in limits.kinds:
        content = _written(image, "PNG", compress_level=_PNG_COMPRESSION)
        if len(content) <= limits.max_bytes:
            return _picture(content, ImageKind.PNG, image)
    if image.mode == "RGBA":
        image = _on_white(image)
    for _ in range(_MAX_SHRINKS):
        for quality in _JPEG_QUALITIES:
            content = _written(image, "JPEG", quality=quality)
            if len(content) <= limits.max_bytes:
                return _picture(content, ImageKind.JPEG, image)
        width_px, height_px = image.size
        smaller = (max(1, int(width_px * _SHRINK)), max(1, int(height_px * _SHRINK)))
        image = image.resize(smaller, _FILTER, reducing_gap=_REDUCING_GAP)
    raise ImageTooLarge(f"The image cannot be made to fit into {limits.max_bytes:,} bytes.")


def _on_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page


def _written(image: Image.Image, name: str, **options: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _picture(content: bytes, kind: ImageKind, image: Image.Image) -> Picture:
    return Picture(content=content, kind=kind, width_px=image.width, height_px=image.height, recoded=True)
