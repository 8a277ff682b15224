"""Places for elements: a folder, and a bucket on a real S3 server."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from samovar.adapters.bucket import BucketElement
from samovar.adapters.disk import DiskElement
from samovar.adapters.system import SystemClock
from samovar.ports.elements import Mode, StorageElement
from tests.support.seaweed import BUCKET, SeaweedS3

LARGE = os.urandom(1024 * 1024) * 20 + b"and a rest"


@dataclass
class Home:
    """A place for an element; ``make`` makes one there, not started. ``put`` and ``remove`` go behind its back."""

    make: Callable[..., StorageElement]
    put: Callable[[str, bytes], Awaitable[None]]
    remove: Callable[[str], Awaitable[None]]
    names: Callable[[], Awaitable[set[str]]]


def on_disk(root: Path) -> Home:
    def make(**changed: Any) -> DiskElement:
        return DiskElement(root, **({"element_id": "se-1", "mode": Mode.EDIT, "clock": SystemClock()} | changed))

    async def put(name: str, content: bytes) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    async def remove(name: str) -> None:
        (root / name).unlink()

    async def names() -> set[str]:
        found = [
            path.relative_to(root) for path in await asyncio.to_thread(lambda: [*root.rglob("*")]) if path.is_file()
        ]
        return {str(path) for path in found if path.parts[1:2] != ("wal",)}

    return Home(make, put, remove, names)


def on_s3(seaweed: SeaweedS3) -> Home:
    import obstore
    from obstore.store import S3Store

    prefix = f"{os.urandom(6).hex()}/files"
    config = seaweed.access.config()

    def make(**changed: Any) -> BucketElement:
        values = {"element_id": "se-1", "mode": Mode.EDIT, "clock": SystemClock(), "lease": timedelta(0)}
        return BucketElement(f"s3://{BUCKET}/{prefix}", config=config, allow_http=True, **(values | changed))

    store = S3Store(BUCKET, prefix=prefix, client_options={"allow_http": True}, **config)

    async def put(name: str, content: bytes) -> None:
        await obstore.put_async(store, name, content)

    async def remove(name: str) -> None:
        await obstore.delete_async(store, name)

    async def names() -> set[str]:
        return {one["path"] async for page in obstore.list(store) for one in page}

    return Home(make, put, remove, names)


async def broken(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content
    raise RuntimeError("the sender broke off")


async def visible(home: Home) -> set[str]:
    """What stands there, but for what is the element's own."""
    return {name for name in await home.names() if not name.startswith(".element/")}
