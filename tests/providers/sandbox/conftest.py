"""A running sandbox, the vendors' own SDKs pointed at it, and a bare socket for what no SDK would send."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from samovar.providers.sandbox import Address, Limits, SandboxServer

KEY = "sk-sandbox-of-a-test"


class Wire:
    """One connection, spoken to by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer; a stream's chunks are joined."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") != "chunked":
            return status, headers, await self.reader.readexactly(int(headers.get("content-length", "0")))
        chunks = []
        while chunk := await self.chunk():
            chunks.append(chunk)
        return status, headers, b"".join(chunks)

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode().split("\r\n")
        return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:] if line)

    async def chunk(self) -> bytes:
        size = int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 10), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 10)

    def drop(self) -> None:
        self.writer.transport.abort()


def chat_body(text: str = "hello big world", model: str = "sandbox/echo", **more: Any) -> bytes:
    return msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": text}], **more})


def post(path: str, body: bytes, *headers: str, key: str | None = KEY) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: sandbox", f"Content-Length: {len(body)}", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join((*lines, "", "")).encode() + body


def chat(text: str = "hello big world", *headers: str, key: str | None = KEY, **more: Any) -> bytes:
    """The bytes of a chat completions request."""
    return post("/v1/chat/completions", chat_body(text, **more), *headers, key=key)


def messages(text: str = "hello big world", *headers: str, model: str = "sandbox/echo", **more: Any) -> bytes:
    """The bytes of a messages request."""
    body = {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **more}
    return post("/v1/messages", msgspec.json.encode(body), "anthropic-version: 2023-06-01", *headers)


Connect = Callable[[], Awaitable[Wire]]


@pytest.fixture
def limits() -> Limits:
    """A test module may say otherwise."""
    return Limits()


@pytest.fixture
async def address(limits: Limits) -> AsyncIterator[Address]:
    server = SandboxServer(limits=limits)
    yield await server.start("127.0.0.1", 0)
    await server.close()


@pytest.fixture
async def openai(address: Address) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{address.url}/v1", api_key=KEY, max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
async def anthropic(address: Address) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=address.url, api_key=KEY, max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
async def connect(address: Address) -> AsyncIterator[Connect]:
    wires: list[Wire] = []

    async def open_one() -> Wire:
        wires.append(Wire(*await asyncio.open_connection(address.host, address.port)))
        return wires[-1]

    yield open_one
    for wire in wires:
        wire.writer.close()


@pytest.fixture
async def wire(connect: Connect) -> Wire:
    return await connect()


async def seen(connect: Connect, path: str = "/sandbox/stats") -> Any:
    """What the sandbox says about itself."""
    wire = await connect()
    await wire.send(f"GET {path} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n".encode())
    return msgspec.json.decode((await wire.answer())[2])


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Fails when ``check`` does not come true within five seconds."""
    async with asyncio.timeout(5):
        while not await check():  # noqa: ASYNC110 - the sandbox is asked over its socket, as any client would
            await asyncio.sleep(0.01)
