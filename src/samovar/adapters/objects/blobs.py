"""The one adapter: obstore speaks to all of them alike. It writes a file beside its place and renames it; to a bucket it
uploads in parts, which are nothing until the last call."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import msgspec

from samovar.ports.blobs import Blob, BlobNotFound, BlobsUnavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_SCHEMES: Final = ("file", "s3", "gs", "az")
# A bucket takes 10,000 parts: 160 GB. Two on their way and one being filled are what is in memory.
_PART_BYTES: Final = 16 * 1024 * 1024
_PARTS_AT_ONCE: Final = 2
_READ_BYTES: Final = 256 * 1024
_LIST_AT_ONCE: Final = 1000
_RETRIES: Final = 3
_RETRY_S: Final = 60.0
_REQUEST_S: Final = 300.0


class S3Access(msgspec.Struct, frozen=True, kw_only=True):
    """What is empty is taken from where AWS's own programs take it: ``AWS_…`` in the environment, the machine's role.

    ``endpoint`` is the address of another service that speaks S3. A bucket with object lock takes contents only with a checksum
    of their own: ``checksum_algorithm`` is ``sha256`` then.
    """

    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    checksum_algorithm: str = ""

    def __repr__(self) -> str:
        return f"S3Access({self.endpoint!r})"

    def config(self) -> dict[str, str]:
        """What is said, as obstore takes it."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}


def checked_url(url: str) -> str:
    """``url``. Raises ``ValueError`` with the rest of a sentence that begins with a setting's name."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            "must be file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix"
        )
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError("must name a folder from the root: file:///var/backups/samovar")
    if parts.scheme != "file" and not parts.netloc:
        raise ValueError(f"must name a bucket: {parts.scheme}://bucket/prefix")
    return url


class ObjectBlobs:
    """A :class:`samovar.ports.blobs.Blobs` at ``url``. Raises ``ValueError`` for an address that is none."""

    def __init__(self, url: str, *, s3: S3Access | None = None, retries: int = _RETRIES) -> None:
        self.where = checked_url(url)
        parts = urlsplit(url)
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        self._s3 = s3 or S3Access()
        self._retries = retries
        self._made: ObjectStore | None = None

    async def put(self, name: str, content: AsyncIterator[bytes]) -> None:
        """See the port."""
        import obstore

        with self._translated(name):
            await obstore.put_async(
                await self._store(), name, content, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )
            if self._folder is not None:
                await asyncio.to_thread(_settle, self._folder / name)

    async def get(self, name: str) -> AsyncGenerator[bytes, None]:
        """See the port."""
        import obstore

        with self._translated(name):
            found = await obstore.get_async(await self._store(), name)
            stream = aiter(found.stream(min_chunk_size=_READ_BYTES))
        while True:
            # The reader's own errors come in at `yield`: they are not the storage's.
            with self._translated(name):
                piece = await anext(stream, None)
            if piece is None:
                return
            yield bytes(piece)

    async def head(self, name: str) -> Blob | None:
        """See the port."""
        import obstore

        try:
            with self._translated(name):
                found = await obstore.head_async(await self._store(), name)
        except BlobNotFound:
            return None
        return Blob(name=name, size_bytes=found["size"], modified_at=found["last_modified"])

    async def list(self, *, prefix: str = "") -> AsyncIterator[Blob]:
        """See the port."""
        import obstore

        with self._translated("the list"):
            pages = aiter(obstore.list(await self._store(), chunk_size=_LIST_AT_ONCE))
        while True:
            with self._translated("the list"):
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                if found["path"].startswith(prefix):
                    yield Blob(name=found["path"], size_bytes=found["size"], modified_at=found["last_modified"])

    async def delete(self, name: str) -> None:
        """See the port."""
        import obstore

        try:
            with self._translated(name):
                await obstore.delete_async(await self._store(), name)
        except BlobNotFound:
            return

    async def _store(self) -> "ObjectStore":
        if self._made is None:
            self._made = await asyncio.to_thread(self._make)
        return self._made

    def _make(self) -> "ObjectStore":
        from obstore.store import LocalStore, from_url

        if self._folder is not None:
            # What lies here is everything there is: other users of the machine have no business with it.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return LocalStore(self._folder)
        # Its types tell the kinds of store apart by their settings; ours are told apart by the address.
        make: Callable[..., ObjectStore] = from_url
        return make(
            self.where,
            config=self._config(),
            client_options={
                "timeout": timedelta(seconds=_REQUEST_S),
                "allow_http": self._s3.endpoint.startswith("http:"),
            },
            retry_config={"max_retries": self._retries, "retry_timeout": timedelta(seconds=_RETRY_S)},
        )

    def _config(self) -> dict[str, str]:
        if not self.where.startswith("s3:"):
            return {}
        return self._s3.config()

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            raise BlobNotFound(f"There is no {name} in {self.where}.") from error
        except (BaseError, OSError, ValueError) as error:
            # Its first line: what follows is meant for those who work on obstore.
            words = str(error).strip().split("\n", 1)[0]
            raise BlobsUnavailable(f"{self.where} does not do what it should ({name}): {words}") from error


def _settle(path: Path) -> None:
    """After this, not even a power cut takes it away."""
    path.chmod(0o600)
    for place, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(place, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
