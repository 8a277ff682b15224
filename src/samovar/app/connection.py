"""A connection of the HTTP server.

Uvicorn listens, starts and stops; a connection, from its bytes to ASGI and back, is ours, for what uvicorn's lacks:

* A client that does not finish its headers, or does not begin its body, within ``header_timeout_s`` is answered 408 and
  closed (uvicorn waits for ever). One sweep a second looks at all connections; a timer for each request would cost more.
* A client that leaves its answer unread for ``unread_timeout_s`` is cut off, and what is done for it ends (uvicorn waits for
  ever). The same sweep sees to it.
* Headers are bounded, and so are the requests that may wait behind one another.
* Nothing is done for a request that most have no need of: no timer, no event, no URL taken apart that is plain.
* When a client goes away its request's task is cancelled, and with it the call to the provider.
* What is no HTTP gets the same problem document as every other error. A wish to upgrade is passed over (RFC 9110, 7.8).
* Who is refused in mid-body gets to read why: the connection is closed in one direction first (RFC 9112, 9.6).
"""

import asyncio
from collections import deque
from typing import Any, Final

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from samovar.app.answering import Exchange, last_answer
from samovar.app.leaving import BODY_BYTES, HEAD_BYTES, Leaving, Unread
from samovar.app.parsing import BodyAlone, HeadersTooLarge, check_coding, check_host, framing_of, parser_for, target_of
from samovar.app.problems import problem
from samovar.app.sweeping import keep_sweeping
from samovar.kernel.errors import BodyTooSlow, Malformed, SamovarError
from samovar.kernel.writes import Outgoing, writes_of
from samovar.ports.asgi import BY_KERNEL, Scope

log = structlog.get_logger()

MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_PIPELINED: Final = 16
_TASK: Final = "request"
_HEEDED: Final = frozenset({b"host", b"expect", b"transfer-encoding"})
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_EXTENSIONS: Final[dict[str, dict[str, dict[str, Any]]]] = {"http": {BY_KERNEL: {}}, "https": {}}


