"""Small images made on the spot."""

import base64
import io

from PIL import Image


def picture(kind: str = "PNG", colour: tuple[int, int, int] = (220, 20, 20), size: tuple[int, int] = (64, 48)) -> bytes:
    """One colour; a JPEG also says who made it."""
    image = Image.new("RGB", size, colour)
    exif = Image.Exif()
    exif[0x010F] = "Tula Works"
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    return file.getvalue()


def text_of(content: bytes) -> str:
    """Base64."""
    return base64.b64encode(content).decode()


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{text_of(content)}"
