"""A way between two processes that can be held at a step: what goes in, half of a content, or an answer."""

import contextlib
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

HALF_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 64 * 1024


class Held(StrEnum):
    """What of the next request with a certain word in its head does not get through."""

    REQUEST = "all of it"
    CONTENT = "half of its content"
    ANSWER = "its answer"


@dataclass
class _Watch:
    word: bytes
    what: Held
    but: Sequence[bytes] = ()
    reached: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    is_taken: bool = False


class Gate:
    """Stands before a process that listens at ``port``. What is held stays so until :meth:`open`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._watch: _Watch | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, word: str, what: Held, *, but: Sequence[str] = ()) -> None:
        """The next request whose head has ``word``, and which names none of these."""
        self._watch = _Watch(word.encode(), what, [name.encode() for name in but])

    def reached(self, within_s: float = 20.0) -> None:
        """Wait until something is held."""
        assert self._watch is not None
        assert self._watch.reached.wait(within_s), f"{self._watch.word!r} did not come by"

    def open(self) -> None:
        """Hold nothing any more."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.may_go_on.set()

    def close(self) -> None:
        """Let nobody in."""
        self.open()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            way = _Way(self, client, server)
            threading.Thread(target=way.up, daemon=True).start()
            threading.Thread(target=way.down, daemon=True).start()

    def watching(self, piece: bytes) -> _Watch | None:
        """What is to be held, where this is it."""
        watch = self._watch
        if watch is None or watch.is_taken or watch.word not in piece or any(name in piece for name in watch.but):
            return None
        watch.is_taken = True
        return watch


class _Way:
    """One connection through a gate."""

    def __init__(self, gate: Gate, client: socket.socket, server: socket.socket) -> None:
        self._gate = gate
        self._client = client
        self._server = server
        self._answers: _Watch | None = None

    def up(self) -> None:
        held, left = None, 0
        with contextlib.suppress(OSError):
            while piece := self._client.recv(_READ_BYTES):
                watch = self._gate.watching(piece)
                if watch is not None and watch.what is Held.ANSWER:
                    self._answers = watch
                elif watch is not None:
                    held, left = watch, HALF_BYTES if watch.what is Held.CONTENT else 0
                if held is not None:
                    left -= len(piece)
                    if left < 0:
                        self._wait(held, self._client)
                        held = None
                self._server.sendall(piece)
        self._end(self._server)

    def down(self) -> None:
        with contextlib.suppress(OSError):
            while piece := self._server.recv(_READ_BYTES):
                if self._answers is not None:
                    self._wait(self._answers, self._server)
                    self._answers = None
                self._client.sendall(piece)
        self._end(self._client)

    def _wait(self, watch: _Watch, sender: socket.socket) -> None:
        """Until it may go on, or whoever sent it is gone: then all that it has to say is that."""
        watch.reached.set()
        sender.settimeout(0.05)
        while not watch.may_go_on.wait(0.05):
            try:
                if not sender.recv(1, socket.MSG_PEEK):
                    raise ConnectionResetError
            except TimeoutError:
                continue
        sender.settimeout(None)

    def _end(self, other: socket.socket) -> None:
        for one in (other, self._client, self._server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
