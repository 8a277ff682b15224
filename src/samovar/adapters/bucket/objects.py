"""Objects in a bucket, over obstore: few calls, and errors in the port's words."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from samovar.ports.elements import ElementUnavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# A bucket takes 10,000 parts: 160 GB. Two on their way and one being filled are what is in memory.
_PART_BYTES: Final = 16 * 1024 * 1024
_PARTS_AT_ONCE: Final = 2
_READ_BYTES: Final = 1024 * 1024
_LIST_AT_ONCE: Final = 1000
_RETRY_S: Final = 60.0
_REQUEST_S: Final = 300.0
_ADDRESS: Final = re.compile(r"\w+://\S+")
# S3's code of a GET for an object in Glacier (API reference, GetObject, errors).
_FROZEN: Final = "<Code>InvalidObjectState</Code>"

_log = structlog.get_logger("samovar.files")


class Missing(Exception):
    """No object has that name."""


class Changed(Exception):
    """It is there already, or is not any more what it was."""


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one without reading it; ``name`` is below the element's prefix."""

    name: str
    size_bytes: int
    modified_at: datetime


class Objects:
    """The objects below ``url``. Every method raises ``ElementUnavailable``."""

    def __init__(self, url: str, *, element_id: str, config: Mapping[str, str], allow_http: bool, retries: int) -> None:
        self._url = url
        self._element_id = element_id
        self._config = dict(config)
        self._allow_http = allow_http
        self._retries = retries
        self._made: ObjectStore | None = None

    async def put(self, name: str, content: bytes) -> None:
        """Write it, over what stood there."""
        import obstore

        with self._translated(name):
            await obstore.put_async(await self._store(), name, content, use_multipart=False)

    async def create(self, name: str, content: bytes) -> None:
        """Write it where nothing stands. Raises :class:`Changed`."""
        import obstore

        with self._translated(name):
            await obstore.put_async(await self._store(), name, content, mode="create")

    async def replace(self, name: str, content: bytes, *, e_tag: str) -> None:
        """Write it over the version that ``e_tag`` names, and no other. Raises :class:`Changed`."""
        import obstore

        with self._translated(name):
            await obstore.put_async(await self._store(), name, content, mode={"e_tag": e_tag})

    async def put_stream(self, name: str, content: AsyncIterator[bytes]) -> None:
        """Write what comes, in parts that are nothing until the last call. What ``content`` raises comes out somehow: who
        hands it in remembers it."""
        import obstore

        with self._translated(name):
            await obstore.put_async(
                await self._store(), name, content, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
            )

    async def get(self, name: str) -> tuple[bytes, str]:
        """A small object and its version. Raises :class:`Missing`."""
        import obstore

        with self._translated(name):
            found = await obstore.get_async(await self._store(), name)
            return bytes(await found.bytes_async()), found.meta["e_tag"] or ""

    async def stream(self, name: str, *, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` to ``end``, both within the object. Raises :class:`Missing` at the first."""
        import obstore

        if start >= end:
            return
        with self._translated(name):
            found = await obstore.get_async(await self._store(), name, options={"range": (start, end)})
            pieces = aiter(found.stream(min_chunk_size=_READ_BYTES))
        while True:
            # The reader's own errors come in at `yield`: they are not the bucket's.
            with self._translated(name):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield bytes(piece)

    async def head(self, name: str) -> Object | None:
        """What is known of it."""
        import obstore

        try:
            with self._translated(name):
                return _object(await obstore.head_async(await self._store(), name))
        except Missing:
            return None

    async def delete(self, name: str) -> None:
        """Take it away; one that is not there is no error."""
        import obstore

        try:
            with self._translated(name):
                await obstore.delete_async(await self._store(), name)
        except Missing:
            return

    async def below(self, folder: str) -> list[Object]:
        """Everything below ``folder``, ordered by name: for folders that are known to be bounded."""
        import obstore

        found: list[Object] = []
        with self._translated(folder):
            async for page in obstore.list(await self._store(), prefix=folder, chunk_size=_LIST_AT_ONCE):
                found += [_object(one) for one in page]
        return sorted(found, key=lambda one: one.name)

    async def folder(self, folder: str) -> tuple[list[str], list[Object]]:
        """The folders and the objects that stand in ``folder`` (``""`` for the top), in no order."""
        import obstore

        with self._translated(folder):
            found = await obstore.list_with_delimiter_async(await self._store(), prefix=folder or None)
        return list(found["common_prefixes"]), [_object(one) for one in found["objects"]]

    async def copy(self, source: str, target: str) -> None:
        """Within the bucket, by the bucket. Raises :class:`Missing`."""
        import obstore

        with self._translated(source):
            await obstore.copy_async(await self._store(), source, target)

    async def _store(self) -> "ObjectStore":
        if self._made is None:
            self._made = await asyncio.to_thread(self._make)
        return self._made

    def _make(self) -> "ObjectStore":
        from obstore.store import from_url

        # Its types tell the kinds of store apart by their settings; ours are told apart by the address.
        make: Callable[..., ObjectStore] = from_url
        return make(
            self._url,
            config=self._config,
            client_options={"timeout": timedelta(seconds=_REQUEST_S), "allow_http": self._allow_http},
            retry_config={"max_retries": self._retries, "retry_timeout": timedelta(seconds=_RETRY_S)},
        )

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield
        except FileNotFoundError as error:
            raise Missing(name) from error
        except (AlreadyExistsError, PreconditionError) as error:
            raise Changed(name) from error
        except (BaseError, OSError, ValueError) as error:
            if _FROZEN in str(error):
                raise ElementUnavailable(
                    f"The bucket of {self._element_id} has {name} in a storage class that it reads from only after a restore"
                    " request (RestoreObject): order one of the bucket, and ask again when it is done."
                ) from error
            # Its first line: what follows is meant for those who work on obstore. Where the bucket is, is no caller's business.
            words = str(error).strip().split("\n", 1)[0]
            _log.warning("a bucket does not do what it should", element=self._element_id, object=name, reason=words)
            words = _ADDRESS.sub("its address", words)
            raise ElementUnavailable(
                f"The storage element {self._element_id} does not do what it should ({name}): {words}"
            ) from error


def _object(found: Any) -> Object:
    return Object(name=found["path"], size_bytes=found["size"], modified_at=found["last_modified"])
