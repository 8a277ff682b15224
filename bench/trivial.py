"""The least server there is: `python -m bench.trivial PORT` answers each POST with canned bytes.

It finds the load generator's own limit. A path that names a fault gets it, so that the generator can be shown to notice:
/cut, /status, /no-usage, /no-done, /malformed, /close.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

TEXT = "steam rises from the samovar while the kettle waits for its turn at the table " * 6
EVENTS = 50


def _answer(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"x-samovar-overhead-ms: 0.25\r\n\r\n" + body


def _json(*, usage: bool) -> bytes:
    answer: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    }
    if usage:
        answer["usage"] = {"prompt_tokens": 100, "completion_tokens": 90, "total_tokens": 190}
    return json.dumps(answer).encode()


def _chunked(parts: list[bytes]) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + framed
        + b"0\r\n\r\n"
    )


def _stream(ending: bytes) -> bytes:
    event = json.dumps(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [{"delta": {"content": "steam "}}]}
    )
    usage = json.dumps({"choices": [], "usage": {"total_tokens": 190}})
    return _chunked([*(f"data: {data}\n\n".encode() for data in [*[event] * EVENTS, usage]), ending])


GOOD = _answer("200 OK", "application/json", _json(usage=True))
STREAM = _stream(b"data: [DONE]\n\n")
FAULTS = {
    b"/status": _answer("500 Internal Server Error", "application/json", b"{}"),
    b"/no-usage": _answer("200 OK", "application/json", _json(usage=False)),
    b"/no-done": _stream(b""),
    b"/malformed": b"HTTP/1.1 banana\r\n\r\n",
    b"/cut": STREAM[: len(STREAM) // 2],
    b"/close": b"",
}


class Trivial(asyncio.Protocol):
    """Counts bodies by content-length alone; one request at a time, as the load sends them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        if len(body) < length:
            return
        self._buffer = b""
        path = head.split(b" ", 2)[1]
        self._transport.write(FAULTS.get(path, STREAM if b'"stream":true' in body else GOOD))
        if path in {b"/cut", b"/close"}:
            self._transport.close()


async def serve(port: int) -> None:
    """Serve until ended from outside."""
    server = await asyncio.get_running_loop().create_server(Trivial, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
