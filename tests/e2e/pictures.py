"""Pictures to send, and calls for vision."""

import base64
import io
import json
import uuid
from typing import Any

from PIL import Image

from tests.e2e.conftest import Samovar

ANALYZE = "/v1/vision/analyze"
STREAM = "/v1/vision/stream"


def picture(colour: str = "red", size: tuple[int, int] = (32, 24), kind: str = "PNG") -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def ask(samovar: Samovar, body: Any, path: str = ANALYZE, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """A call with a key."""
    sent = {"Authorization": f"Bearer {samovar.key}", "X-Admin-Token": "", **headers}
    return samovar.request("POST", path, body, sent)


def form(fields: list[tuple[str, str | bytes]], boundary: str = "") -> tuple[bytes, str]:
    """A form's body and content type; a field of bytes is a file."""
    boundary = boundary or uuid.uuid4().hex
    parts = []
    for name, value in fields:
        file = '; filename="photo"' if isinstance(value, bytes) else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n")
    return b"".join((*parts, f"--{boundary}--\r\n".encode())), f"multipart/form-data; boundary={boundary}"


def chunks_of(text: str) -> list[dict[str, Any]]:
    """The chunks of a stream that came whole."""
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", text[-500:]
    return [json.loads(line) for line in lines[:-1]]


def words_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
