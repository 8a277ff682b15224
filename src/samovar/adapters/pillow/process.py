"""A worker's process, as whoever hands it images sees it."""

import signal
import socket
import subprocess
import sys
import threading
from typing import Final

from samovar.adapters.pillow import wire

_MAX_JOBS: Final = 500
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_LAST_WORDS_S: Final = 1.0
_MODULE: Final = "samovar.adapters.pillow.worker"


class WorkerLost(Exception):
    """The process ended before it answered."""


class WorkerOverdue(WorkerLost):
    """It ended for the processor time that it took."""


class WorkerUnstarted(WorkerLost):
    """It ended before it saw the image, or could not even begin."""


class Worker:
    """One process and the socket to it; it starts with its first image. ``ask`` and ``bury`` are for a thread."""

    def __init__(self, *, max_bytes: int, memory_bytes: int, processor_s: int) -> None:
        self._arguments = [str(max_bytes), str(memory_bytes), str(processor_s)]
        self._jobs = 0
        self._killed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._peer: socket.socket | None = None
        # Killing may come while the process is being started.
        self._changing = threading.Lock()

    @property
    def spent(self) -> bool:
        """Whether it should take no more images: it is gone, or old enough to have leaked what libraries leak."""
        return self._killed or self._jobs >= _MAX_JOBS

    def ask(self, job: wire.Job, content: bytes) -> tuple[wire.Message, bytes]:
        """Hand over an image and wait for what becomes of it. Raises :class:`WorkerLost`."""
        try:
            peer = self._peer or self._start()
        except (wire.Hangup, OSError) as error:
            self.kill()
            raise WorkerUnstarted from error
        self._jobs += 1
        try:
            wire.send(peer, job, content)
            return wire.receive(peer, max_bytes=_MAX_ANSWER_BYTES)
        except (wire.Hangup, OSError) as error:
            raise self._loss() from error

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs, self._changing:
            if self._killed:
                ours.close()
                raise wire.Hangup
            self._peer = ours
            # Without an environment: whatever breaks in finds no key there. Isolated: no path of the caller's is searched.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-I", "-m", _MODULE, *self._arguments],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"MALLOC_ARENA_MAX": "2"},
                cwd="/",
            )
        if not isinstance(wire.receive(ours, max_bytes=_MAX_ANSWER_BYTES)[0], wire.Ready):
            raise wire.Hangup
        return ours

    def _loss(self) -> WorkerLost:
        """Why it ended. It has ended now in any case."""
        process = self._process
        try:
            # Its socket closes a moment before its end can be told; a worker that hung up and lives on is killed.
            ended_by = None if process is None else process.wait(timeout=_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            ended_by = None
        self.kill()
        return WorkerOverdue() if ended_by == -signal.SIGXCPU else WorkerLost()

    def kill(self) -> None:
        """End it now, whatever it is doing, without waiting; to be called again is harmless."""
        with self._changing:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def bury(self) -> None:
        """Wait for the end of a killed one and give back what it held. Not while it is asked, nor
        on the event loop: much memory dies slowly."""
        with self._changing:
            if self._process is not None:
                self._process.wait()
                self._process = None
            if self._peer is not None:
                self._peer.close()
                self._peer = None
