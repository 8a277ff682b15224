"""Every fault, asked for in each of the three ways, seen on a bare socket."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from anthropic import APIError as AnthropicError
from anthropic import AsyncAnthropic
from openai import APIError as OpenAIError
from openai import AsyncOpenAI

from tests.providers.sandbox.conftest import Connect, Wire, chat, messages, post, seen

TEXT = "one two three four five six seven eight"


async def test_header_suffix_and_words_ask_alike(wire: Wire) -> None:
    for request in (
        chat("x", "x-sandbox: fault=503"),
        chat("x", "x-sandbox: 503"),
        chat("x", model="sandbox/echo?fault=503"),
        chat("x [[fault:503]]"),
    ):
        await wire.send(request)
        assert (await wire.answer())[0] == 503


async def test_words_win_over_the_suffix_and_the_suffix_over_the_header(wire: Wire) -> None:
    await wire.send(chat("x", "x-sandbox: fault=500", model="sandbox/echo?fault=503"))
    assert (await wire.answer())[0] == 503
    await wire.send(chat("[[fault:418]]", "x-sandbox: fault=500", model="sandbox/echo?fault=503"))
    assert (await wire.answer())[0] == 418


async def test_words_of_anyone_elses_are_left_alone(wire: Wire) -> None:
    await wire.send(chat("[[category:Samovars]]"))
    status, _, body = await wire.answer()
    assert status == 200
    assert b"[[category:Samovars]]" in body


@pytest.mark.parametrize(
    "directive", ["fault=no-such", "chunks=-1", "chunks=many", "delay_ms=inf", "nonsense=1", "fault=200"]
)
async def test_a_directive_that_means_nothing_is_refused(wire: Wire, directive: str) -> None:
    await wire.send(chat("x", f"x-sandbox: {directive}"))
    assert (await wire.answer())[0] == 400


async def test_429_says_when_to_come_back(wire: Wire) -> None:
    await wire.send(chat("x", "x-sandbox: fault=429"))
    status, headers, body = await wire.answer()
    assert (status, headers["retry-after"]) == (429, "1")
    assert msgspec.json.decode(body)["error"]["code"] == "rate_limit_exceeded"
    await wire.send(messages("x", "x-sandbox: fault=429 retry_after=7"))
    status, headers, body = await wire.answer()
    assert (status, headers["retry-after"]) == (429, "7")
    assert msgspec.json.decode(body)["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("status", "kind"), [(500, "api_error"), (503, "api_error"), (529, "overloaded_error"), (403, "permission_error")]
)
async def test_a_status_comes_in_the_vendors_shape(wire: Wire, status: int, kind: str) -> None:
    await wire.send(messages("x", f"x-sandbox: {status}"))
    answered, headers, body = await wire.answer()
    assert answered == status
    assert "retry-after" not in headers
    assert msgspec.json.decode(body)["error"]["type"] == kind
    await wire.send(chat("x", f"x-sandbox: {status}"))
    answered, _, body = await wire.answer()
    assert answered == status
    assert msgspec.json.decode(body)["error"]["message"]


async def test_a_spent_quota_is_each_vendors_own(wire: Wire) -> None:
    await wire.send(chat("x", "x-sandbox: quota"))
    status, _, body = await wire.answer()
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (429, "insufficient_quota")
    await wire.send(messages("x", "x-sandbox: quota"))
    status, _, body = await wire.answer()
    assert (status, msgspec.json.decode(body)["error"]["type"]) == (402, "billing_error")


async def test_a_context_too_long_is_a_400(wire: Wire) -> None:
    await wire.send(chat("x", "x-sandbox: context"))
    status, _, body = await wire.answer()
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize(("fault", "status"), [("html", 200), ("html_502", 502)])
async def test_html_comes_instead_of_json(wire: Wire, fault: str, status: int) -> None:
    await wire.send(chat("x", f"x-sandbox: {fault}"))
    answered, headers, body = await wire.answer()
    assert (answered, headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")


async def test_an_error_hides_behind_a_200(wire: Wire) -> None:
    await wire.send(chat("x", "x-sandbox: error_200", stream=True))
    status, headers, body = await wire.answer()
    assert (status, headers["content-type"]) == (200, "application/json")
    assert "error" in msgspec.json.decode(body)


async def test_a_hang_says_nothing_until_the_client_gives_up(wire: Wire, connect: Connect) -> None:
    await wire.send(chat("x", "x-sandbox: hang"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), 0.3)
    assert (await seen(connect))["in_flight"] == 1


async def test_a_hang_in_mid_stream_sends_some_and_then_nothing(wire: Wire) -> None:
    await wire.send(chat(TEXT, "x-sandbox: fault=hang_mid at=3", stream=True))
    await wire.head()
    chunks = [await wire.chunk() for _ in range(3)]
    assert b'"two "' in chunks[-1]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), 0.3)


async def test_a_hang_in_mid_body_sends_half(wire: Wire) -> None:
    await wire.send(chat(TEXT, "x-sandbox: hang_mid"))
    _, headers = await wire.head()
    await wire.reader.readexactly(int(headers["content-length"]) // 2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), 0.3)


@pytest.mark.parametrize("make", [chat, messages])
async def test_a_cut_stream_has_no_terminal_event_and_no_last_chunk(wire: Wire, make: Callable[..., bytes]) -> None:
    await wire.send(make(TEXT, "x-sandbox: cut", stream=True))
    await wire.head()
    rest = await wire.rest()
    assert b"three" in rest
    assert b"eight" not in rest
    assert b"[DONE]" not in rest
    assert b"message_stop" not in rest
    assert not rest.endswith(b"0\r\n\r\n")


async def test_a_truncated_stream_ends_as_http_but_not_as_events(wire: Wire) -> None:
    await wire.send(chat(TEXT, "x-sandbox: truncate", stream=True))
    _, _, body = await wire.answer()
    assert b"three" in body
    assert b"[DONE]" not in body


async def test_a_cut_body_is_shorter_than_it_said(wire: Wire) -> None:
    await wire.send(chat(TEXT, "x-sandbox: cut_body"))
    _, headers = await wire.head()
    assert 0 < len(await wire.rest()) < int(headers["content-length"])


async def test_a_malformed_chunk_stands_in_the_middle_of_a_stream(wire: Wire) -> None:
    await wire.send(chat(TEXT, "x-sandbox: fault=malformed at=2", stream=True))
    _, _, body = await wire.answer()
    events = [event.removeprefix(b"data: ") for event in body.split(b"\n\n") if event]
    broken = []
    for number, event in enumerate(events[:-1]):
        try:
            msgspec.json.decode(event)
        except msgspec.DecodeError:
            broken.append(number)
    assert broken == [2]
    assert events[-1] == b"[DONE]"


async def test_a_malformed_body_is_no_json(wire: Wire) -> None:
    await wire.send(chat(TEXT, "x-sandbox: malformed"))
    status, _, body = await wire.answer()
    assert status == 200
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)


@pytest.mark.parametrize("stream", [False, True])
async def test_bad_utf8_is_sent(wire: Wire, stream: bool) -> None:
    await wire.send(chat(TEXT, "x-sandbox: bad_utf8", stream=stream))
    _, _, body = await wire.answer()
    with pytest.raises(UnicodeDecodeError):
        body.decode()


async def test_an_unknown_event_disturbs_nothing_else(wire: Wire) -> None:
    await wire.send(messages(TEXT, "x-sandbox: unknown_event", stream=True))
    _, _, body = await wire.answer()
    assert b"event: sandbox_unknown" in body
    assert body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


async def test_tool_arguments_may_be_broken_json(wire: Wire) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}}
    await wire.send(chat("x", "x-sandbox: bad_arguments", model="sandbox/tools", tools=[tool]))
    _, _, body = await wire.answer()
    arguments = msgspec.json.decode(body)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(arguments)


async def test_the_sdks_raise_an_error_that_comes_in_mid_stream(openai: AsyncOpenAI, anthropic: AsyncAnthropic) -> None:
    stream = await openai.chat.completions.create(
        model="sandbox/echo?fault=error_mid", messages=[{"role": "user", "content": TEXT}], stream=True
    )

    async def listen() -> None:
        async for chunk in stream:
            assert chunk.choices[0].delta.content != "eight"

    with pytest.raises(OpenAIError, match="as asked"):
        await listen()
    with pytest.raises(AnthropicError, match="as asked"):
        async with anthropic.messages.stream(
            model="echo?fault=error_mid", max_tokens=99, messages=[{"role": "user", "content": TEXT}]
        ) as events:
            await events.get_final_message()


async def test_a_slow_first_byte_comes_late(wire: Wire) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await wire.send(chat("x", "x-sandbox: slow first_byte_ms=200"))
    assert (await wire.answer())[0] == 200
    assert loop.time() - start >= 0.2


async def test_slow_alone_takes_five_seconds(wire: Wire) -> None:
    await wire.send(chat("x", "x-sandbox: slow"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), 0.3)


async def test_a_delay_stands_between_the_chunks(wire: Wire) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await wire.send(chat("x", "x-sandbox: chunks=10 delay_ms=20", stream=True))
    await wire.answer()
    # The opening, ten pieces and the closing have eleven gaps between them.
    assert 0.22 <= loop.time() - start < 1


async def test_flaky_fails_as_often_as_asked_and_then_succeeds(wire: Wire) -> None:
    statuses = []
    for _ in range(4):
        await wire.send(chat("unsteady", "x-sandbox: flaky=2"))
        statuses.append((await wire.answer())[0])
    assert statuses == [503, 503, 200, 200]
    await wire.send(chat("another text", "x-sandbox: flaky=1 fault=429"))
    assert (await wire.answer())[0] == 429
    await wire.send(chat("another text", "x-sandbox: flaky=1 fault=429"))
    assert (await wire.answer())[0] == 200
    await wire.send(chat("unsteady", "x-sandbox: flaky=2", key="another-key"))
    assert (await wire.answer())[0] == 503


async def test_reset_forgets_who_failed(wire: Wire, connect: Connect) -> None:
    for _ in range(2):
        await wire.send(chat("unsteady", "x-sandbox: flaky=1"))
        assert (await wire.answer())[0] == 503
        await wire.send(post("/sandbox/reset", b"", key=None))
        assert (await wire.answer())[0] == 200
    assert (await seen(connect))["requests"] == 0
