"""What every wire format must do alike: each fault in each format, seen on a bare socket."""

import asyncio
import re
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.providers.sandbox.conftest import Wire, chat_body, post

TEXT = "one two three four five six seven eight"


class Format(NamedTuple):
    """How to ask in one format. ``end`` stands in whole streams alone."""

    path: str
    body: dict[str, Any]
    end: bytes
    stream_path: str = ""

    def ask(self, directives: str, *, stream: bool = False) -> bytes:
        path = self.stream_path if stream and self.stream_path else self.path
        body = self.body if self.stream_path else {**self.body, "stream": stream}
        headers = (f"x-sandbox: {directives}", "anthropic-version: 2023-06-01")
        return post(path, msgspec.json.encode(body), *headers)


def chat_format(path: str) -> Format:
    return Format(f"{path}/chat/completions", msgspec.json.decode(chat_body(TEXT)), b"[DONE]")


GEMINI = "/v1beta/models/sandbox/echo:"
CONTENTS = {"contents": [{"parts": [{"text": TEXT}]}]}
FORMATS = {
    "chat": chat_format("/v1"),
    "xai": chat_format("/xai/v1"),
    "openrouter": chat_format("/openrouter/api/v1"),
    "bigmodel": chat_format("/bigmodel/api/paas/v4"),
    "deepseek": chat_format("/deepseek/v1"),
    "messages": Format(
        "/v1/messages",
        {"model": "sandbox/echo", "max_tokens": 99, "messages": [{"role": "user", "content": TEXT}]},
        b"message_stop",
    ),
    "responses": Format("/v1/responses", {"model": "sandbox/echo", "input": TEXT}, b"response.completed"),
    "gemini": Format(f"{GEMINI}generateContent", CONTENTS, b"finishReason", f"{GEMINI}streamGenerateContent?alt=sse"),
    "gemini array": Format(f"{GEMINI}generateContent", CONTENTS, b"finishReason", f"{GEMINI}streamGenerateContent"),
}
COUNTED = {"model": "sandbox/echo", "messages": [{"role": "user", "content": TEXT}]}
FIGURES = {
    "embeddings": Format("/v1/embeddings", {"model": "sandbox/embed", "input": TEXT}, b""),
    "count_tokens": Format("/v1/messages/count_tokens", COUNTED, b""),
    "countTokens": Format(f"{GEMINI}countTokens", CONTENTS, b"", "none"),
    "embedContent": Format(
        "/v1beta/models/sandbox/embed:embedContent", {"content": {"parts": [{"text": TEXT}]}}, b"", "none"
    ),
}
every_format = pytest.mark.parametrize("asked", FORMATS.values(), ids=FORMATS)
every_endpoint = pytest.mark.parametrize("asked", [*FORMATS.values(), *FIGURES.values()], ids=[*FORMATS, *FIGURES])


def is_whole(body: bytes) -> bool:
    """Whether every event of a stream, or the array that it is, can be read."""
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")] or [body]
    try:
        return all(line.strip() == b"[DONE]" or msgspec.json.decode(line) for line in lines)
    except msgspec.DecodeError:
        return False


async def streamed(wire: Wire, asked: Format, directives: str) -> bytes:
    await wire.send(asked.ask(directives, stream=True))
    status, _, body = await wire.answer()
    assert status == 200
    return body


@every_format
async def test_a_whole_stream_has_its_end(wire: Wire, asked: Format) -> None:
    body = await streamed(wire, asked, "")
    assert b"eight" in body
    assert asked.end in body


@every_endpoint
@pytest.mark.parametrize("fault", ["400", "403", "429", "500", "503", "529", "quota", "context"])
async def test_an_error_is_json_that_says_its_status(wire: Wire, asked: Format, fault: str) -> None:
    await wire.send(asked.ask(fault))
    status, headers, body = await wire.answer()
    expected = {"quota": (402, 429), "context": (400,)}.get(fault) or (int(fault),)
    assert status in expected
    assert headers["content-type"] == "application/json"
    assert msgspec.json.decode(body)["error"]


@every_endpoint
async def test_pages_and_hidden_errors_come_in_place_of_the_answer(wire: Wire, asked: Format) -> None:
    await wire.send(asked.ask("html_502"))
    status, headers, _ = await wire.answer()
    assert (status, headers["content-type"]) == (502, "text/html; charset=utf-8")
    await wire.send(asked.ask("error_200"))
    status, _, body = await wire.answer()
    assert status == 200
    assert "error" in msgspec.json.decode(body)


