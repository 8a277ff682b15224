"""Small answers and streams of our own, and what tests do with them."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from samovar.kernel.sse import SseParser
from samovar.ports.dialect import Relay, StreamReader
from samovar.ports.llm import Delta

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
DONE = b"data: [DONE]\n\n"


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-x"}
    return event({**head, "choices": choices, **fields})


def call(index: int, arguments: str, *, name: str | None = None) -> dict[str, Any]:
    """A delta with a piece of a tool call; the first piece has a name."""
    said: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if name is not None:
        said |= {"id": f"call_{name}", "type": "function"}
        said["function"]["name"] = name
    return {"tool_calls": [said]}


TALK = b"".join(
    (
        b": OPENROUTER PROCESSING\n\n",
        chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
        chunk({"reasoning_content": "Hmm."}, usage=None),
        chunk({"content": "Привет, "}, usage=None),
        chunk({"content": 'мир "usage":null \n\n🙂'}, usage=None),
        chunk(call(0, "", name="sun"), usage=None),
        chunk(call(0, '{"city":'), usage=None),
        chunk(call(0, '"Тула"}'), usage=None),
        chunk(call(1, '{"a":1}', name="moon"), usage=None),
        chunk({}, finish="tool_calls", usage=None),
        chunk(usage=USAGE),
        DONE,
    )
)


def cut(stream: bytes, at: Iterable[int]) -> list[bytes]:
    """The stream in pieces, cut at the given places."""
    places = sorted({place % (len(stream) + 1) for place in at} | {0, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(places)]


def read_all(reader: StreamReader, blocks: Iterable[bytes]) -> list[Delta]:
    parser = SseParser()
    events = [event for block in blocks for event in parser.feed(block)] + parser.end()
    return [delta for event in events for delta in reader.read(event)] + list(reader.end())


def passed(relay: Relay, blocks: Iterable[bytes], extra: dict[str, object] | None = None) -> bytes:
    return b"".join([relay.feed(block) for block in blocks]) + relay.end(extra)


def bodies(stream: bytes) -> list[Any]:
    """The JSON of a stream's events, without ``[DONE]``."""
    parser = SseParser()
    events = parser.feed(stream) + parser.end()
    return [json.loads(event.data) for event in events if event.data != b"[DONE]"]
