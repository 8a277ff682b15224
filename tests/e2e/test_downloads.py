"""Large downloads from a real process, on its own event loop."""

import hashlib
import http.client
import os
import random
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Samovar, start_samovar
from tests.e2e.storing import ask, connected, upload

LARGE = random.Random(11).randbytes(50_000_000)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar that gives up clients who do not read for two seconds."""
    running = start_samovar(tmp_path_factory.mktemp("downloads"), {"SAMOVAR_UNREAD_TIMEOUT_S": "2"})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def path(store: Samovar) -> str:
    """Of the large content."""
    made = upload(store, LARGE, "large.bin")
    assert made.status == 201
    return f"/api/files/{made.json['file_id']}/content"


def _asked(store: Samovar, path: str) -> socket.socket:
    """A connection with a small receive buffer, on which nothing is read unasked."""
    client = connected(store)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {store.key}\r\n\r\n".encode())
    return client


def _open_contents(store: Samovar) -> int:
    """How many its process has open."""
    folder = f"/proc/{store.process.pid}/fd"
    return sum("/large_" in os.path.realpath(f"{folder}/{number}") for number in os.listdir(folder))


def _closed(store: Samovar) -> bool:
    until = time.monotonic() + 10
    while _open_contents(store) and time.monotonic() < until:
        time.sleep(0.05)
    return not _open_contents(store)


def _broken(store: Samovar) -> int:
    name = 'file_operations_total{operation="download",result="broken"}'
    lines = ask(store, "GET", "/metrics").body.decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if name in line)


def test_a_large_content_comes_whole_and_in_ranges_over_one_connection(store: Samovar, path: str) -> None:
    host = store.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    for first, end in ((0, len(LARGE)), (1, len(LARGE) - 1), (20_000_000, 20_600_000), (0, len(LARGE))):
        headers = {"Authorization": f"Bearer {store.key}", "Range": f"bytes={first}-{end - 1}"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 206
        assert hashlib.sha256(answer.read()).digest() == hashlib.sha256(LARGE[first:end]).digest()
    connection.close()
    assert _closed(store)


def test_who_leaves_and_who_sleeps_is_given_up_and_nothing_stays_open(store: Samovar, path: str) -> None:
    before = _broken(store)
    with _asked(store, path) as leaving:
        assert leaving.recv(100_000)
        assert _open_contents(store) == 1
    assert _closed(store)
    with _asked(store, path) as asleep:
        assert asleep.recv(1000)
        assert _closed(store)
    assert _broken(store) == before + 2


def test_a_process_that_is_told_to_stop_ends_beside_a_download(store: Samovar, path: str) -> None:
    with _asked(store, path) as slow:
        assert slow.recv(1000)
        assert store.stop() in (0, -signal.SIGTERM)
    assert "Traceback" not in store.output.read_text()
