"""Who adds to which upload just now, in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from samovar.domains.files.errors import UploadBusy, UploadInterrupted

_ENDS_WITHIN_S: Final = 10.0


class _Arrival:
    def __init__(self, window: asyncio.Timeout) -> None:
        self.window = window
        self.is_ending = False
        self.over = asyncio.Event()


class Arrivals:
    """One for a process."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Arrival] = {}

    @asynccontextmanager
    async def only(self, file_id: str) -> AsyncIterator[None]:
        """Add to it. Raises :class:`UploadBusy` where somebody does already, and :class:`UploadInterrupted` in the middle where
        somebody else asks how it stands."""
        if file_id in self._under_way:
            raise UploadBusy("Another request adds to this upload. Ask where it stands, and go on from there.")
        arrival = self._under_way[file_id] = _Arrival(asyncio.timeout(None))
        try:
            async with arrival.window:
                yield
        except TimeoutError as error:
            if not arrival.window.expired():
                raise
            raise UploadInterrupted(
                "Somebody asked where the upload stands: what came until then is kept, and it goes on from there.",
                headers={"Connection": "close"},
            ) from error
        finally:
            del self._under_way[file_id]
            arrival.over.set()

    async def end(self, file_id: str) -> bool:
        """Whoever adds to it stops, and what came is durable; whether there was somebody. A client whose connection broke
        without a word comes back and asks, and shall not wait until the old one is found to be silent."""
        arrival = self._under_way.get(file_id)
        if arrival is None:
            return False
        if not arrival.is_ending:
            arrival.is_ending = True
            arrival.window.reschedule(asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await arrival.over.wait()
        except TimeoutError as error:
            raise UploadBusy("The upload is being written to the storage. Ask again.") from error
        return True
