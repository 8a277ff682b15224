"""The processes of a host whose workers are several: uvicorn's supervisor, and beside its workers the one that has the folders.

That one starts first, for the workers ask it as soon as they start, and stops last, for calls under way need it until they end.
A signal that a terminal or a service manager sends to all processes of the group must not end it before them: so it heeds none,
but ends when the supervisor lets go of a pipe. Then it also goes when the supervisor was killed, as the workers do, each when
what it has under way is done, and folders and port are free for the next start. Its socket is the supervisor's: while it is
started anew, who asks it waits.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from multiprocessing import Pipe, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

import structlog
from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.server import Server
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from samovar.ports.clock import Clock

log = structlog.get_logger()

_LOOK_EVERY_S: Final = 0.1
_AFTER_STOP_S: Final = 10.0


def private_socket() -> socket.socket:
    """Where this host's folders are served: to this host alone."""
    return socket.create_server(("127.0.0.1", 0), backlog=4096)


class Processes(Multiprocess):
    """``folders`` is how the folders are served at ``folders_socket``; ``None``: there are none."""

    is_broken = False
    """Whether the process that has the folders could not be started at all."""

    def __init__(
        self,
        config: Config,
        sockets: list[socket.socket],
        *,
        folders: Config | None,
        folders_socket: socket.socket,
        clock: Clock,
    ) -> None:
        make: Any = config.app
        config.app = partial(_beside_the_supervisor, make)
        super().__init__(config, sockets)
        self._folders_config = folders
        self._folders_socket = folders_socket
        self._folders: _FolderServer | None = None
        self._held: Connection | None = None
        self._clock = clock
        self._asked_s: dict[Process, float] = {}

    def init_processes(self) -> None:
        """The one with the folders, and then the workers."""
        if self._folders_config is not None:
            folders = self._folders = self._new_folder_server(self._folders_config)
            while not folders.is_ready(timeout=1):
                self.handle_signals()
                self.is_broken = not folders.process.is_alive()
                if self.is_broken:
                    self.should_exit.set()
                if self.should_exit.is_set():
                    return
                time.sleep(_LOOK_EVERY_S)
        super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Start what died, or hangs, anew. None is waited for: one that answers late, starting on a host that is busy, would keep
        the others from being looked after, and signals from being heard."""
        if self.should_exit.is_set():
            return
        for place, process in enumerate(self.processes):
            if self._is_well(process):
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                # The next would fail in the same way.
                log.error("a worker did not start: all end", pid=process.pid)
                self.should_exit.set()
                return
            log.error("a worker ended, and is started anew", pid=process.pid, reason=f"exit code {process.exitcode}")
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()
        self._asked_s = {one: at_s for one, at_s in self._asked_s.items() if one in (*self.processes, self._folders)}
        self._keep_folder_server_alive()

    def _is_well(self, process: Process) -> bool:
        """Whether it lives, and answered what it was asked at most ``timeout_worker_healthcheck`` ago."""
        if not process.process.is_alive():
            return False
        now_s = self._clock.monotonic()
        try:
            if process not in self._asked_s:
                process.parent_conn.send(b"ping")
                self._asked_s[process] = now_s
            while process.parent_conn.poll(0):
                process.parent_conn.recv()
                self._asked_s.pop(process, None)
        except (OSError, EOFError):
            return False
        return now_s - self._asked_s.get(process, now_s) < process.config.timeout_worker_healthcheck

    def _keep_folder_server_alive(self) -> None:
        folders, config = self._folders, self._folders_config
        if folders is None or config is None:
            return
        if not self._is_well(folders):
            folders.kill()
            folders.join()
            # Workers that cannot start end everything; here all that is no file goes on, and the cause may pass.
            fault = "it did not start" if folders.exitcode == STARTUP_FAILURE else f"exit code {folders.exitcode}"
            log.error("the process that has the folders ended, and is started anew", pid=folders.pid, reason=fault)
            self._folders = self._new_folder_server(config)

    def restart_all(self) -> None:
        """The workers one by one; then the one with the folders, which no second process can take over before it ends."""
        super().restart_all()
        if self._folders is not None and self._folders_config is not None and not self.should_exit.is_set():
            self._end_folder_server(self._folders)
            self._folders = self._new_folder_server(self._folders_config)

    def join_all(self) -> None:
        """Wait for the workers; only then is the one with the folders let go. Until then it is started anew should it die: their
        last calls would wait for it in vain."""
        for process in self.processes:
            while process.process.is_alive():
                process.process.join(_LOOK_EVERY_S)
                if (
                    self._folders_config is not None
                    and self._folders is not None
                    and not self._folders.process.is_alive()
                ):
                    self._folders = self._new_folder_server(self._folders_config)
        if self._folders is not None:
            self._end_folder_server(self._folders)

    def _new_folder_server(self, config: Config) -> "_FolderServer":
        line, self._held = Pipe(duplex=False)
        made = _FolderServer(config, [self._folders_socket], line)
        made.start()
        # The process has its own by now.
        line.close()
        return made

    def _end_folder_server(self, folders: "_FolderServer") -> None:
        if self._held is not None:
            self._held.close()
        stop_s = folders.config.timeout_graceful_shutdown or 0
        folders.process.join(stop_s + _AFTER_STOP_S)
        if folders.process.is_alive():
            # A disk that hangs: what was promised is on it already, and recovery sees to the rest.
            log.error("the process that has the folders does not end, and is killed", pid=folders.pid)
            folders.kill()
            folders.join()


def _beside_the_supervisor(make: Callable[[], Any]) -> Any:
    """In a worker: make its app, and have it stop in order when the supervisor is gone. Nobody would start it anew, nor tell it
    to stop, and it would keep the port from the next."""
    supervisor = parent_process()
    if supervisor is not None:
        threading.Thread(target=_stop_behind, args=(supervisor,), daemon=True).start()
    return make()


def _stop_behind(supervisor: BaseProcess) -> None:
    supervisor.join()
    log.error("the supervisor is gone: this worker stops", pid=os.getpid())
    os.kill(os.getpid(), signal.SIGTERM)


class _FolderServer(Process):
    """Ends when the other end of ``line`` is closed, by whom ever."""

    def __init__(self, config: Config, sockets: list[socket.socket], line: Connection) -> None:
        super().__init__(config, sockets)
        self._line = line

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """In the process itself: serve."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._server = _Unmoved(config=self.config)
        threading.Thread(target=self._wait_for_the_end, daemon=True).start()
        super().target(sockets)

    def _wait_for_the_end(self) -> None:
        try:
            self._line.recv_bytes()
        except EOFError:
            self.server.should_exit = True


class _Unmoved(Server):
    """Uvicorn's, without a hand on signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """None are."""
        yield
