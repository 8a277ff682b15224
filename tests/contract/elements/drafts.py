"""Drafts and contents for tests."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from samovar.ports.elements import Draft, Found, Provenance, Retention, RetentionKind, StorageElement

CREATED_AT = datetime(2026, 11, 21, 13, 31, tzinfo=UTC)


def draft(name: str, **changed: Any) -> Draft:
    """A file ``name`` of Ann's in the folder of the hour."""
    values: dict[str, Any] = {
        "file_id": f"file_{name}",
        "path": f"2026/11/21/13/{name}_ann_20261121T133100Z_file_{name}.bin",
        "filename": f"{name}.bin",
        "content_type": "application/octet-stream",
        "team_id": "team_1",
        "owner": "ann",
        "created_at": CREATED_AT,
        "retention": Retention(kind=RetentionKind.PERMANENT),
        "tags": ("tea",),
        "custom": {"cups": 2},
        "provenance": Provenance(run_id="run_1", model="sandbox/image", cost_nano_usd=12),
    }
    return Draft(**(values | changed))


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    """These, as they would arrive."""
    for content in contents:
        yield content


async def content_of(element: StorageElement, path: str, *, start: int = 0, end: int | None = None) -> bytes:
    """What :meth:`StorageElement.read` gives, in one."""
    return b"".join([piece async for piece in element.read(path, start=start, end=end)])


async def cold_content_of(element: StorageElement, path: str) -> bytes:
    """What :meth:`StorageElement.read_cold` gives, in one."""
    return b"".join([piece async for piece in element.read_cold(path)])


async def walked(element: StorageElement, *, after: str = "") -> list[Found]:
    """The whole walk."""
    return [found async for found in element.walk(after=after)]