class SamovarProtocol(asyncio.Protocol):
    """One connection. Uvicorn's server makes it and asks it to shut down."""

    waiting_since: float | None = None
    """Since when a request's headers, or the first byte of its body, are awaited."""
    idle_since: float | None = None
    """Since when there is nothing to do: all that was asked is answered."""
    _in_head = True
    _bare_bytes = 0
    """Of a head, or of what frames a body (trailers, for one), since the last piece of a body."""
    _is_bare = True
    """Whether nothing that was asked for has come of the bytes at hand yet: no body, no end of a request."""
    _is_deaf = False
    _leaving: Leaving | None = None
    _host: bytes | None = None
    """The last that was sent here: it is looked at once."""
    _hosts = 0
    _unwanted_bytes = 0
    """Of a body whose answer went out before it was here."""
    _read_url: bytes | None = None
    _target = ("", b"", b"")
    """The last URL whose target was read, and that: clients ask for the same again and again."""
    _expects_continue = False
    _newest: Exchange | None = None
    """The request that was begun last; it may wait for those before it."""
    _running: Exchange | None = None

    def __init__(
        self,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        header_timeout_s: float,
        unread_timeout_s: float,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self._now = self.loop.time
        self._app = config.loaded_app
        self._keep_alive_s = config.timeout_keep_alive
        self._app_state = app_state
        self.header_timeout_s = header_timeout_s
        self.unread_timeout_s = unread_timeout_s
        self.server_state = server_state
        self._headers: list[tuple[bytes, bytes]] = []
        self._pipeline: deque[Exchange] = deque()
        self._parser = parser_for(self)

    # --- for the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        keep_sweeping(self.loop, self.server_state)
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        self._writes = writes_of(self.loop)
        self.transport = Outgoing(transport, self._writes)
        self._unread = Unread()
        self.flow = FlowControl(transport)
        self._scheme = "https" if is_ssl(transport) else "http"
        self._server = get_local_addr(transport)
        self._client = get_remote_addr(transport)
        self.waiting_since = self._now()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.connections.discard(self)
        newest = self._newest
        self._abandon()
        if newest is not None and not newest.response_complete:
            newest.disconnected = True
            newest.tell()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        # The parser and the last request hold the connection, which holds them: this lets all go without the collector.
        del self._parser
        self._newest = None

    def eof_received(self) -> None:
        self._writes.flush()

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            if self._leaving is not None:
                self._leaving.heard(len(data), self._now())
            return
        self._is_bare = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as wish:
            self._pass_over(data[wish.args[0] :])
            return
        except httptools.HttpParserError as error:
            own = error.__context__
            self.refuse(own if isinstance(own, SamovarError) else Malformed("what arrived is not HTTP/1.1"))
            return
        if self._is_bare and (self._in_head or (self._newest is not None and self._newest.more_body)):
            self._bare_bytes += len(data)
            if self._bare_bytes > MAX_HEAD_BYTES:
                self.refuse(HeadersTooLarge(f"the request's headers pass {MAX_HEAD_BYTES} bytes"))

    # --- for the parser

    def on_message_begin(self) -> None:
        self._in_head, self._bare_bytes = True, 0
        self._url = b""
        self._headers = []
        self._hosts = self._unwanted_bytes = 0
        self._expects_continue = False
        self.idle_since = None
        if self.waiting_since is None:
            self.waiting_since = self._now()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            # A trailer. As a header it would speak for the request where nobody before us looked (RFC 9110, 6.5.1).
            return
        name = name.lower()
        if name in _HEEDED:
            if name == b"host":
                self._hosts += 1
                if value != self._host:
                    check_host(value)
                    self._host = value
            elif name == b"transfer-encoding":
                check_coding(value)
            elif value.lower() == b"100-continue":
                self._expects_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        # From now on the first byte of the body is awaited; a request without one is complete in the same breath.
        self.waiting_since = self._now()
        version = self._parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise ValueError("no version of HTTP that is spoken here")
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            raise Malformed("a request names one Host (RFC 9112, 3.2)")
        if self._url != self._read_url:
            self._target, self._read_url = target_of(self._url), self._url
        path, raw_path, query = self._target
        scope: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "extensions": _EXTENSIONS[self._scheme],
            "root_path": "",
            "headers": self._headers,
            "state": self._app_state.copy(),
            "method": self._parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
        }
        before = self._newest
        self._newest = exchange = Exchange(
            self,
            scope,
            keep_alive=version != "1.0" and self._parser.should_keep_alive(),
            owes_continue=self._expects_continue,
        )
        if before is None or before.response_complete:
            self._start(exchange)
            return
        self._pipeline.appendleft(exchange)
        if len(self._pipeline) > _MAX_PIPELINED:
            self.flow.pause_reading()
        else:
            # While we do not read we do not notice a client that leaves.
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        self.waiting_since = None
        self._is_bare, self._bare_bytes = False, 0
        if self._newest is not None and not self._newest.response_complete:
            self._newest.arrived(body)
            return
        self._unwanted_bytes += len(body)
        if self._unwanted_bytes > BODY_BYTES:
            self._leave(HEAD_BYTES)

    def on_message_complete(self) -> None:
        self.waiting_since = None
        self._is_bare = False
        if (newest := self._newest) is not None:
            newest.more_body = False
            if not newest.response_complete:
                newest.tell()

    # --- for the server, the requests and the sweep

    def shutdown(self) -> None:
        """End with the answer that is under way, or at once."""
        if self._newest is None or self._newest.response_complete or self._leaving is not None:
            self.transport.close()
        else:
            self._newest.keep_alive = False

    def completed(self) -> None:
        """See :class:`samovar.app.answering.Host`."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        following = self._pipeline.pop() if self._pipeline else None
        if self.flow.read_paused:
            self.read_on()
        if following is not None:
            self._start(following)
        else:
            self.idle_since = self._now()

    def end(self) -> None:
        """See :class:`samovar.app.answering.Host`."""
        newest = self._newest
        if self._is_deaf or (newest is not None and newest.more_body):
            self._leave(BODY_BYTES)
        else:
            self.transport.close()

    def read_on(self) -> None:
        """See :class:`samovar.app.answering.Host`."""
        # Each piece that is read may hold thousands of requests.
        if len(self._pipeline) <= _MAX_PIPELINED:
            self.flow.resume_reading()

    def _start(self, exchange: Exchange) -> None:
        self._running = exchange
        self._writes.expected += 1
        # Named, because asyncio would write out a number for the name; made here, because uvloop names it afterwards.
        exchange.task = task = asyncio.Task(self._serve(exchange), loop=self.loop, name=_TASK)
        self.server_state.tasks.add(task)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception:  # edge: whatever came this far is a defect; the connection ends, the process goes on
            log.exception("request failed", path=exchange.scope["path"])
        finally:
            # Not by a callback of the task, which costs a turn of the loop.
            self.server_state.tasks.discard(exchange.task)
        if not exchange.response_started and not exchange.disconnected:
            exchange.response_complete = True
            self._write(SamovarError("an internal error; the log has it"))
        elif not exchange.response_complete:
            self.transport.close()

    def look(self, now: float) -> None:
        """Once a second: refuse who is late, cut off who does not read, close what nobody uses."""
        since = self.waiting_since
        if since is not None and now - since > self.header_timeout_s:
            self._late()
        # Only while nothing is written does a buffer that does not shrink mean that nobody reads.
        is_still = self.flow.write_paused or self.transport.is_closing()
        if self._unread.waits_s(self.transport, now, is_still=is_still) > self.unread_timeout_s:
            self._cut_off()
        is_idle = self.idle_since is not None and now - self.idle_since > self._keep_alive_s
        if is_idle or (self._leaving is not None and self._leaving.is_over(now)):
            self.transport.close()

    def _cut_off(self) -> None:
        """Give the client up, and what is done for it."""
        log.info("a client left its answer unread and is cut off", unread_bytes=self._unread.size_bytes)
        self._abandon()
        self.transport.abort()

    def _late(self) -> None:
        """The wait passed its bound."""
        self.waiting_since = None
        what = "headers" if self._in_head else "body"
        self.refuse(BodyTooSlow(f"the request's {what} did not arrive within {self.header_timeout_s:g} s"))

    def refuse(self, error: SamovarError) -> None:
        """Answer what never became a whole request, and close. An answer under way to an earlier one is finished first."""
        if self.transport.is_closing():
            return
        newest, running = self._newest, self._running
        if newest is not None and newest.response_complete and newest.more_body:
            # Its answer went out before its body was here. Another one would be taken for that of the next request.
            self.transport.close()
            return
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
        self.transport.write(last_answer(*problem(error, "")))
        self._leave(HEAD_BYTES)

    def _leave(self, max_bytes: int) -> None:
        """Say nothing more, and drop what the client still sends."""
        self._is_deaf, self.waiting_since = True, None
        if self._leaving is not None or self.transport.is_closing():
            return
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self._leaving = Leaving(self.transport, now=self._now(), max_bytes=max_bytes)
        self.flow.resume_reading()

    def _pass_over(self, rest: bytes) -> None:
        """A wish to upgrade is not granted. Behind it the parser takes all for another protocol's, the request's body too: so
        that is left to another parser, and the answer is the connection's last."""
        newest, framing = self._newest, framing_of(self._headers)
        if newest is None or not framing or newest.scope["method"] == "CONNECT":
            self._finish_what_runs()
            return
        newest.more_body, newest.keep_alive = True, False
        self.waiting_since = self._now()
        self._parser = parser_for(BodyAlone(self))
        # What of the framing the first parser had no need to understand may be found wrong only here.
        self.data_received(framing + rest)

    def _finish_what_runs(self) -> None:
        """Hear nothing more; what was asked before is answered, and the last answer closes the connection."""
        self._is_deaf = True
        self.waiting_since = None
        last = self._newest
        # One that was begun by what we could not read waits for a body that never comes.
        while self._pipeline and self._pipeline[0].more_body:
            self._pipeline.popleft()
            last = self._pipeline[0] if self._pipeline else self._running
        if last is None or last.response_complete:
            self.transport.close()
        else:
            last.keep_alive = False

    def _abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self._pipeline.clear()
        running, self._running = self._running, None
        if running is not None and not running.response_complete and running.task is not None:
            running.disconnected = True
            # A task that was never run does not run its end either.
            running.task.add_done_callback(self.server_state.tasks.discard)
            running.task.cancel()
