"""The two directions of a call between storage roles, on the raw ASGI of the data plane."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from samovar.kernel.errors import BodyTooSlow, SamovarError
from samovar.ports.asgi import RawHeaders, Receive, Send, send_whole
from samovar.ports.element_calls import FRAMES_TYPE, document_of
from samovar.ports.element_frames import MAX_WHOLE_BYTES, BadFrame, BrokenOff, Kind, frame, head, pieces
from samovar.ports.problems import PROBLEM_TYPE

_DRAINED_S: Final = 5.0
_GATHERED_BYTES: Final = 64 * 1024


class Incoming:
    """What is asked: arguments, and perhaps a content."""

    def __init__(self, receive: Receive, *, idle_s: float) -> None:
        self._receive = receive
        self._idle_s = idle_s
        self._pieces = pieces(self._chunks())
        self.is_over = False
        """Whether the last frame came."""

    async def arguments(self) -> bytes:
        """The first frame. Raises ``BadFrame``, ``BodyTooSlow``."""
        held = b""
        async for piece in self._pieces:
            held += piece.data
            if piece.kind is not Kind.DATA or len(held) > MAX_WHOLE_BYTES:
                break
            if piece.is_last:
                return held
        raise BadFrame("The first frame holds the arguments.")

    async def content(self) -> AsyncGenerator[bytes, None]:
        """What follows. Raises :class:`BrokenOff` where the sender goes on no further."""
        async for piece in self._pieces:
            if piece.kind is Kind.DATA:
                yield piece.data
                continue
            self.is_over = True
            if piece.kind is Kind.BROKEN:
                raise BrokenOff("The sender of the content broke off.")
            return

    async def nothing_more(self) -> None:
        """Read the end of what has no content. Raises :class:`BadFrame` where it has."""
        async for _ in self.content():
            raise BadFrame("Nothing follows the arguments of this operation.")

    async def drain(self) -> None:
        """Read on for a moment, so that who is still sending can hear the answer; it will break off then."""
        try:
            async with asyncio.timeout(_DRAINED_S), aclosing(self.content()) as content:
                async for _ in content:
                    pass
        except (TimeoutError, SamovarError):
            pass

    async def close(self) -> None:
        """Nothing more is read."""
        await self._pieces.aclose()

    async def _chunks(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await self._receive()
            except TimeoutError as error:
                raise BodyTooSlow(f"nothing of the content came for {self._idle_s:g} s") from error
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError
            more = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body


class Outgoing:
    """The answer. Its head waits for the first thing or failure, but not for long: then it says that somebody is at work."""

    def __init__(self, send: Send, headers: RawHeaders, *, request_id: str, alive_every_s: float) -> None:
        self._send = send
        self._alive_every_s = alive_every_s
        self._headers = headers
        self._request_id = request_id
        self._turn = asyncio.Lock()
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._has_begun = False
        self._is_over = False
        self._has_news = False
        self.status = 200

    async def data(self, data: bytes) -> None:
        """A frame. Small ones go out together."""
        self._has_news = True
        self._gathered += (head(Kind.DATA, len(data)), data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _GATHERED_BYTES:
            await self._flush()

    async def end(self, incoming: Incoming) -> None:
        """That was all."""
        self._gathered.append(frame(Kind.END))
        self._is_over = incoming.is_over
        await self._flush()
        if not self._is_over:
            # It stood already: nobody needs the content, and who sends it shall hear so.
            self._is_over = True
            await incoming.drain()
            await self._flush()

    async def fail(self, error: SamovarError, incoming: Incoming) -> None:
        """It failed: told by its status, or where that is out already in the last frame."""
        self._is_over = True
        document = document_of(error, self._request_id)
        if self._has_begun:
            self._gathered.append(frame(Kind.BROKEN, document))
            await self._flush()
            return
        self.status = error.http_status
        headers = [*self._headers, (b"content-type", PROBLEM_TYPE.encode()), (b"cache-control", b"no-store")]
        if incoming.is_over:
            await send_whole(self._send, self.status, headers, document)
            return
        headers.append((b"content-length", b"%d" % len(document)))
        await self._send({"type": "http.response.start", "status": self.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": document, "more_body": True})
        await incoming.drain()
        await self._send({"type": "http.response.body", "body": b""})

    async def say_alive(self) -> None:
        """Again and again, until cancelled."""
        while True:
            self._has_news = False
            await asyncio.sleep(self._alive_every_s)
            if not self._has_news and not self._is_over:
                self._gathered.append(frame(Kind.ALIVE))
                await self._flush()

    async def _flush(self) -> None:
        async with self._turn:
            body, self._gathered, self._gathered_bytes = b"".join(self._gathered), [], 0
            if not self._has_begun:
                self._has_begun = True
                headers = [*self._headers, (b"content-type", FRAMES_TYPE.encode()), (b"cache-control", b"no-store")]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": body, "more_body": not self._is_over})
