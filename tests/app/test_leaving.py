"""Clients that are refused while they still send: they get to read why, and are not listened to for ever."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from samovar.app.leaving import BODY_BYTES, Leaving
from samovar.ports.asgi import Receive, Scope, Send, send_whole
from tests.app.conftest import ADMIN, Serve, listening

MEBIBYTE = 1024 * 1024


async def _doorman(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses everything, by closing or not."""
    close = [(b"connection", b"close")] if scope["path"] == "/close" else []
    await send_whole(send, 413, close, b"too much")


def _sent_blindly(port: int, path: str, size_bytes: int, names: str = "") -> tuple[int, bytes]:
    """As a client that sends all of it before it looks for an answer: how much went out, and what was answered."""
    piece, sent = b"x" * MEBIBYTE, 0
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x{names}\r\nContent-Length: {size_bytes}\r\n\r\n".encode())

        try:
            while sent < size_bytes:
                client.sendall(piece)
                sent += len(piece)
        except OSError:
            return sent, b""
        answer = b""
        # To the end of the document: a connection that may go on does not end with it.
        while not answer.endswith((b"}", b"much")) and (block := client.recv(65_536)):
            answer += block
        return sent, answer


async def test_who_sends_all_of_a_body_that_is_refused_reads_the_refusal() -> None:
    async with listening(_doorman) as port:
        sent, answer = await asyncio.to_thread(_sent_blindly, port, "/close", 32 * MEBIBYTE)
        assert sent == 32 * MEBIBYTE
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"too much")


async def test_who_never_stops_sending_what_is_no_request_is_cut_off() -> None:
    async with listening(_doorman) as port:
        sent, _ = await asyncio.to_thread(_sent_blindly, port, "/x", 256 * MEBIBYTE, "\r\nBad Header: x")
        assert sent < 64 * MEBIBYTE


@pytest.mark.soak
@pytest.mark.parametrize("path", ["/close", "/go-on"])
async def test_who_never_stops_sending_is_cut_off(path: str) -> None:
    async with listening(_doorman) as port:
        sent, _ = await asyncio.to_thread(_sent_blindly, port, path, 2 * BODY_BYTES)
        assert sent < BODY_BYTES + 64 * MEBIBYTE


@pytest.mark.parametrize("path", ["/api/files/upload", "/v1/chat/completions", "/api/keys"])
async def test_large_bodies_are_refused_in_words_on_every_plane(serve: Serve, path: str) -> None:
    served = await serve(file_max_bytes=MEBIBYTE, max_body_bytes=MEBIBYTE)
    token = ADMIN["X-Admin-Token"]
    signed = f"\r\nX-Admin-Token: {token}\r\nAuthorization: Bearer {token}"
    for names, statuses in ((signed, {413}), ("", {401, 413})):
        _, answer = await asyncio.to_thread(
            _sent_blindly, served.port, path, 24 * MEBIBYTE, f"{names}\r\nX-Filename: x"
        )
        assert int(answer[9:12] or 0) in statuses, (names, answer[:300])
        assert answer.endswith(b"}")


class _Line:
    """A transport, as far as it is asked."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.said.append(name)


def test_a_client_that_falls_silent_or_takes_too_long_is_left() -> None:
    line: Any = _Line()
    leaving = Leaving(line, now=100.0, max_bytes=1000)
    assert line.said == ["write_eof"]
    assert not leaving.is_over(104.0)
    assert leaving.is_over(106.0)
    for now in range(104, 129, 4):
        leaving.heard(10, float(now))
        assert not leaving.is_over(now + 1.0)
    assert leaving.is_over(131.0)
    leaving.heard(1000, 131.0)
    assert line.said == ["write_eof", "close"]
