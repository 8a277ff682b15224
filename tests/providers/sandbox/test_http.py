"""HTTP itself: framing, bounds, deadlines, and clients that leave."""

import asyncio

import msgspec
import pytest

from samovar.providers.sandbox import Limits
from tests.providers.sandbox.conftest import KEY, Connect, Wire, chat, chat_body, eventually, messages, post, seen


@pytest.fixture
def limits() -> Limits:
    """Tight enough to be reached in a test."""
    return Limits(
        head_bytes=8_192, body_bytes=100_000, head_s=0.5, body_s=1.0, idle_s=2.0, linger_s=0.5, pipelined=4, hang_s=0.5
    )


async def test_a_connection_is_kept_for_the_next_request(wire: Wire) -> None:
    for _ in range(3):
        await wire.send(chat())
        assert (await wire.answer())[0] == 200
    await wire.send(chat("x", stream=True))
    assert (await wire.answer())[2].endswith(b"data: [DONE]\n\n")
    await wire.send(chat())
    assert (await wire.answer())[0] == 200


async def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    words = [f"word{number}" for number in range(20)]
    await wire.send(b"".join(chat(word, stream=number % 2 == 0) for number, word in enumerate(words)))
    for word in words:
        assert word.encode() in (await wire.answer())[2]


async def test_pipelined_requests_wait_for_a_paced_stream(wire: Wire) -> None:
    await wire.send(
        chat("one two", "x-sandbox: delay_ms=30", stream=True) + b"".join(chat(f"next{n}") for n in range(9))
    )
    assert b'"two"' in (await wire.answer())[2]
    for number in range(9):
        assert f"next{number}".encode() in (await wire.answer())[2]


async def test_a_request_may_come_byte_by_byte(wire: Wire) -> None:
    for byte in chat("slowly"):
        wire.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert b"slowly" in (await wire.answer())[2]


async def test_a_chunked_body_is_read(wire: Wire) -> None:
    body = chat_body("in pieces")
    await wire.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n")
    await wire.send(f"Authorization: Bearer {KEY}\r\n\r\n".encode())
    for part in (body[:10], body[10:11], body[11:]):
        await wire.send(b"%x\r\n%b\r\n" % (len(part), part))
    await wire.send(b"0\r\n\r\n")
    assert b"in pieces" in (await wire.answer())[2]


async def test_100_continue_is_said_before_the_body(wire: Wire) -> None:
    request = chat("x", "Expect: 100-continue")
    head, body = request.split(b"\r\n\r\n")
    await wire.send(head + b"\r\n\r\n")
    assert (await wire.head())[0] == 100
    await wire.send(body)
    assert (await wire.answer())[0] == 200


