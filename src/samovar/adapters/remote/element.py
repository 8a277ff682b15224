"""The :class:`~samovar.ports.elements.StorageElement` of another process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from samovar.adapters.remote.feed import Feed
from samovar.adapters.remote.link import Answer, Bounds, Link, Token, WayBroken
from samovar.kernel.errors import SamovarError
from samovar.ports import element_calls as calls
from samovar.ports.clock import Clock
from samovar.ports.element_frames import whole
from samovar.ports.element_rules import check_draft, check_file_id, check_path, encoded
from samovar.ports.elements import Attributes, Condition, Draft, ElementUnavailable, Found, Mode

T = TypeVar("T")

_ACKNOWLEDGED_AT_ONCE: Final = 1_000
_ATTRIBUTES: Final = msgspec.json.Decoder(Attributes)
_CONDITION: Final = msgspec.json.Decoder(Condition)
_NUMBER: Final = msgspec.json.Decoder(int)
_NOTHING: Final[msgspec.json.Decoder[None]] = msgspec.json.Decoder(None)
_FAULT: Final[msgspec.json.Decoder[str | None]] = msgspec.json.Decoder(str | None)


class RemoteElement:
    """The element ``element_id`` of the process at ``url`` (``https://storage-1:8080``). Names are checked here too, before
    anything is sent; the element itself has the last word."""

    def __init__(
        self,
        url: str,
        *,
        element_id: str,
        token: Token,
        clock: Clock,
        bounds: Bounds | None = None,
        ca_pem: bytes | None = None,
    ) -> None:
        self.element_id = element_id
        self._make_link: Callable[[], Link] = lambda: Link(
            url, element_id=element_id, token=token, clock=clock, bounds=bounds or Bounds(), ca_pem=ca_pem
        )
        self._link: Link | None = None

    async def start(self) -> None:
        """See the port: the process that has the place serves it."""
        if self._link is None:
            self._link = self._make_link()
        try:
            found = await self.condition()
            if found.element_id != self.element_id:
                raise ElementUnavailable(
                    f"Where {self.element_id} should be, the storage element {found.element_id} answers."
                )
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See the port. The element itself goes on."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    # --- contents

    async def write(self, draft: Draft, content: AsyncIterator[bytes]) -> Attributes:
        """See the port."""
        self._started()
        check_draft(draft, element_id=self.element_id)
        return await self._sent("write", calls.OfDraft(draft=draft), content, _ATTRIBUTES)

    async def begin(self, draft: Draft) -> None:
        """See the port."""
        self._started()
        check_draft(draft, element_id=self.element_id)
        await self._again("begin", calls.OfDraft(draft=draft), _NOTHING)

    async def append(
        self, file_id: str, *, offset_bytes: int, content: AsyncIterator[bytes], all_or_nothing: bool = False
    ) -> int:
        """See the port."""
        self._started()
        arguments = calls.OfPart(
            file_id=check_file_id(file_id), offset_bytes=offset_bytes, all_or_nothing=all_or_nothing
        )
        return await self._sent("append", arguments, content, _NUMBER)

    async def offset(self, file_id: str) -> int:
        """See the port."""
        return await self._again("offset", calls.OfUpload(file_id=check_file_id(file_id)), _NUMBER)

    async def finish(self, file_id: str) -> Attributes:
        """See the port."""
        return await self._again("finish", calls.OfUpload(file_id=check_file_id(file_id)), _ATTRIBUTES)

    async def abandon(self, file_id: str) -> None:
        """See the port."""
        await self._again("abandon", calls.OfUpload(file_id=check_file_id(file_id)), _NOTHING)

    async def acknowledge(self, rows: Sequence[tuple[str, int]]) -> None:
        """See the port."""
        self._started()
        for at in range(0, len(rows), _ACKNOWLEDGED_AT_ONCE):
            some = tuple(rows[at : at + _ACKNOWLEDGED_AT_ONCE])
            await self._again("acknowledge", calls.OfRows(rows=some), _NOTHING)

    async def unacknowledged(self) -> AsyncGenerator[Attributes, None]:
        """See the port."""
        async with aclosing(self._listed("unacknowledged", calls.Arguments(), Attributes)) as found:
            async for one in found:
                yield one

    # --- files

    async def attributes(self, path: str) -> Attributes:
        """See the port."""
        return await self._again("attributes", calls.OfPath(path=check_path(path)), _ATTRIBUTES)

    async def amend(self, attributes: Attributes) -> Attributes:
        """See the port."""
        self._started()
        check_path(attributes.path)
        encoded(attributes)
        return await self._once("amend", calls.OfAttributes(attributes=attributes), _ATTRIBUTES)

    def read(self, path: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """See the port."""
        return self._content("read", calls.OfRange(path=check_path(path), start=start, end=end))

    def read_cold(self, path: str) -> AsyncGenerator[bytes, None]:
        """See the port."""
        return self._content("read-cold", calls.OfPath(path=check_path(path)))

    async def _content(self, operation: str, arguments: calls.Arguments) -> AsyncGenerator[bytes, None]:
        told = msgspec.json.encode(arguments)
        async for attempt in self._attempts():
            try:
                async with self._started().asking(operation, told) as answer, aclosing(answer.pieces()) as pieces:
                    async for piece in pieces:
                        if piece.data:
                            attempt.is_last = True
                            yield piece.data
                return
            except WayBroken:
                if attempt.is_last:
                    raise

    async def open_content(self, path: str) -> None:
        """See the port."""

    async def delete(self, path: str) -> None:
        """See the port."""
        await self._again("delete", calls.OfPath(path=check_path(path)), _NOTHING)

    async def verify(self, path: str) -> str | None:
        """See the port."""
        return await self._again("verify", calls.OfPath(path=check_path(path)), _FAULT)

    async def quarantine(self, path: str, *, reason: str) -> None:
        """See the port."""
        await self._once("quarantine", calls.OfDamage(path=check_path(path), reason=reason), _NOTHING)

    async def walk(self, *, after: str = "") -> AsyncGenerator[Found, None]:
        """See the port."""
        async with aclosing(self._listed("walk", calls.OfWalk(after=after), Found)) as found:
            async for one in found:
                yield one

    async def condition(self) -> Condition:
        """See the port."""
        return await self._again("condition", calls.Arguments(), _CONDITION)

    async def lower_mode(self, mode: Mode) -> None:
        """See the port."""
        await self._once("lower-mode", calls.OfMode(mode=mode), _NOTHING)

    # --- how it is asked

    def _started(self) -> Link:
        if self._link is None:
            raise ElementUnavailable(f"The storage element {self.element_id} is not started.")
        return self._link

    async def _once(self, operation: str, arguments: calls.Arguments, decoder: msgspec.json.Decoder[T]) -> T:
        async with self._started().asking(operation, msgspec.json.encode(arguments)) as answer:
            return await _only(answer, decoder, self.element_id)

    async def _again(self, operation: str, arguments: calls.Arguments, decoder: msgspec.json.Decoder[T]) -> T:
        """What may be done twice."""
        async for attempt in self._attempts():
            try:
                return await self._once(operation, arguments, decoder)
            except WayBroken:
                if attempt.is_last:
                    raise
        raise AssertionError

    async def _listed(self, operation: str, arguments: calls.Arguments, kind: type[T]) -> AsyncGenerator[T, None]:
        decode = msgspec.json.Decoder(kind).decode
        async for attempt in self._attempts():
            try:
                async with (
                    self._started().asking(operation, msgspec.json.encode(arguments)) as answer,
                    aclosing(answer.pieces()) as pieces,
                    aclosing(whole(pieces)) as found,
                ):
                    async for one in found:
                        attempt.is_last = True
                        yield decode(one.data)
                return
            except WayBroken:
                if attempt.is_last:
                    raise

    async def _sent(
        self,
        operation: str,
        arguments: calls.Arguments,
        content: AsyncIterator[bytes],
        decoder: msgspec.json.Decoder[T],
    ) -> T:
        """With a content, which cannot be sent twice. What it raises is raised once the element has dropped what it had."""
        link, raised = self._started(), None
        feed = Feed(msgspec.json.encode(arguments), idle_s=link.bounds.idle_s)
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(self._answer(link, operation, feed, decoder))
            answering.add_done_callback(feed.answered)
            try:
                await _fed(feed, content, answering)
                await asyncio.wait([answering])
            except asyncio.CancelledError:
                feed.break_off()
                await asyncio.wait([answering], timeout=link.bounds.farewell_s)
                raise
            except BaseException as error:  # noqa: BLE001 - edge: the sender's, raised below as it is and not in a group's
                raised = error
                feed.break_off()
                await asyncio.wait([answering], timeout=link.bounds.farewell_s)
                answering.cancel()
        if raised is not None:
            raise raised
        answer = answering.result()
        if isinstance(answer, SamovarError):
            raise answer
        return answer[0]

    async def _answer(
        self, link: Link, operation: str, feed: Feed, decoder: msgspec.json.Decoder[T]
    ) -> tuple[T] | SamovarError:
        """The answer, or the failure: raised in here it would end the group before the sender was heard."""
        try:
            async with link.asking(operation, b"", feed) as answer:
                return (await _only(answer, decoder, self.element_id),)
        except SamovarError as error:
            return error

    async def _attempts(self) -> AsyncIterator["_Attempt"]:
        bounds = self._started().bounds
        for number in range(1, bounds.attempts):
            yield _Attempt()
            await asyncio.sleep(bounds.rest_s * 2 ** (number - 1))
        yield _Attempt(is_last=True)


@dataclass(slots=True)
class _Attempt:
    is_last: bool = False
    """Also once something of the answer was given out: it must not come twice."""


async def _fed(feed: Feed, content: AsyncIterator[bytes], answering: "asyncio.Task[tuple[T] | SamovarError]") -> None:
    """Until the end of the content, or until it is refused: a sender that rests just then shall not rest for ever."""
    try:
        async with asyncio.timeout(None) as window:

            def judge(answered: "asyncio.Task[tuple[T] | SamovarError]") -> None:
                if not answered.cancelled() and isinstance(answered.result(), SamovarError):
                    window.reschedule(0)

            answering.add_done_callback(judge)
            try:
                async for piece in content:
                    if piece and not await feed.put(piece):
                        return
            finally:
                answering.remove_done_callback(judge)
            feed.end()
    except TimeoutError:
        if not window.expired():
            raise


async def _only(answer: Answer, decoder: msgspec.json.Decoder[T], element_id: str) -> T:
    """The one thing that an answer holds."""
    async with aclosing(answer.pieces()) as pieces, aclosing(whole(pieces)) as found:
        things = [one.data async for one in found]
    try:
        [thing] = things
        return decoder.decode(thing)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise ElementUnavailable(f"The storage element {element_id} answers with what cannot be read.") from error
