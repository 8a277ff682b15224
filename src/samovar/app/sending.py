"""A part of a file that the kernel sends, from the page cache to the socket, past the transport and past our memory.

uvloop sends no files, and lets nobody watch a transport's own descriptor: so it is done on a duplicate, once the transport
has nothing of its own left to write. A file may have to wait for its disk, and is read in a thread, a stint at a time, so that
many share the threads; for a client that is slower than we are the event loop waits, and no thread.
"""

import asyncio
import errno
import os
import select
from enum import Enum, auto
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl

from samovar.kernel.writes import Outgoing
from samovar.ports.asgi import SentFile

_STINT_CALLS: Final = 32
_CALL_BYTES: Final = 1024 * 1024
"""The kernel may have to read them all from a slow disk before the call ends."""
_COPIED_BYTES: Final = 256 * 1024
_PATIENCE_MS: Final = 1
"""After a call. A client that keeps up takes something within it: the way over the event loop would cost more."""
_GONE: Final = frozenset(
    {
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
    }
)
"""What is wrong with the connection; everything else is wrong with the file."""
_NOT_BY_KERNEL: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What a file system answers that cannot (sendfile(2))."""


class _End(Enum):
    """Of a stint."""

    WHOLE = auto()
    LATE = auto()
    FULL = auto()
    GONE = auto()


class FileSending:
    """One. Nothing else may write to the connection meanwhile."""

    __slots__ = ("_at", "_copies", "_file", "_flow", "_left_bytes", "_socket", "_transport")

    def __init__(self, transport: Outgoing, flow: FlowControl, file: SentFile, start: int, size_bytes: int) -> None:
        self._transport = transport
        self._flow = flow
        self._file = file
        self._at = start
        self._left_bytes = size_bytes
        self._socket = -1
        self._copies = False

    async def whole(self) -> None:
        """Send it. Raises what the file's ``run`` raises, with a part of it sent; ``CancelledError`` where the client left."""
        await self._emptied()
        if self._transport.is_closing():
            raise asyncio.CancelledError
        self._transport.written_bytes += self._left_bytes
        self._socket = os.dup(self._transport.get_extra_info("socket").fileno())
        try:
            while (end := await self._file.run(self._stint)) is not _End.WHOLE:
                if end is _End.GONE:
                    # The event loop finds that out only where it reads, and it may have paused that.
                    self._transport.abort()
                    raise asyncio.CancelledError
                if end is _End.FULL:
                    await self._room()
        finally:
            os.close(self._socket)

    async def _emptied(self) -> None:
        """What was written before goes before."""
        transport = self._transport
        if not transport.get_write_buffer_size():
            return
        low, high = transport.get_write_buffer_limits()
        transport.set_write_buffer_limits(0)
        try:
            await self._flow.drain()
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits(high, low)

    async def _room(self) -> None:
        """Wait until the client has taken some."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_writer(self._socket, _wake, ready)
        self._transport.unsent_bytes = self._left_bytes
        try:
            await ready
        finally:
            self._transport.unsent_bytes = 0
            loop.remove_writer(self._socket)

    def _stint(self) -> _End:
        """In a thread: some calls, or until there is no room. Raises ``OSError`` and ``EOFError`` of the file."""
        for _ in range(_STINT_CALLS):
            if not self._left_bytes:
                return _End.WHOLE
            try:
                self._send()
            except BlockingIOError:
                if not self._has_room():
                    return _End.FULL
            except OSError as error:
                if error.errno in _GONE:
                    return _End.GONE
                if error.errno not in _NOT_BY_KERNEL or self._copies:
                    raise
                self._copies = True
        return _End.LATE

    def _send(self) -> None:
        file = self._file.fileno()
        if self._copies:
            piece = os.pread(file, min(self._left_bytes, _COPIED_BYTES), self._at)
            sent_bytes = os.write(self._socket, piece) if piece else 0
        else:
            sent_bytes = os.sendfile(self._socket, file, self._at, min(self._left_bytes, _CALL_BYTES))
        if not sent_bytes:
            raise EOFError(f"It ends at byte {self._at}, {self._left_bytes} bytes too soon.")
        self._at += sent_bytes
        self._left_bytes -= sent_bytes

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return bool(poll.poll(_PATIENCE_MS))


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
