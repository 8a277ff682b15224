"""The HTTP server: uvicorn with what it lacks.

* A client that does not finish its headers, or does not begin its body, within ``header_timeout_s`` is answered 408 and
  closed (uvicorn waits for ever). One sweep a second looks at all connections; a timer for each request would cost more.
* A client that leaves its answer unread for ``unread_timeout_s`` is cut off, and what is done for it ends (uvicorn waits for
  ever). The same sweep sees to it.
* Headers are bounded.
* When a client goes away its request's task is cancelled, and with it the call to the provider.
* What is no HTTP gets the same problem document as every other error. A wish to upgrade is passed over (RFC 9110, 7.8).
"""

import asyncio
from array import array
from fcntl import ioctl
from functools import partial
from termios import TIOCOUTQ
from typing import Any, Final

import httptools
import structlog
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from samovar.app.answering import Answering
from samovar.app.http import SECURITY_HEADERS
from samovar.app.problems import MEDIA_TYPE, problem
from samovar.kernel.errors import BodyTooSlow, Malformed, SamovarError

log = structlog.get_logger()

HEADER_TIMEOUT_S: Final = 10.0
UNREAD_TIMEOUT_S: Final = 60.0
KEEP_ALIVE_S: Final = 75
MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_PIPELINED: Final = 16
_SWEEP_EVERY_S: Final = 1.0
_SWEEPING: Final = "samovar_sweeping"
_FIXED: Final = b"".join(
    b"%s: %s\r\n" % pair for pair in (*SECURITY_HEADERS, (b"content-type", MEDIA_TYPE), (b"connection", b"close"))
)


class HeadersTooLarge(SamovarError):
    """More request line and headers than anybody needs."""

    code = "headers_too_large"
    status = 431
    title = "Headers too large"


