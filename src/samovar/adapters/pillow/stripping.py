"""Taking everything but the picture out of a JPEG, PNG or WebP without touching a pixel.

What stays is an allow-list: what a decoder needs, and nothing that only describes. What follows the image's end goes too: makers
of phones put second pictures, depth maps and videos there. Each function raises :class:`BrokenImage` for a file that is
not built as its format says, a truncated one first of all.
"""

from collections.abc import Iterator
from typing import Final

from samovar.ports.images import BrokenImage, ImageKind

# PNG (third edition), 5.6 and 11.3: the critical chunks, and those without which colours or transparency would be others.
_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB"})
_PNG_SIGNATURE_BYTES: Final = 8
# RFC 9649, 2.7: of the extended format only the picture and its transparency.
_WEBP_KEPT: Final = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH"})
_WEBP_ALPHA_FLAG: Final = 0x10

_SOI, _EOI, _SOS, _COM, _APP0, _APP14, _APP15 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xEE, 0xEF
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_JFIF_BYTES: Final = 14  # to the thumbnail


def stripped(kind: ImageKind, content: bytes) -> bytes:
    """The same picture with nothing else in the file."""
    if kind is ImageKind.JPEG:
        return b"\xff\xd8" + b"".join(_jpeg_parts(content))
    if kind is ImageKind.PNG:
        return content[:_PNG_SIGNATURE_BYTES] + b"".join(_png_parts(content))
    assert kind is ImageKind.WEBP
    body = b"WEBP" + b"".join(_webp_parts(content))
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _jpeg_parts(content: bytes) -> Iterator[bytes]:
    # ITU T.81, annex B: segments of a marker, a length and a payload; after SOS, data until a marker that is not stuffed.
    at = 2
    while True:
        at = _next_marker(content, at)
        marker = content[at + 1]
        if marker == _EOI:
            yield b"\xff\xd9"
            return
        if marker in _STANDALONE:
            at += 2
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if end < at + 4 or end > len(content):
            raise _truncated("JPEG")
        yield _jpeg_segment(marker, content[at + 4 : end])
        at = end
        if marker == _SOS:
            at = _end_of_scan(content, at)
            yield content[end:at]


def _next_marker(content: bytes, at: int) -> int:
    """Where the marker is that should be here; fill bytes may stand before it."""
    while content[at : at + 2] == b"\xff\xff":
        at += 1
    if at + 2 > len(content):
        raise _truncated("JPEG")
    if content[at] != 0xFF or content[at + 1] in (0x00, _SOI):
        raise BrokenImage("The JPEG is damaged: a segment does not end where it says.")
    return at


def _end_of_scan(content: bytes, at: int) -> int:
    while True:
        at = content.find(b"\xff", at)
        if at < 0 or at + 1 >= len(content):
            raise _truncated("JPEG")
        following = content[at + 1]
        if following not in (0x00, 0xFF) and not 0xD0 <= following <= 0xD7:
            return at
        at += 1 if following == 0xFF else 2


def _jpeg_segment(marker: int, payload: bytes) -> bytes:
    if marker == _APP0 and payload[:5] == b"JFIF\0" and len(payload) >= _JFIF_BYTES:
        payload = payload[: _JFIF_BYTES - 2] + b"\0\0"  # it may hold a thumbnail of what was cropped away
    elif marker == _COM or (_APP0 <= marker <= _APP15 and not (marker == _APP14 and payload[:5] == b"Adobe")):
        return b""
    return b"\xff" + bytes((marker,)) + (len(payload) + 2).to_bytes(2, "big") + payload


def _png_parts(content: bytes) -> Iterator[bytes]:
    at = _PNG_SIGNATURE_BYTES
    while True:
        size = int.from_bytes(content[at : at + 4], "big")
        name = content[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(content):
            raise _truncated("PNG")
        if name in _PNG_KEPT:
            yield content[at:end]
        if name == b"IEND":
            return
        at = end


def _webp_parts(content: bytes) -> Iterator[bytes]:
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        raise _truncated("WebP")
    at = 12
    while at + 8 <= end:
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        following = at + 8 + size + size % 2
        if following > end:
            raise _truncated("WebP")
        if name == b"VP8X" and size >= 1:
            yield content[at : at + 8] + bytes((content[at + 8] & _WEBP_ALPHA_FLAG,)) + content[at + 9 : following]
        elif name in _WEBP_KEPT:
            yield content[at:following]
        at = following


def _truncated(name: str) -> BrokenImage:
    return BrokenImage(f"The {name} is truncated: it ends before its image does.")
