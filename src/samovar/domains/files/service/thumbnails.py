"""Small pictures of pictures, made when they are asked for and remembered for a while."""

import asyncio
from collections import OrderedDict
from contextlib import aclosing
from typing import Final, NamedTuple

from samovar.domains.files.errors import BadFile
from samovar.domains.files.model.records import StoredFile
from samovar.domains.files.service.query import FileReads
from samovar.domains.files.service.reading import whole
from samovar.kernel.errors import Flaw
from samovar.ports.images import ImageKind, ImageLimits, Images, ImageTooLarge, UnsupportedImage

SIDES_PX: Final = (64, 128, 256, 512, 1024)
MAX_ORIGINAL_BYTES: Final = 20_000_000
_KEPT_BYTES: Final = 32 * 1024 * 1024
_AT_ONCE: Final = 4
"""So many originals are in memory, whoever asks for how many."""


class Thumbnail(NamedTuple):
    """An image file."""

    content: bytes
    media_type: str


class Thumbnails:
    """Whose side is one of :data:`SIDES_PX`: each size is made once, and nobody fills the memory with a thousand of them."""

    def __init__(self, *, reads: FileReads, images: Images) -> None:
        self._reads = reads
        self._images = images
        self._kept: OrderedDict[tuple[str, int], Thumbnail] = OrderedDict()
        self._kept_bytes = 0
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def of(self, file: StoredFile, side_px: int) -> Thumbnail:
        """Raises ``BadFile`` for another size, ``UnsupportedImage``, ``BrokenImage``, ``ImageTooLarge``, ``ImagesBusy``, and what
        reading raises."""
        if side_px not in SIDES_PX:
            raise BadFile([Flaw("thumbnail", f"is one of {', '.join(map(str, SIDES_PX))}")])
        attributes = file.attributes
        # By what it shows, not by its id: the same picture uploaded twice is one.
        key = (f"{attributes.team_id}:{attributes.checksum}", side_px)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        if not attributes.content_type.startswith("image/"):
            raise UnsupportedImage(f"The file is {attributes.content_type}: there are thumbnails of images only.")
        if attributes.size_bytes > MAX_ORIGINAL_BYTES:
            raise ImageTooLarge(f"Thumbnails are made of images up to {MAX_ORIGINAL_BYTES} bytes.")
        limits = ImageLimits(
            kinds=frozenset({ImageKind.JPEG, ImageKind.PNG, ImageKind.WEBP}),
            longest_side_px=side_px,
            max_pixels=side_px * side_px,
            max_bytes=4 * 1024 * 1024,
        )
        async with self._turns:
            async with aclosing(await self._reads.content(file, start=0, end=attributes.size_bytes)) as pieces:
                content = await whole(pieces)
            picture = await self._images.prepare(content, limits=limits)
        made = Thumbnail(picture.content, picture.media_type)
        self._keep(key, made)
        return made

    def _keep(self, key: tuple[str, int], made: Thumbnail) -> None:
        if key not in self._kept:
            self._kept_bytes += len(made.content)
        self._kept[key] = made
        while self._kept_bytes > _KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped.content)
