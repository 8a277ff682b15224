"""The dialect, its vendor, and the real SDK against canned bytes on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google import genai

from samovar.ports.dialect import Vendor
from samovar.providers.gemini import GeminiContent
from samovar.providers.vendors import VENDORS

VENDOR = VENDORS["gemini"]


@pytest.fixture
def dialect() -> GeminiContent:
    return GeminiContent()


@pytest.fixture
def vendor() -> Vendor:
    return VENDOR


class Served:
    """What a client of a canned answer sees, and what it sent."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked = b""


@asynccontextmanager
async def served(answer: bytes, *, status: int = 200, kind: str = "application/json") -> AsyncIterator[Served]:
    """A server that gives every request one answer, and the real SDK pointed at it."""
    it = Served(None)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        it.asked = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
        opening = f"HTTP/1.1 {status} OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
        writer.write(opening.encode() + answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        options: Any = {"base_url": f"http://127.0.0.1:{port}", "retry_options": {"attempts": 1}}
        it.client = genai.Client(api_key="none", vertexai=False, http_options=options)
        try:
            yield it
        finally:
            await it.client.aio.aclose()
            it.client.close()