class SamovarProtocol(HttpToolsProtocol):
    """One connection."""

    waiting_since: float | None = None
    """Since when a request's headers, or the first byte of its body, are awaited."""
    _unread_bytes = 0
    _unread_since = 0.0
    _in_head = True
    _head_bytes = 0
    _is_deaf = False
    _running: RequestResponseCycle | None = None
    _request_task: asyncio.Task[Any] | None = None

    def __init__(self, *, header_timeout_s: float, unread_timeout_s: float, **given: Any) -> None:
        super().__init__(**given)
        self.header_timeout_s = header_timeout_s
        self.unread_timeout_s = unread_timeout_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if _SWEEPING not in vars(self.server_state):
            vars(self.server_state)[_SWEEPING] = True
            self.loop.call_later(_SWEEP_EVERY_S, _sweep, self.loop, self.server_state)
        super().connection_made(transport)
        self.waiting_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._abandon()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request itself was read whole. The parser reads no more, so its answer is the connection's last.
            self._finish_what_runs()
        except httptools.HttpParserError:
            self.refuse(Malformed("what arrived is not HTTP/1.1"))
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.refuse(HeadersTooLarge(f"the request's headers pass {MAX_HEAD_BYTES} bytes"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self.waiting_since is None:
            self.waiting_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head = False
        # From now on the first byte of the body is awaited; a request without one is complete in the same breath.
        self.waiting_since = self.loop.time()
        super().on_headers_complete()
        if 0 < len(self.pipeline) <= _MAX_PIPELINED:
            # Uvicorn stops reading at the first waiting request, and then does not notice a client that leaves.
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        self.waiting_since = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.waiting_since = None
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self._request_task = task = self.loop.create_task(self._serve(cycle, app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _serve(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Uvicorn's ``run_asgi``, with a leaner ``send``."""
        try:
            await app(cycle.scope, cycle.receive, Answering(cycle).send)
        except Exception:  # edge: whatever came this far is a defect; the connection ends, the process goes on
            log.exception("request failed", path=cycle.scope["path"])
        if not cycle.response_started and not cycle.disconnected:
            cycle.response_complete = True
            self._write(SamovarError("an internal error; the log has it"))
        elif not cycle.response_complete:
            self.transport.close()
        # The cycle and the protocol hold each other; this lets both go without the collector.
        cycle.on_response = _nothing

    def leaves_unread(self, now: float) -> bool:
        """Whether nothing of a full (or last) buffer was taken off it for too long. Any byte taken begins the wait anew: a
        slow reader is none that has stopped."""
        # Only while nothing is written does a buffer that does not shrink mean that nobody reads.
        is_still = self.flow.write_paused or self.transport.is_closing()
        waiting = _unread(self.transport) if is_still else 0
        if not waiting or not self._unread_bytes or waiting < self._unread_bytes:
            self._unread_bytes, self._unread_since = waiting, now
        return waiting > 0 and now - self._unread_since > self.unread_timeout_s

    def cut_off(self) -> None:
        """Give the client up, and what is done for it."""
        log.info("a client left its answer unread and is cut off", unread_bytes=self._unread_bytes)
        self._abandon()
        self.transport.abort()

    def late(self) -> None:
        """The wait passed its bound."""
        self.waiting_since = None
        what = "headers" if self._in_head else "body"
        self.refuse(BodyTooSlow(f"the request's {what} did not arrive within {self.header_timeout_s:g} s"))

    def refuse(self, error: SamovarError) -> None:
        """Answer what never became a whole request, and close. An answer under way to an earlier one is finished first."""
        if self.transport.is_closing():
            return
        running = self._running
        if running is not None and not running.response_complete:
            if not running.more_body:
                self._finish_what_runs()
                return
            begun = running.response_started
            self._abandon()
            if begun:
                self.transport.close()
                return
        self._write(error)

    def _write(self, error: SamovarError) -> None:
        """The error as the last answer of the connection."""
        status, body = problem(error, "")
        self.transport.write(b"%s%scontent-length: %d\r\n\r\n%s" % (STATUS_LINE[status], _FIXED, len(body), body))
        self.transport.close()

    def _finish_what_runs(self) -> None:
        """Hear nothing more; what was asked before is answered, and the last answer closes the connection."""
        self._is_deaf = True
        self.waiting_since = None
        cycle: RequestResponseCycle | None = self.cycle
        # A cycle that was begun by what we could not read waits for a body that never comes.
        while self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
            cycle = self.pipeline[0][0] if self.pipeline else self._running
        if cycle is None or cycle.response_complete:
            self.transport.close()
        else:
            cycle.keep_alive = False

    def _abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self.pipeline.clear()
        running, task = self._running, self._request_task
        if running is not None and not running.response_complete and task is not None:
            running.disconnected = True
            task.cancel()
        self._running = self._request_task = None


def _unread(transport: asyncio.Transport) -> int:
    """Bytes that the client has not taken: ours, and those that the system holds for it."""
    ours = transport.get_write_buffer_size()
    if not ours:
        return 0
    held = array("i", [0])
    try:
        ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, held)
    except (OSError, ValueError):
        # Gone in this moment, or a system that does not tell.
        return ours
    return ours + held[0]


def _nothing() -> None:
    pass


def _sweep(loop: asyncio.AbstractEventLoop, state: ServerState) -> None:
    """Refuse the late and cut off those who do not read; once a second while there is any connection."""
    now = loop.time()
    for connection in list(state.connections):
        if isinstance(connection, SamovarProtocol):
            since = connection.waiting_since
            if since is not None and now - since > connection.header_timeout_s:
                connection.late()
            if connection.leaves_unread(now):
                connection.cut_off()
    if state.connections:
        loop.call_later(_SWEEP_EVERY_S, _sweep, loop, state)
    else:
        del vars(state)[_SWEEPING]


def config_of(
    app: Any,
    *,
    host: str,
    port: int,
    workers: int,
    stop_timeout_s: float,
    factory: bool,
    reload_dirs: list[str] | None = None,
    header_timeout_s: float = HEADER_TIMEOUT_S,
    unread_timeout_s: float = UNREAD_TIMEOUT_S,
) -> Config:
    """Uvicorn's configuration for ours. Its own access log stays off: the edge logs what is worth it."""
    # Workers are sent their configuration: it must be such as can be pickled.
    protocol: Any = partial(SamovarProtocol, header_timeout_s=header_timeout_s, unread_timeout_s=unread_timeout_s)
    return Config(
        app,
        factory=factory,
        host=host,
        port=port,
        workers=workers,
        reload=reload_dirs is not None,
        reload_dirs=reload_dirs,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(stop_timeout_s)),
        backlog=4096,
    )
