"""Content on its way into the bucket: digested, counted, and its sender's failure kept apart from the bucket's."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from samovar.ports.element_flow import Batches
from samovar.ports.element_rules import check_length
from samovar.ports.elements import ContentDiffers, Draft

_WORTH_A_THREAD_BYTES: Final = 64 * 1024


class Intake:
    """Iterate it once. ``renew`` is called between pieces, as a sign of life."""

    def __init__(self, draft: Draft, first: bytes, batches: Batches, *, renew: Callable[[], Awaitable[None]]) -> None:
        self._draft = draft
        self._first = first
        self._batches = batches
        self._renew = renew
        self._digest = hashlib.sha256()
        self._refused: ContentDiffers | None = None
        self.size_bytes = 0

    @property
    def checksum(self) -> str:
        """Of all that went through."""
        return self._digest.hexdigest()

    def check(self) -> None:
        """Raises what the sender raised, and ``ContentDiffers``: whatever the bucket made of it."""
        self._batches.check()
        if self._refused is not None:
            raise self._refused

    async def __aiter__(self) -> AsyncIterator[bytes]:
        batch = self._first
        while batch:
            self.size_bytes += len(batch)
            try:
                check_length(self._draft, self.size_bytes)
            except ContentDiffers as error:
                self._refused = error
                raise
            if len(batch) >= _WORTH_A_THREAD_BYTES:
                await asyncio.to_thread(self._digest.update, batch)
            else:
                self._digest.update(batch)
            yield batch
            await self._renew()
            batch = await self._batches.next()
        # To end here would make a whole object of half a file.
        self._batches.check()