async def test_an_http_1_0_stream_ends_with_the_connection(wire: Wire) -> None:
    await wire.send(chat("old times", stream=True).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    _, headers = await wire.head()
    assert "transfer-encoding" not in headers
    assert (await wire.rest()).endswith(b"data: [DONE]\n\n")


async def test_a_body_over_the_bound_is_refused_unread(wire: Wire) -> None:
    await wire.send(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n")
    status, headers, body = await wire.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert msgspec.json.decode(body)["error"]["type"] == "request_too_large"
    assert await wire.rest() == b""


async def test_a_chunked_body_over_the_bound_is_refused(wire: Wire) -> None:
    await wire.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(11):
        await wire.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
    assert (await wire.answer())[0] == 413


async def test_headers_without_end_are_refused(wire: Wire) -> None:
    await wire.send(b"GET /healthz HTTP/1.1\r\n" + b"x-filler: " + b"y" * 9_000)
    assert (await wire.answer())[0] == 431


async def test_trailers_without_end_are_refused(wire: Wire) -> None:
    await wire.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    )
    await asyncio.sleep(0.05)
    await wire.send(b"x-filler: " + b"y" * 9_000)
    assert (await wire.answer())[0] == 431


@pytest.mark.parametrize(
    "nonsense",
    [
        b"this is not http\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_a_400_and_the_server_goes_on(
    wire: Wire, connect: Connect, nonsense: bytes
) -> None:
    await wire.send(nonsense)
    assert (await wire.answer())[0] == 400
    assert (await seen(connect, "/healthz"))["ok"] is True


async def test_a_head_that_never_ends_times_out(wire: Wire) -> None:
    await wire.send(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert (await wire.answer())[0] == 408


async def test_a_client_of_one_byte_a_second_times_out(wire: Wire) -> None:
    await wire.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert (await wire.answer())[0] == 408


async def test_an_idle_connection_is_closed(wire: Wire) -> None:
    await wire.send(chat())
    await wire.answer()
    assert await wire.rest() == b""


async def test_a_hang_is_bounded_too(wire: Wire) -> None:
    await wire.send(chat("x", "x-sandbox: hang"))
    assert await wire.rest() == b""


@pytest.mark.parametrize("key", [None, "", "sk-sandbox-bad"])
async def test_no_key_and_the_bad_key_get_a_401_in_the_vendors_shape(wire: Wire, key: str | None) -> None:
    await wire.send(chat(key=key))
    status, _, body = await wire.answer()
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (401, "invalid_api_key")
    await wire.send(post("/v1/messages", b"{}", "anthropic-version: 2023-06-01", key=key))
    status, _, body = await wire.answer()
    assert (status, msgspec.json.decode(body)["error"]["type"]) == (401, "authentication_error")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"model": 1, "messages": []}',
        b'{"model": "echo", "messages": []}',
        b'{"model": "echo", "max_tokens": 0, "messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "echo", "max_tokens": 5, "messages": [{"role": "pope", "content": "x"}]}',
        b'{"model": "echo", "max_tokens": 5, "messages": [{"role": "user", "content": 5}]}',
        b'{"model": "echo", "max_tokens": 5, "messages": [{"role": "user", "content": "\xff"}]}',
        b'{"model": "echo", "max_tokens": 5, "messages": ' + b"[" * 20_000,
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_body_that_breaks_the_rules_gets_a_400(wire: Wire, path: str, body: bytes) -> None:
    await wire.send(post(path, body, "anthropic-version: 2023-06-01"))
    status, _, answer = await wire.answer()
    assert status == 400
    assert msgspec.json.decode(answer)["error"]["message"]
    await wire.send(chat())
    assert (await wire.answer())[0] == 200


async def test_unknown_paths_and_methods_are_said_to_be(wire: Wire) -> None:
    await wire.send(b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await wire.answer())[0] == 404
    await wire.send(b"GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await wire.answer())[0] == 405


async def test_head_gets_no_body(wire: Wire) -> None:
    await wire.send(
        b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\nHEAD /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n" + chat("after")
    )
    assert [(await wire.head())[0] for _ in range(2)] == [200, 405]
    assert b"after" in (await wire.answer())[2]


async def test_a_client_that_leaves_cancels_its_stream(connect: Connect) -> None:
    wire = await connect()
    await wire.send(chat("x", "x-sandbox: chunks=1000 delay_ms=20", stream=True))
    await wire.head()
    await wire.chunk()
    assert (await seen(connect))["in_flight"] == 1
    wire.drop()

    async def cancelled() -> bool:
        stats = await seen(connect)
        return bool(stats["cancelled_streams"] == 1 and stats["in_flight"] == 0)

    await eventually(cancelled)
    entry = (await seen(connect, "/sandbox/requests"))["requests"][0]
    assert (entry["outcome"], entry["stream"]) == ("cancelled", True)
    assert 1 <= entry["chunks"] < 100


async def test_a_client_that_leaves_a_hang_is_noted(connect: Connect) -> None:
    wire = await connect()
    await wire.send(messages("x", "x-sandbox: hang"))
    await asyncio.sleep(0.05)
    wire.drop()

    async def cancelled() -> bool:
        return bool((await seen(connect))["cancelled"] == 1)

    await eventually(cancelled)


async def test_a_client_that_does_not_read_is_not_buffered_for_without_end(connect: Connect) -> None:
    wire = await connect()
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await wire.send(chat("w" * 2_000, "x-sandbox: chunks=10000", stream=True))
    await asyncio.sleep(0.3)
    entry = (await seen(connect, "/sandbox/requests"))["requests"][0]
    assert entry["outcome"] == "open"
    assert 0 < entry["chunks"] < 10_000
    wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
    _, _, body = await wire.answer()
    assert body.count(b"data: ") == 10_000 + 3


async def test_the_journal_shows_what_came_without_its_secrets(wire: Wire, connect: Connect) -> None:
    await wire.send(chat("note this", "X-Trace: abc"))
    await wire.answer()
    entries = (await seen(connect, "/sandbox/requests"))["requests"]
    assert len(entries) == 1
    assert entries[0]["headers"]["x-trace"] == "abc"
    assert msgspec.json.decode(entries[0]["body"])["messages"][0]["content"] == "note this"
    assert KEY not in str(entries)
    assert (entries[0]["surface"], entries[0]["model"], entries[0]["status"]) == ("openai.chat", "sandbox/echo", 200)


async def test_the_journal_forgets_the_oldest(wire: Wire, connect: Connect) -> None:
    for number in range(300):
        await wire.send(chat(f"number {number}"))
        await wire.answer()
    entries = (await seen(connect, "/sandbox/requests"))["requests"]
    assert len(entries) == 256
    assert "number 299" in entries[-1]["body"]
    assert (await seen(connect))["requests"] == 300
