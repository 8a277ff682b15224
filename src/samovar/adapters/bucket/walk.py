"""Everything in the bucket, ordered by path, a folder at a time: not every server lists whole keys in the order of the texts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from samovar.adapters.bucket.intents import Intents
from samovar.adapters.bucket.objects import Object, Objects
from samovar.ports.element_flow import UnderWay
from samovar.ports.element_rules import ATTRIBUTES_SUFFIX
from samovar.ports.elements import Attributes, DamagedFile, FileNotThere, Found

_AT_ONCE: Final = 32


class Walk:
    """``attributes`` reads those of a path, as the element does."""

    def __init__(
        self,
        *,
        objects: Objects,
        intents: Intents,
        under_way: UnderWay,
        attributes: Callable[[str], Awaitable[Attributes]],
    ) -> None:
        self._objects = objects
        self._intents = intents
        self._under_way = under_way
        self._attributes = attributes

    async def all(self, *, after: str) -> AsyncIterator[Found]:
        """What is there, beyond ``after``."""
        async for paths in self._folder("", after):
            for at in range(0, len(paths), _AT_ONCE):
                for found in await asyncio.gather(*(self._found(*one) for one in paths[at : at + _AT_ONCE])):
                    if found is not None:
                        yield found

    async def _folder(self, folder: str, after: str) -> AsyncIterator[list[tuple[str, Object | None, Object | None]]]:
        """Path, content and attributes, in the order of the paths, up to the next folder."""
        folders, objects = await self._objects.folder(folder.rstrip("/"))
        contents = {one.name: one for one in objects if not one.name.endswith(ATTRIBUTES_SUFFIX)}
        attributes = {
            one.name.removesuffix(ATTRIBUTES_SUFFIX): one for one in objects if one.name.endswith(ATTRIBUTES_SUFFIX)
        }
        # A folder sorts by what stands in it: behind its name comes a slash.
        below = {f"{name.rstrip('/')}/" for name in folders}
        held: list[tuple[str, Object | None, Object | None]] = []
        for path in sorted({*contents, *attributes, *below}):
            if path.rstrip("/").rpartition("/")[2].startswith("."):
                continue
            if path not in below:
                if path > after:
                    held.append((path, contents.get(path), attributes.get(path)))
            elif path > after or after.startswith(path):
                yield held
                held = []
                async for more in self._folder(path, after):
                    yield more
        yield held

    async def _found(self, path: str, content: Object | None, at: Object | None) -> Found | None:
        if self._under_way.has(path):
            return None
        attributes, fault = None, None
        try:
            attributes = await self._attributes(path)
        except DamagedFile as error:
            fault = error.detail
        except FileNotThere:
            at = None
        if content is None or at is None:
            # The list may be older than what has come, or gone, since.
            content = await self._objects.head(path)
        if attributes is None and fault is None and (content is None or not self._intents.is_nobodys(content)):
            return None
        known = content or at or await self._objects.head(path + ATTRIBUTES_SUFFIX)
        if known is None:
            return None
        return Found(
            path=path,
            attributes=attributes,
            content_bytes=None if content is None else content.size_bytes,
            modified_at=known.modified_at,
            fault=fault,
        )