@every_endpoint
async def test_a_body_can_be_harmed(wire: Wire, asked: Format) -> None:
    await wire.send(asked.ask("malformed"))
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode((await wire.answer())[2])
    await wire.send(asked.ask("cut_body"))
    _, headers = await wire.head()
    assert len(await wire.rest()) == int(headers["content-length"]) // 2


@every_format
async def test_a_body_can_be_no_utf8(wire: Wire, asked: Format) -> None:
    await wire.send(asked.ask("bad_utf8"))
    with pytest.raises(UnicodeDecodeError):
        (await wire.answer())[2].decode()


@every_format
@pytest.mark.parametrize("fault", ["cut", "cut_body"])
async def test_a_cut_stream_has_neither_its_end_nor_a_last_chunk(wire: Wire, asked: Format, fault: str) -> None:
    await wire.send(asked.ask(fault, stream=True))
    await wire.head()
    rest = await wire.rest()
    assert b"two" in rest
    assert b"eight" not in rest
    assert asked.end not in rest
    assert not rest.endswith(b"0\r\n\r\n")


@every_format
async def test_a_truncated_stream_ends_in_good_http_order(wire: Wire, asked: Format) -> None:
    body = await streamed(wire, asked, "truncate")
    assert b"two" in body
    assert asked.end not in body


@every_format
async def test_a_stray_event_stands_in_the_middle_and_the_stream_goes_on(wire: Wire, asked: Format) -> None:
    plain = await streamed(wire, asked, "")
    assert is_whole(plain)
    malformed = await streamed(wire, asked, "fault=malformed at=2")
    assert asked.end in malformed
    assert not is_whole(malformed)
    garbled = await streamed(wire, asked, "fault=bad_utf8 at=2")
    assert asked.end in garbled
    with pytest.raises(UnicodeDecodeError):
        garbled.decode()
    assert b"sandboxunknown" in re.sub(rb"[._]", b"", await streamed(wire, asked, "unknown_event")).lower()


@every_format
@pytest.mark.parametrize("fault", ["error_mid", "quota_mid"])
async def test_an_error_in_mid_stream_is_the_last_that_comes(wire: Wire, asked: Format, fault: str) -> None:
    body = await streamed(wire, asked, f"fault={fault} at=3")
    assert b"error" in body
    assert b"two" in body
    assert b"eight" not in body
    assert asked.end not in body


@every_format
async def test_a_stream_can_hang_in_its_middle(wire: Wire, asked: Format) -> None:
    await wire.send(asked.ask("fault=hang_mid at=2", stream=True))
    await wire.head()
    for _ in range(2):
        assert await wire.chunk()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), 0.1)


@every_format
async def test_an_opening_comes_twice_where_there_is_one(wire: Wire, asked: Format) -> None:
    plain = await streamed(wire, asked, "")
    doubled = await streamed(wire, asked, "fault=duplicate_start at=2")
    if asked.stream_path:  # Gemini's streams begin with the answer itself
        assert doubled == plain
        return
    surplus = len(doubled) - len(plain)
    assert surplus > 0
    assert doubled[:surplus] in doubled[surplus:]


async def test_anthropic_repeats_its_message_start_and_nothing_else(wire: Wire) -> None:
    body = await streamed(wire, FORMATS["messages"], "fault=duplicate_start at=1")
    names = [line[7:] for line in body.split(b"\n") if line.startswith(b"event: ")]
    assert names.count(b"message_start") == 2
    assert names.count(b"content_block_start") == names.count(b"message_stop") == 1


@every_endpoint
async def test_what_is_no_json_is_refused(wire: Wire, asked: Format) -> None:
    for body in (b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"contents":' + b"[" * 100_000):
        await wire.send(post(asked.path, body, "anthropic-version: 2023-06-01"))
        status, _, answer = await wire.answer()
        assert status == 400
        assert msgspec.json.decode(answer)["error"]


@every_endpoint
async def test_the_same_request_gets_the_same_bytes(wire: Wire, asked: Format) -> None:
    answers = []
    for _ in range(2):
        await wire.send(asked.ask(""))
        answers.append((await wire.answer())[2])
    assert answers[0] == answers[1]
