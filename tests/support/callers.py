"""Many callers of one server at once: a plain HTTP/1.1 client on sockets, one connection a call."""

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Heard(NamedTuple):
    """What a caller got: ``whole`` says that the answer came to its end, ``status`` 0 that not even its head came."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events."""
        lines = [line[6:] for line in self.body.decode("utf-8", "replace").splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]


async def post(url: str, body: Any, headers: dict[str, str], *, timeout_s: float = 60.0) -> Heard:
    """Make a call and read its answer, as far as it comes. Never raises for a server that dies."""
    place = urlsplit(url)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {place.path}{'?' + place.query if place.query else ''} HTTP/1.1", f"Host: {place.netloc}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(raw)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    heard = Heard(0, {}, b"", False)
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            try:
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)
                heard = await _head(reader)
                async for part in _body(reader, heard.headers):
                    heard = heard._replace(body=heard.body + part)
                return heard._replace(whole=True)
            finally:
                writer.transport.abort()
    except (OSError, EOFError, TimeoutError):
        return heard


async def _head(reader: asyncio.StreamReader) -> Heard:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    return Heard(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, b"", False)


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> Any:
    if "chunked" not in headers.get("transfer-encoding", ""):
        yield await reader.readexactly(int(headers.get("content-length", "0")))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
