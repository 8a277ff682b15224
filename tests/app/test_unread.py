"""Clients that ask and then do not read: they are given up in time, and slow ones are not."""

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from samovar.app.leaving import Unread
from samovar.kernel.writes import Outgoing, writes_of
from samovar.ports.asgi import Receive, Scope, Send, send_whole
from tests.app.conftest import ADMIN, Serve, listening

PIECE = b"x" * 65_536
UNREAD_S = 1.0


class Endless:
    """An app that talks for ever, or says everything at once."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/whole":
            await send_whole(send, 200, [], PIECE * 200)
            return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        finally:
            self.ended.set()


@asynccontextmanager
async def _asked(port: int, request: bytes) -> AsyncIterator[socket.socket]:
    """A connection with a small receive buffer, on which nothing is read unasked."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
        await asyncio.get_running_loop().sock_sendall(client, request)
        yield client


async def _rest(client: socket.socket) -> int:
    """The bytes that are still to be had before the connection ends."""
    loop, size = asyncio.get_running_loop(), 0
    with suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            while block := await loop.sock_recv(client, 1 << 20):
                size += len(block)
    return size


@pytest.mark.parametrize("path", ["/endless", "/whole"])
async def test_who_does_not_read_is_cut_off(path: str) -> None:
    app = Endless()
    async with listening(app, unread_timeout_s=UNREAD_S) as port:
        began = time.monotonic()
        async with _asked(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()) as client:
            if path == "/endless":
                async with asyncio.timeout(UNREAD_S + 4):
                    await app.ended.wait()
            else:
                await asyncio.sleep(UNREAD_S + 2.5)
            assert time.monotonic() - began > UNREAD_S
            assert 0 < await _rest(client) < len(PIECE) * 200


async def test_who_reads_slowly_is_served() -> None:
    app = Endless()
    async with (
        listening(app, unread_timeout_s=UNREAD_S) as port,
        _asked(port, b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n") as client,
    ):
        loop, until = asyncio.get_running_loop(), time.monotonic() + UNREAD_S + 3
        while time.monotonic() < until:
            assert await loop.sock_recv(client, 65_536)
            await asyncio.sleep(0.05)
        assert not app.ended.is_set()


async def test_who_takes_some_has_not_stopped_however_much_is_written_meanwhile() -> None:
    loop, made = asyncio.get_running_loop(), asyncio.Queue[asyncio.Transport]()

    class Line(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            made.put_nowait(transport)

    async with (
        await loop.create_server(Line, "127.0.0.1", 0) as server,
        _asked(server.sockets[0].getsockname()[1], b"hello") as client,
    ):
        transport, unread = Outgoing(await made.get(), writes_of(loop)), Unread()
        transport.write(PIECE * 100)
        assert unread.waits_s(transport, 0.0, is_still=True) == 0
        assert unread.waits_s(transport, 50.0, is_still=True) == 50
        taken = 0
        while taken < 20 * len(PIECE):
            taken += len(await loop.sock_recv(client, len(PIECE)))
        transport.write(PIECE * 100)
        assert unread.waits_s(transport, 55.0, is_still=True) == 0
        assert unread.waits_s(transport, 70.0, is_still=True) == 15
        transport.abort()


async def test_a_stream_that_nobody_reads_is_given_up_and_counted(serve: Serve) -> None:
    served = await serve(unread_timeout_s=UNREAD_S, sandbox="on")
    made = await served.ask("POST", "/api/keys", body=b'{"name":"t"}', headers=ADMIN)
    words = f"[[chunks:10000]] {'long' * 500} words"
    asked = {"model": "sandbox/echo", "stream": True, "messages": [{"role": "user", "content": words}]}
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {made.json['key']}\r\n"
        f"X-Request-Id: unread\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    async with _asked(served.port, head.encode() + body):
        for _ in range(300):
            if served.services.usage.written:
                break
            await asyncio.sleep(0.05)
    database = sqlite3.connect(served.services.settings.data_dir / "samovar.db")
    wanted = "status, http_status, error_code, input_tokens > 0, output_tokens > 0, usage_estimated"
    row = database.execute(f"SELECT {wanted} FROM usage_events WHERE request_id = 'unread'").fetchone()
    database.close()
    assert row == ("cancelled", 499, "client_gone", 1, 1, 1)
