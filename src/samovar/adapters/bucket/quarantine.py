"""Where damaged files are set aside: copied first, and taken from their place only then, attributes before content."""

import hashlib
from typing import Final

import msgspec

from samovar.adapters.bucket.objects import Objects
from samovar.ports.element_rules import ATTRIBUTES_SUFFIX
from samovar.ports.elements import FileNotThere

_FOLDER: Final = ".element/quarantine"
_REASON_CHARS: Final = 1000
_COPIED_BY_THE_BUCKET_BYTES: Final = 5 * 1024**3


async def set_aside(objects: Objects, path: str, *, reason: str, at: str) -> None:
    """``content``, ``attr.json`` and ``reason.json`` in a folder of this time's own. Done twice, it is set aside twice, and
    nothing is lost. Raises ``FileNotThere``, ``ElementUnavailable``."""
    attributes, content = await objects.head(path + ATTRIBUTES_SUFFIX), await objects.head(path)
    if attributes is None and content is None:
        raise FileNotThere(f"There is no {path}.")
    into = f"{_FOLDER}/{at.replace(':', '')}-{hashlib.sha256(path.encode()).hexdigest()[:16]}"
    await objects.put(
        f"{into}/reason.json", msgspec.json.encode({"path": path, "reason": reason[:_REASON_CHARS], "at": at})
    )
    if attributes is not None:
        await objects.copy(path + ATTRIBUTES_SUFFIX, f"{into}/attr.json")
    if content is not None:
        if content.size_bytes < _COPIED_BY_THE_BUCKET_BYTES:
            await objects.copy(path, f"{into}/content")
        else:
            await objects.put_stream(f"{into}/content", objects.stream(path, start=0, end=content.size_bytes))
    await objects.delete(path + ATTRIBUTES_SUFFIX)
    await objects.delete(path)
