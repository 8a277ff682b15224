"""Open uploads: each piece that arrives is an object of its own, named by the byte at which it begins; a file is composed of
them at the end. A piece is written only where none stands, so two senders cannot both be believed."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from samovar.adapters.bucket.objects import Changed, Missing, Object, Objects
from samovar.kernel.errors import Conflict, SamovarError
from samovar.ports.element_flow import Batches
from samovar.ports.element_rules import check_length
from samovar.ports.elements import DamagedFile, Draft, FileNotThere, OffsetDiffers

_FOLDER: Final = ".element/uploads"
_DRAFT: Final = "draft.json"
_PIECE_BYTES: Final = 8 * 1024 * 1024


class Uploads:
    """Those of one element."""

    def __init__(self, *, objects: Objects) -> None:
        self._objects = objects

    async def begin(self, draft: Draft) -> None:
        """Open one; the same once more is no error. Raises ``Conflict``."""
        try:
            await self._objects.create(self._name(draft.file_id, _DRAFT), msgspec.json.encode(draft))
        except Changed:
            if await self.draft(draft.file_id) != draft:
                raise Conflict(f"Another upload is open as {draft.file_id}.") from None

    async def draft(self, file_id: str) -> Draft:
        """What it is to become. Raises ``FileNotThere``."""
        try:
            raw, _ = await self._objects.get(self._name(file_id, _DRAFT))
        except Missing as error:
            raise FileNotThere(f"No upload is open as {file_id}.") from error
        try:
            return msgspec.json.decode(raw, type=Draft)
        except msgspec.DecodeError as error:
            raise DamagedFile(f"The open upload {file_id} cannot be read: {error}") from error

    async def offset(self, file_id: str) -> int:
        """Where it goes on. Raises ``FileNotThere``."""
        await self.draft(file_id)
        return sum(piece.size_bytes for piece in await self._pieces(file_id))

    async def append(self, file_id: str, *, offset_bytes: int, batches: Batches, all_or_nothing: bool = False) -> int:
        """Keep what comes, as long as it comes, or else all of it or nothing; the caller looks why it ended. Raises
        ``OffsetDiffers``, ``ContentDiffers``."""
        draft = await self.draft(file_id)
        at = sum(piece.size_bytes for piece in await self._pieces(file_id))
        if at != offset_bytes:
            raise OffsetDiffers(offset_bytes=at)
        written: list[str] = []
        try:
            while piece := await _piece(batches):
                check_length(draft, at + len(piece))
                name = self._name(file_id, f"{at:020d}")
                await self._objects.create(name, piece)
                written.append(name)
                at += len(piece)
            if all_or_nothing:
                batches.check()
        except BaseException as error:
            if all_or_nothing or isinstance(error, SamovarError):
                # From the end, so that what is left at any moment goes on from some byte to another.
                for name in reversed(written):
                    await self._objects.delete(name)
            if isinstance(error, Changed):
                raise OffsetDiffers(offset_bytes=await self.offset(file_id)) from error
            raise
        return at

    async def content(self, file_id: str) -> AsyncIterator[bytes]:
        """All that arrived, in order."""
        for piece in await self._pieces(file_id):
            async for content in self._objects.stream(piece.name, start=0, end=piece.size_bytes):
                yield content

    async def abandon(self, file_id: str) -> None:
        """Forget it; the draft goes first, so that what is left of it is known to be nobody's."""
        await self._objects.delete(self._name(file_id, _DRAFT))
        for one in await self._objects.below(self._name(file_id, "").rstrip("/")):
            await self._objects.delete(one.name)

    async def _pieces(self, file_id: str) -> list[Object]:
        """Those that follow one another from the first byte on."""
        found: list[Object] = []
        at = 0
        for one in await self._objects.below(self._name(file_id, "").rstrip("/")):
            if one.name.endswith(f"/{at:020d}"):
                found.append(one)
                at += one.size_bytes
        return found

    def _name(self, file_id: str, part: str) -> str:
        return f"{_FOLDER}/{file_id}/{part}"


async def _piece(batches: Batches) -> bytes:
    held: list[bytes] = []
    size_bytes = 0
    while size_bytes < _PIECE_BYTES and not batches.ended:
        batch = await batches.next()
        held.append(batch)
        size_bytes += len(batch)
    return b"".join(held)
