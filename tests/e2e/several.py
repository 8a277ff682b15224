"""The processes of a Samovar with several workers, and calls to one of them."""

import http.client
import json
import os
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from tests.e2e.conftest import ADMIN_TOKEN, Samovar

_TRIES = 60
_AT_ONCE = 12


def children(running: Samovar) -> list[int]:
    """All processes that it started and that serve."""
    found = subprocess.run(["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True, check=False)
    return [pid for pid in map(int, found.stdout.split()) if b"spawn_main" in _words_of(pid)]


def _words_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_running(pid: int) -> bool:
    """Whether it has not ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def folder_process(running: Samovar) -> int:
    """The one that has the folders open."""
    [found] = [pid for pid in children(running) if any("/files/edit/.element" in name for name in _open_files(pid))]
    return found


def workers(running: Samovar) -> list[int]:
    """The ones that listen on the port."""
    listening = f"socket:[{_inode(urllib.parse.urlsplit(running.url).port or 0, None)}]"
    return [pid for pid in children(running) if listening in _open_files(pid)]


def _open_files(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    found = []
    try:
        for one in folder.iterdir():
            found.append(os.readlink(one))
    except OSError:
        pass
    return found


def _inode(port: int, peer_port: int | None) -> str:
    """Of the socket at ``port`` here: the one that listens, or the one to ``peer_port``."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        local, remote = (int(address.partition(":")[2], 16) for address in words[1:3])
        if local == port and remote == (peer_port or 0):
            return words[9]
    return ""


class OneWorker:
    """A connection that is kept, and so always the same worker's."""

    def __init__(self, running: Samovar) -> None:
        place = urllib.parse.urlsplit(running.url)
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        self._connection.connect()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body."""
        self._connection.request(method, path, body, {"X-Admin-Token": ADMIN_TOKEN, **headers})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def upload(self, name: str, content: bytes) -> tuple[int, Any]:
        """Status and answer."""
        headers = {"X-Filename": urllib.parse.quote(name, safe="")}
        status, said = self.ask("POST", "/api/files/upload", content, **headers)
        return status, json.loads(said)

    def worker(self, running: Samovar) -> int | None:
        """Whose it is; it must have been asked something."""
        mine = self._connection.sock.getsockname()[1]
        theirs = f"socket:[{_inode(self._connection.port, mine)}]"
        return next((pid for pid in children(running) if theirs in _open_files(pid)), None)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextmanager
def connections_to_each(running: Samovar, count: int) -> Iterator[dict[int, OneWorker]]:
    """A connection to each worker, by its process. The system chooses who takes a connection: so as many are made as it takes."""
    found: dict[int, OneWorker] = {}
    with ExitStack() as stack:
        for _ in range(_TRIES):
            made = [OneWorker(running) for _ in range(_AT_ONCE)]
            for one in made:
                stack.callback(one.close)
                assert one.ask("GET", "/healthz")[0] == 200
                pid = one.worker(running)
                if pid is not None:
                    found.setdefault(pid, one)
            if len(found) == count:
                yield found
                return
            time.sleep(0.05)
        raise AssertionError(f"only {len(found)} workers took connections")


class Begun:
    """An upload whose client has sent ``sent_bytes`` of it, and holds the rest back."""

    def __init__(self, running: Samovar, content: bytes, *, sent_bytes: int) -> None:
        self._running, self._content, self._sent_bytes = running, content, sent_bytes

    def __enter__(self) -> Self:
        place = urllib.parse.urlsplit(self._running.url)
        self._socket = socket.create_connection((place.hostname, place.port), timeout=30)
        head = (
            f"POST /api/files/upload HTTP/1.1\r\nHost: {place.netloc}\r\nX-Filename: begun.bin\r\n"
            f"X-Admin-Token: {ADMIN_TOKEN}\r\nContent-Length: {len(self._content)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + self._content[: self._sent_bytes])
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def go_on(self) -> None:
        """Send the rest."""
        self._socket.sendall(self._content[self._sent_bytes :])

    def answer(self) -> tuple[int, Any]:
        """Status and answer."""
        found = http.client.HTTPResponse(self._socket, method="POST")
        found.begin()
        return found.status, json.loads(found.read())


def element_folders(running: Samovar) -> list[Path]:
    """Where the usual elements stand."""
    return [running.data_dir / "files" / name for name in ("edit", "rw")]


def half_made(running: Samovar) -> list[Path]:
    """What an upload has written that is no file yet."""
    return [path for root in element_folders(running) for path in root.glob("2*/**/.*.part")]
