"""What the suites of the transport port share."""

from collections.abc import Sequence
from typing import Protocol

import pytest

from samovar.adapters.http1 import Http1Transport
from samovar.ports.transport import HttpAnswer, HttpRequest, Timeouts, Transport

QUICK = Timeouts(connect_s=2, first_byte_s=2, idle_s=2, total_s=5)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class MakeTransport(Protocol):
    """Makes the adapter under test; it is closed after the test, and must then hold nothing."""

    def __call__(self, *, max_connections: int = 100, ca_pem: bytes | None = None) -> Transport: ...


def is_http1(transport: Transport) -> bool:
    return isinstance(transport, Http1Transport)


def post(
    port: int,
    *,
    path: str = "/v1/chat",
    body: bytes = b"{}",
    headers: Sequence[tuple[str, str]] = (("authorization", "Bearer sk-x"),),
    host: str = "127.0.0.1",
    scheme: str = "http",
    streamed: bool = False,
) -> HttpRequest:
    return HttpRequest("POST", f"{scheme}://{host}:{port}{path}", headers, body, streamed)


async def ask(transport: Transport, request: HttpRequest, timeouts: Timeouts = QUICK) -> tuple[int, bytes]:
    """Status and body."""
    async with transport.send(request, timeouts=timeouts) as answer:
        return answer.status, await answer.read(max_bytes=1 << 20)


async def all_blocks(answer: HttpAnswer) -> bytes:
    return b"".join([block async for block in answer.blocks()])


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def http1_of(transport: Transport) -> Http1Transport:
    if not isinstance(transport, Http1Transport):
        pytest.skip("of our own transport: the other keeps its own books")
    return transport
