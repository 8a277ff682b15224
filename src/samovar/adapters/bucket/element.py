"""The element as the port has it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Final

import msgspec

from samovar.adapters.bucket.intake import Intake
from samovar.adapters.bucket.intents import Intent, Intents
from samovar.adapters.bucket.objects import Changed, Missing, Objects
from samovar.adapters.bucket.quarantine import set_aside
from samovar.adapters.bucket.state import State
from samovar.adapters.bucket.uploads import Uploads
from samovar.adapters.bucket.walk import Walk
from samovar.kernel.errors import Conflict, StaleRevision
from samovar.kernel.time import rfc3339
from samovar.ports.clock import Clock
from samovar.ports.element_flow import Batches, UnderWay, difference
from samovar.ports.element_rules import (
    ATTRIBUTES_SUFFIX,
    Operation,
    check_amendment,
    check_draft,
    check_file_id,
    check_mode,
    check_path,
    check_same,
    decoded,
    encoded,
    made_of,
)
from samovar.ports.elements import (
    Attributes,
    Condition,
    ContentDiffers,
    DamagedFile,
    Draft,
    ElementUnavailable,
    FileNotThere,
    Found,
    Mode,
)

_LEASE: Final = timedelta(hours=1)
_VERIFY_BYTES_PER_S: Final = 200 * 1024 * 1024
_RETRIES: Final = 3


class BucketElement:
    """A :class:`samovar.ports.elements.StorageElement` below ``url``.

    ``config`` is obstore's for that kind of bucket; what it lacks is taken from where the vendor's own programs take it. What a
    process that died left behind is taken away when it is ``lease`` old.
    """

    def __init__(
        self,
        url: str,
        *,
        element_id: str,
        mode: Mode,
        clock: Clock,
        config: Mapping[str, str],
        allow_http: bool = False,
        retries: int = _RETRIES,
        lease: timedelta = _LEASE,
        verify_bytes_per_s: float = _VERIFY_BYTES_PER_S,
    ) -> None:
        self.element_id = element_id
        self._clock = clock
        self._lease_s = lease.total_seconds()
        self._verify_bytes_per_s = verify_bytes_per_s
        self._started = False
        self._under_way = UnderWay()
        self._objects = Objects(url, element_id=element_id, config=config, allow_http=allow_http, retries=retries)
        self._state = State(element_id=element_id, configured=mode, objects=self._objects, clock=clock)
        self._intents = Intents(objects=self._objects, clock=clock, lease=lease)
        self._uploads = Uploads(objects=self._objects)
        self._walk = Walk(
            objects=self._objects, intents=self._intents, under_way=self._under_way, attributes=self._attributes
        )

    async def start(self) -> None:
        """See the port."""
        await self._state.start()
        async for _ in self._intents.standing():
            pass
        self._started = True

    async def close(self) -> None:
        """See the port."""
        self._started = False

    async def write(self, draft: Draft, content: AsyncIterator[bytes]) -> Attributes:
        """See the port."""
        await self._allow(Operation.WRITE)
        check_draft(draft, element_id=self.element_id)
        async with self._under_way.only(draft.path):
            if (stands := await self._standing(draft)) is not None:
                return stands
            batches = Batches(content)
            return await self._commit(draft, await batches.next(), batches)

    async def _commit(self, draft: Draft, first: bytes, batches: Batches) -> Attributes:
        """Intent, content, attributes. Until the last of them stands everything is taken back."""
        batches.check()
        intent = Intent(file_id=draft.file_id, path=draft.path, revision=draft.revision)
        await self._intents.open(intent)
        intake = Intake(draft, first, batches, renew=self._renewal(intent))
        try:
            try:
                if batches.ended:
                    await self._objects.put(draft.path, b"".join([piece async for piece in intake]))
                else:
                    await self._objects.put_stream(draft.path, aiter(intake))
            finally:
                # Whatever it was that the bucket answered: this is why.
                intake.check()
            attributes = made_of(
                draft, element_id=self.element_id, size_bytes=intake.size_bytes, checksum=intake.checksum
            )
            await self._allow(Operation.WRITE)
            return await self._put_attributes(attributes)
        except BaseException:
            # Where the bucket is away, the next who comes by takes it away.
            with suppress(ElementUnavailable):
                await self._intents.roll_back(intent)
            raise

    async def _put_attributes(self, attributes: Attributes) -> Attributes:
        name = attributes.path + ATTRIBUTES_SUFFIX
        try:
            await self._objects.create(name, encoded(attributes))
        except Changed:
            # Another writer of the same was faster; or it was us, and the answer was lost.
            return check_same(_draft_of(attributes), await self._attributes(attributes.path))
        content = await self._objects.head(attributes.path)
        if content is None or content.size_bytes != attributes.size_bytes:
            # Whoever found our intent too old took the content away in the meantime.
            await self._objects.delete(name)
            raise ElementUnavailable(f"{attributes.path} took too long and was given up: send it again.")
        return attributes

    def _renewal(self, intent: Intent) -> "Renewal":
        return Renewal(intents=self._intents, intent=intent, clock=self._clock, every_s=self._lease_s / 4)

    async def begin(self, draft: Draft) -> None:
        """See the port."""
        await self._allow(Operation.WRITE)
        check_draft(draft, element_id=self.element_id)
        if await self._standing(draft) is not None:
            raise Conflict(f"{draft.path} is a file already.")
        await self._uploads.begin(draft)

    async def append(
        self, file_id: str, *, offset_bytes: int, content: AsyncIterator[bytes], all_or_nothing: bool = False
    ) -> int:
        """See the port."""
        await self._allow(Operation.WRITE)
        async with self._under_way.only(check_file_id(file_id)):
            batches = Batches(content)
            stands = await self._uploads.append(
                file_id, offset_bytes=offset_bytes, batches=batches, all_or_nothing=all_or_nothing
            )
            batches.check()
            return stands

    async def offset(self, file_id: str) -> int:
        """See the port."""
        return await self._uploads.offset(check_file_id(file_id))

    async def finish(self, file_id: str) -> Attributes:
        """See the port."""
        await self._allow(Operation.WRITE)
        async with self._under_way.only(check_file_id(file_id)):
            try:
                draft = await self._uploads.draft(file_id)
            except FileNotThere:
                intent = await self._intents.of(file_id)
                if intent is None:
                    raise
                # Its answer was lost; it was finished all the same.
                return await self._attributes(intent.path)
            async with self._under_way.only(draft.path):
                attributes = await self._standing(draft)
                if attributes is None:
                    attributes = await self._composed(draft)
            await self._uploads.abandon(file_id)
            return attributes

    async def _composed(self, draft: Draft) -> Attributes:
        batches = Batches(self._uploads.content(draft.file_id))
        try:
            return await self._commit(draft, await batches.next(), batches)
        except ContentDiffers:
            await self._uploads.abandon(draft.file_id)
            raise

    async def abandon(self, file_id: str) -> None:
        """See the port."""
        self._check_started()
        async with self._under_way.only(check_file_id(file_id)):
            await self._uploads.abandon(file_id)

    async def acknowledge(self, rows: Sequence[tuple[str, int]]) -> None:
        """See the port."""
        self._check_started()
        for file_id, revision in rows:
            await self._intents.close(check_file_id(file_id), up_to=revision)

    async def unacknowledged(self) -> AsyncIterator[Attributes]:
        """See the port."""
        self._check_started()
        async for intent in self._intents.standing():
            try:
                attributes = await self._attributes(intent.path)
            except (FileNotThere, DamagedFile):
                continue
            await self._intents.settle(intent, stands=attributes.revision)
            yield attributes

    async def attributes(self, path: str) -> Attributes:
        """See the port."""
        self._check_started()
        return await self._attributes(check_path(path))

    async def amend(self, attributes: Attributes) -> Attributes:
        """See the port."""
        await self._allow(Operation.WRITE)
        name = check_path(attributes.path) + ATTRIBUTES_SUFFIX
        async with self._under_way.only(attributes.path):
            stands, e_tag = await self._versioned(attributes.path)
            if stands.revision != attributes.revision - 1:
                raise StaleRevision(current=stands.revision)
            check_amendment(stands, attributes)
            raw = encoded(attributes)
            intent = Intent(file_id=attributes.file_id, path=attributes.path, revision=attributes.revision)
            await self._intents.open(intent)
            try:
                await self._objects.replace(name, raw, e_tag=e_tag)
            except Changed:
                stands = await self._attributes(attributes.path)
                # Ours, when the answer to it was lost and it was sent twice.
                if stands != attributes:
                    raise StaleRevision(current=stands.revision) from None
            return attributes

    def read(self, path: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """See the port."""
        return self._pieces(Operation.READ, path, start, end)

    def read_cold(self, path: str) -> AsyncGenerator[bytes, None]:
        """See the port. What the bucket itself has frozen must be thawed there first."""
        return self._pieces(Operation.RESTORE, path, 0, None)

    async def _pieces(self, what: Operation, path: str, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        await self._allow(what)
        attributes = await self._attributes(check_path(path))
        last = attributes.size_bytes if end is None else min(end, attributes.size_bytes)
        async with aclosing(self._objects.stream(path, start=start, end=last)) as pieces:
            try:
                async for piece in pieces:
                    yield piece
            except Missing as error:
                raise DamagedFile(f"{path} has attributes and no content.") from error

    async def open_content(self, path: str) -> None:
        """See the port."""

    async def delete(self, path: str) -> None:
        """See the port."""
        check_path(path)
        await self._allow(Operation.DELETE)
        async with self._under_way.only(path):
            intent = None
            with suppress(FileNotThere, DamagedFile):
                stands = await self._attributes(path)
                # Above all that may be open: it closes them all.
                intent = Intent(file_id=stands.file_id, path=path, revision=stands.revision + 1)
            if intent is not None:
                # So that content whose attributes are gone is known to be garbage, wherever this stops.
                await self._intents.open(intent)
            await self._objects.delete(path + ATTRIBUTES_SUFFIX)
            await self._objects.delete(path)
            if intent is not None:
                await self._intents.close(intent.file_id, up_to=intent.revision)

    async def verify(self, path: str) -> str | None:
        """See the port."""
        await self._allow(Operation.READ)
        try:
            attributes, _ = await self._versioned(check_path(path))
        except DamagedFile as error:
            return error.detail
        content = await self._objects.head(path)
        if content is None:
            return "It has attributes and no content."
        digest, at, began = hashlib.sha256(), 0, self._clock.monotonic()
        async with aclosing(self._objects.stream(path, start=0, end=content.size_bytes)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(digest.update, piece)
                at += len(piece)
                await asyncio.sleep(max(0.0, began + at / self._verify_bytes_per_s - self._clock.monotonic()))
        return difference(attributes, size_bytes=at, checksum=digest.hexdigest())

    async def quarantine(self, path: str, *, reason: str) -> None:
        """See the port."""
        check_path(path)
        await self._allow(Operation.QUARANTINE)
        async with self._under_way.only(path):
            await set_aside(self._objects, path, reason=reason, at=rfc3339(self._clock.now()))

    async def walk(self, *, after: str = "") -> AsyncIterator[Found]:
        """See the port."""
        self._check_started()
        async for found in self._walk.all(after=after):
            yield found

    async def condition(self) -> Condition:
        """See the port."""
        self._check_started()
        return Condition(element_id=self.element_id, mode=await self._state.look())

    async def lower_mode(self, mode: Mode) -> None:
        """See the port."""
        self._check_started()
        await self._state.lower(mode)

    def _check_started(self) -> None:
        if not self._started:
            raise ElementUnavailable(f"The storage element {self.element_id} is not started.")

    async def _allow(self, operation: Operation) -> None:
        self._check_started()
        check_mode(await self._state.mode(), operation, element_id=self.element_id)

    async def _attributes(self, path: str) -> Attributes:
        return (await self._versioned(path))[0]

    async def _versioned(self, path: str) -> tuple[Attributes, str]:
        try:
            raw, e_tag = await self._objects.get(path + ATTRIBUTES_SUFFIX)
        except Missing as error:
            raise FileNotThere(f"There is no {path} in {self.element_id}.") from error
        return decoded(raw, path=path), e_tag

    async def _standing(self, draft: Draft) -> Attributes | None:
        try:
            stands = await self._attributes(draft.path)
        except FileNotThere:
            return None
        if await self._objects.head(draft.path) is None:
            raise DamagedFile(f"{draft.path} has attributes and no content: set it aside first.")
        return check_same(draft, stands)


class Renewal:
    """Keeps an intent young while its file is on its way."""

    def __init__(self, *, intents: Intents, intent: Intent, clock: Clock, every_s: float) -> None:
        self._intents = intents
        self._intent = intent
        self._clock = clock
        self._every_s = max(every_s, 1.0)
        self._last = clock.monotonic()

    async def __call__(self) -> None:
        """Renew it, where it is time."""
        now = self._clock.monotonic()
        if now - self._last >= self._every_s:
            self._last = now
            await self._intents.open(self._intent)


def _draft_of(attributes: Attributes) -> Draft:
    values = {name: getattr(attributes, name) for name in Draft.__struct_fields__ if hasattr(attributes, name)}
    return msgspec.structs.replace(
        Draft(**values), expected_bytes=attributes.size_bytes, expected_checksum=attributes.checksum
    )
