"""Opening an image for the vision model: what it is, in words. CPU work: call it in a thread, never on the event loop."""

import base64
import binascii
import io
from typing import Final

from PIL import ExifTags, Image, UnidentifiedImageError

from samovar.providers.sandbox.ask import Image as Sent
from samovar.providers.sandbox.errors import Refused, bad_request

_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")
_MAX_PIXELS: Final = 64_000_000
_COLOURS: Final = 4
_SAMPLE_PIXELS: Final = 64
_MAX_FACT_CHARS: Final = 80
_EXIF_IFD: Final = 0x8769
_GPS_IFD: Final = 0x8825
_EXIF_FACTS: Final = (
    "Make",
    "Model",
    "Software",
    "DateTime",
    "Orientation",
    "DateTimeOriginal",
    "ExposureTime",
    "FNumber",
)
_NAMES: Final = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (220, 20, 20),
    "orange": (255, 140, 0),
    "yellow": (250, 230, 30),
    "green": (30, 150, 40),
    "cyan": (0, 190, 200),
    "blue": (30, 60, 220),
    "purple": (130, 40, 170),
    "pink": (255, 150, 190),
    "brown": (120, 70, 30),
}


def described(images: tuple[Sent, ...]) -> tuple[str, ...]:
    """One sentence or two for each image. Raises ``Refused`` (400) for what is no whole image of a known format."""
    return tuple(_described(image) for image in images)


def _described(sent: Sent) -> str:
    if sent.base64 is None:
        return f"{(sent.url or '')[:200]} was not fetched: the sandbox opens only images sent inside the request."
    try:
        content = base64.b64decode(sent.base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable(sent, "the base64 text is not valid") from error
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            return _facts(sent, image, len(content))
    except UnidentifiedImageError as error:
        raise _unreadable(sent, f"it is none of {', '.join(_FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _unreadable(sent, f"it has more than {_MAX_PIXELS} pixels") from error
    # Pillow's decoders raise these for a file that is cut short or was never an image behind its first bytes.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError) as error:
        raise _unreadable(sent, "it is damaged or cut short") from error


def _unreadable(sent: Sent, why: str) -> Refused:
    return bad_request(f"Could not process image: {why}.", param=sent.where, code="invalid_image")


def _facts(sent: Sent, image: Image.Image, size_bytes: int) -> str:
    kind, (width, height), mode = image.format or "?", image.size, image.mode
    if width * height > _MAX_PIXELS:
        raise _unreadable(sent, f"it has more than {_MAX_PIXELS} pixels")
    declared, real = (sent.media_type or "").replace("image/jpg", "image/jpeg"), Image.MIME.get(kind)
    if declared and real is not None and declared != real:
        raise _unreadable(sent, f"it is {real}, and the request calls it {declared[:_MAX_FACT_CHARS]}")
    exif = _exif(image)
    if kind == "JPEG":
        # A JPEG decodes straight to an eighth of its size, which is plenty for its colours.
        image.draft("RGB", (_SAMPLE_PIXELS, _SAMPLE_PIXELS))
    image.load()
    size = f"{width} x {height} pixels, mode {mode}, {size_bytes} bytes"
    return f"{kind}, {size}. Dominant colours: {_colours(image)}. EXIF: {exif}."


def _colours(image: Image.Image) -> str:
    small = image.convert("RGB").resize((_SAMPLE_PIXELS, _SAMPLE_PIXELS), Image.Resampling.BOX)
    reduced = small.quantize(colors=_COLOURS, method=Image.Quantize.MEDIANCUT)
    palette = reduced.getpalette() or []
    counted = sorted(((count, index) for index, count in enumerate(reduced.histogram()) if count), reverse=True)
    words = []
    for count, index in counted[:_COLOURS]:
        red, green, blue = palette[3 * index : 3 * index + 3]
        share = round(100 * count / _SAMPLE_PIXELS**2)
        words.append(f"#{red:02x}{green:02x}{blue:02x} ({_name(red, green, blue)}, {share} %)")
    return ", ".join(words)


def _name(red: int, green: int, blue: int) -> str:
    return min(
        _NAMES, key=lambda name: sum((a - b) ** 2 for a, b in zip(_NAMES[name], (red, green, blue), strict=True))
    )


def _exif(image: Image.Image) -> str:
    exif = image.getexif()
    known = {ExifTags.TAGS.get(tag, ""): value for tag, value in (*exif.items(), *exif.get_ifd(_EXIF_IFD).items())}
    facts = [f"{name} = {str(known[name]).strip(chr(0))[:_MAX_FACT_CHARS]}" for name in _EXIF_FACTS if name in known]
    if exif.get_ifd(_GPS_IFD):
        facts.append("a GPS position (not shown)")
    return "; ".join(facts) or "none"
