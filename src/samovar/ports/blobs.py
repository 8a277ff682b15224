"""A place for large things with names: a folder, or a bucket. Small on purpose, made for what backups need."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Protocol

import msgspec

from samovar.kernel.errors import NotFound, Unavailable


class BlobNotFound(NotFound):
    """Nothing has that name there."""

    code = "blob_not_found"
    title = "No such object"


class BlobsUnavailable(Unavailable):
    """The place does not answer, refuses us, or is full."""

    code = "storage_unavailable"
    title = "The storage does not take part"


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one without reading it."""

    name: str
    size_bytes: int
    modified_at: datetime


class Blobs(Protocol):
    """Names are relative to the place. Every method raises :class:`BlobsUnavailable`."""

    @property
    def where(self) -> str:
        """The place's address, without secrets: for people."""
        ...

    async def put(self, name: str, content: AsyncIterator[bytes]) -> None:
        """Write under ``name``, over what stood there. Nobody ever sees a part of it: if ``content`` raises or the call is
        cancelled, the place is as it was."""
        ...

    def get(self, name: str) -> AsyncGenerator[bytes, None]:
        """The content, in pieces. Raises :class:`BlobNotFound` at the first."""
        ...

    async def head(self, name: str) -> Blob | None:
        """What is known of it, ``None`` where nothing has that name."""
        ...

    def list(self, *, prefix: str = "") -> AsyncIterator[Blob]:
        """Those whose name begins with ``prefix``, in no order, however many."""
        ...

    async def delete(self, name: str) -> None:
        """Take it away; one that is not there is no error."""
        ...
