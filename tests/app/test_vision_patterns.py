"""A bad pattern slows down its own answer, and nobody else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from tests.app.conftest import ADMIN, Serve
from tests.e2e.pictures import base64_of, picture

LINE = "a" * 20_000
MOST_S = 0.02
PATTERNS = [
    ("aa*c|a", "g", ""),
    ("a.*c|a", "gs", ""),
    (r"a[^b]*b|a", "g", ""),
    (r"(?:a|aa)+c|a+\z|a", "g", ""),
    ("(a+)+$|a", "gm", ""),
    ("aa*c", "g", LINE),
]


@asynccontextmanager
async def vendor(text: str) -> AsyncIterator[str]:
    """Says ``text`` whatever it is asked, in one piece also where a stream is wanted."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    base = {"id": "x", "created": 1, "model": "m"}
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    whole = json.dumps({**base, "object": "chat.completion", "choices": [message], "usage": usage})
    delta = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks = [{"choices": [delta]}, {"choices": [last]}, {"choices": [], "usage": usage}]
    events = [json.dumps({**base, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
    stream = "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:"))
        is_stream = b'"stream":true' in (await reader.readexactly(length)).replace(b" ", b"")
        kind, body = ("text/event-stream", stream) if is_stream else ("application/json", whole)
        head_out = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head_out.encode() + body.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def longest_step_s(call: Awaitable[str]) -> tuple[float, str]:
    """The most CPU that the loop's thread took between two turns of another task meanwhile, and the answer. CPU and not time:
    others use the machine."""
    longest, is_over = 0.0, False

    async def watch() -> None:
        nonlocal longest
        last = time.thread_time()
        while not is_over:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        answer = await call
        is_over = True
    return longest, answer


@pytest.mark.parametrize("path", ["analyze", "stream"])
async def test_the_loop_takes_no_long_step_for_a_pattern(serve: Serve, path: str) -> None:
    async with vendor(LINE) as url:
        served = await serve(provider_keys={"openrouter": "sk-x"}, provider_base_urls={"openrouter": url})
        key = (await served.ask("POST", "/api/keys", body=b'{"name": "k"}', headers=ADMIN)).json["key"]
        asked = {"model": "openrouter/some/model", "prompt": "?", "image_base64": base64_of(picture()), "cleanup": True}
        sign_in = {"Authorization": f"Bearer {key}"}

        async def call(said: dict[str, object]) -> str:
            answer = await served.ask("POST", f"/v1/vision/{path}", body=json.dumps(said).encode(), headers=sign_in)
            assert answer.status == 200, answer.body[:500]
            if path == "analyze":
                return str(answer.json["text"])
            chunks = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
            return "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk["choices"])

        # What the first call loads and compiles is no pattern's fault.
        assert await call({**asked, "cleanup": False}) == LINE
        for pattern, flags, left in PATTERNS:
            config = json.dumps({"pattern": pattern, "flags": flags}).encode()
            assert (await served.ask("PUT", "/admin/config/regex", body=config, headers=ADMIN)).status == 200
            longest, text = await longest_step_s(call(asked))
            assert text == left, pattern
            assert longest < MOST_S, pattern
