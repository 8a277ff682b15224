"""What vendors answer by mistake, and what callers send that is odd but theirs to send: on every surface, in every vendor's
language, whole and streamed. The right status in the surface's own shape, within its time, and the process goes on."""

import base64
import io
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image

from tests.e2e.conftest import Samovar

SURFACES = ("chat", "responses", "messages", "gemini")
FORMATS = {
    "chat": "openai/gpt-4o-{}",
    "responses": "openai/gpt-5-{}",
    "messages": "anthropic/claude-{}",
    "gemini": "gemini/gemini-{}",
}
"""A model that is asked in that language by whoever speaks another, and that nobody called before."""
TEXT = "один two три four пять six"
MAX_TOKENS = 4_000
IN_TIME_S = 10.0


@dataclass(frozen=True)
class Way:
    surface: str
    format: str
    stream: bool

    def __str__(self) -> str:
        return f"{self.surface} to {self.format}, {'stream' if self.stream else 'whole'}"


WAYS = [Way(surface, form, stream) for surface in SURFACES for form in FORMATS for stream in (False, True)]


@dataclass
class Got:
    """An answer: its status, and its JSON objects, of which a whole one has one."""

    status: int
    objects: list[Any]
    raw: str

    @property
    def last(self) -> Any:
        return self.objects[-1]


def body_of(way: Way, text: str, **further: Any) -> dict[str, Any]:
    """The request in the surface's words. ``tools``: [(name, schema)]; ``image``: (media type, bytes)."""
    image = further.get("image")
    data = base64.b64encode(image[1]).decode() if image else ""
    body = _WRITERS[way.surface](image[0] if image else "", data, text, further.get("tools") or ())
    return body if way.surface == "gemini" else {**body, "stream": way.stream}


def _gemini(kind: str, data: str, text: str, tools: Any) -> dict[str, Any]:
    parts = [{"text": text}, *([{"inlineData": {"mimeType": kind, "data": data}}] if data else [])]
    declared = [{"name": name, "parametersJsonSchema": schema} for name, schema in tools]
    return {
        "contents": [{"role": "user", "parts": parts}],
        "generationConfig": {"maxOutputTokens": MAX_TOKENS},
        **({"tools": [{"functionDeclarations": declared}]} if declared else {}),
    }


def _responses(kind: str, data: str, text: str, tools: Any) -> dict[str, Any]:
    image = [{"type": "input_image", "image_url": f"data:{kind};base64,{data}"}] if data else []
    return {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": text}, *image]}],
        "store": False,
        "max_output_tokens": MAX_TOKENS,
        "tools": [{"type": "function", "name": name, "parameters": form, "strict": False} for name, form in tools],
    }


def _messages(kind: str, data: str, text: str, tools: Any) -> dict[str, Any]:
    image = [{"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}] if data else []
    return {
        "messages": [{"role": "user", "content": [{"type": "text", "text": text}, *image]}],
        "max_tokens": MAX_TOKENS,
        **({"tools": [{"name": name, "input_schema": schema} for name, schema in tools]} if tools else {}),
    }


def _chat(kind: str, data: str, text: str, tools: Any) -> dict[str, Any]:
    image = [{"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}] if data else []
    functions = [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in tools]
    return {
        "messages": [{"role": "user", "content": [{"type": "text", "text": text}, *image]}],
        "max_tokens": MAX_TOKENS,
        **({"tools": functions} if functions else {}),
    }


_WRITERS: dict[str, Callable[[str, str, str, Any], dict[str, Any]]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
    "gemini": _gemini,
}


def call(samovar: Samovar, way: Way, text: str, **further: Any) -> Got:
    """One call to a model of its own."""
    model = FORMATS[way.format].format(uuid.uuid4().hex[:12])
    body = further.pop("body", None) or body_of(way, text, **further)
    path = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}.get(way.surface)
    if path is None:
        action = "streamGenerateContent?alt=sse" if way.stream else "generateContent"
        path = f"/gemini/v1beta/models/{model}:{action}"
    else:
        body["model"] = model
    headers = {"Authorization": f"Bearer {samovar.key}", "x-goog-api-key": samovar.key}
    if way.surface != "gemini":
        del headers["x-goog-api-key"]
    began = time.monotonic()
    status, said, _ = samovar.request("POST", path, body, headers)
    assert time.monotonic() - began < IN_TIME_S, str(way)
    if not isinstance(said, str):
        return Got(status, [said], json.dumps(said))
    lines = [line[6:] for line in said.splitlines() if line.startswith("data: ")]
    return Got(status, [json.loads(line) for line in lines if line != "[DONE]"], said)


def everywhere(samovar: Samovar, text: str, ways: list[Way] = WAYS, **further: Any) -> Iterator[tuple[Way, Got]]:
    """One call each way, several at a time."""
    with ThreadPoolExecutor(8) as pool:
        yield from zip(ways, pool.map(lambda way: call(samovar, way, text, **further), ways), strict=True)


def is_error_of(surface: str, body: Any) -> bool:
    """Whether an error, alone or as a stream's last event, has the surface's own shape."""
    if surface == "messages":
        return body["type"] == "error" and bool(body["error"]["type"]) and bool(body["error"]["message"])
    if surface == "gemini":
        error = body["error"]
        return isinstance(error["code"], int) and bool(error["message"]) and error["status"].isupper()
    if body.get("type") == "response.failed":
        return bool(body["response"]["error"]["message"])
    return {"message", "type", "param", "code"} <= set(body["error"]) and bool(body["error"]["message"])


def words_of(way: Way, got: Got) -> str:
    """What was said, whole or streamed."""
    words: list[str] = []
    for each in got.objects:
        match way.surface:
            case "chat":
                for choice in each.get("choices", ()):
                    words.append((choice.get("message") or choice.get("delta") or {}).get("content") or "")
            case "messages" if way.stream:
                words.append(each.get("delta", {}).get("text", "") if each["type"] == "content_block_delta" else "")
            case "messages":
                words += [block.get("text", "") for block in each["content"]]
            case "gemini":
                for candidate in each.get("candidates", ()):
                    words += [part.get("text", "") for part in candidate["content"].get("parts", ())]
            case "responses" if way.stream:
                words.append(each["delta"] if each["type"] == "response.output_text.delta" else "")
            case "responses":
                words += [content["text"] for item in each["output"] for content in item["content"]]
    return "".join(words)


@pytest.fixture(autouse=True)
def goes_on(samovar: Samovar) -> Iterator[None]:
    """After each of these the process answers as before, and has seen no defect of its own."""
    yield
    for surface in SURFACES:
        way = Way(surface, "chat", stream=False)
        got = call(samovar, way, "still there")
        assert (got.status, words_of(way, got)) == (200, "still there"), got.raw
    assert "Traceback" not in samovar.output.read_text()


@pytest.mark.parametrize("fault", ["html", "error_200"])
def test_a_200_that_is_no_answer_is_a_bad_gateway(samovar: Samovar, fault: str) -> None:
    for way, got in everywhere(samovar, f"[[fault:{fault}]] {TEXT}"):
        assert got.status == 502, (str(way), got.raw)
        assert is_error_of(way.surface, got.last), str(way)


@pytest.mark.parametrize("fault", ["malformed", "truncate", "bad_utf8"])
def test_a_whole_answer_that_is_no_json_or_no_text_is_a_bad_gateway(samovar: Samovar, fault: str) -> None:
    for way, got in everywhere(samovar, f"[[fault:{fault}]] {TEXT}", [way for way in WAYS if not way.stream]):
        assert got.status == 502, (str(way), got.raw)
        assert is_error_of(way.surface, got.last), str(way)


def test_a_prompt_that_is_too_long_is_the_surfaces_own_error(samovar: Samovar) -> None:
    for way, got in everywhere(samovar, f"[[fault:context]] {TEXT}"):
        assert got.status == 400, (str(way), got.raw)
        assert is_error_of(way.surface, got.last), str(way)
        error = got.last["error"]
        if way.surface == "messages":
            assert error["type"] == "invalid_request_error"
            assert "prompt is too long" in error["message"]
        elif way.surface == "gemini":
            assert error["status"] == "INVALID_ARGUMENT"
        else:
            assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded"), str(way)


ENDS = ("data: [DONE]", '"type":"message_stop"', '"type":"response.completed"', '"finishReason":"STOP"')
STREAMS = [way for way in WAYS if way.stream]


@pytest.mark.parametrize("fault", ["truncate", "malformed", "error_mid", "bad_utf8"])
def test_a_stream_that_goes_wrong_ends_with_the_surfaces_error_and_never_as_if_whole(
    samovar: Samovar, fault: str
) -> None:
    for way, got in everywhere(samovar, f"[[fault:{fault}]] {TEXT}", STREAMS):
        # Where the fault comes in one packet with the first words, nothing was sent yet and the status can be true.
        assert got.status in (200, 502), (str(way), got.raw)
        assert is_error_of(way.surface, got.last), (str(way), got.raw[-600:])
        assert not any(end in got.raw for end in ENDS), (str(way), got.raw[-600:])


@pytest.mark.parametrize("fault", ["unknown_event", "duplicate_start", "split"])
def test_what_is_odd_and_harmless_is_passed_over(samovar: Samovar, fault: str) -> None:
    for way, got in everywhere(samovar, f"[[fault:{fault}]] {TEXT}", STREAMS):
        assert got.status == 200, (str(way), got.raw)
        assert words_of(way, got) == f"[[fault:{fault}]] {TEXT}", (str(way), got.raw)


WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def test_a_call_whose_arguments_are_no_json_reaches_the_caller(samovar: Samovar) -> None:
    for way, got in everywhere(samovar, "[[fault:bad_arguments]] the weather", tools=[("weather", WEATHER)]):
        assert got.status == 200, (str(way), got.raw)
        assert "unfinished" in arguments_in(got.objects), (str(way), got.raw)


def arguments_in(value: Any, name: str = "") -> str:
    """All that stands where arguments of calls stand, in its order."""
    if isinstance(value, dict):
        return "".join(arguments_in(inner, key) for key, inner in value.items())
    if isinstance(value, list):
        return "".join(arguments_in(inner) for inner in value)
    return value if name in ("arguments", "partial_json", "INVALID_JSON", "args") and isinstance(value, str) else ""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_broken_arguments_in_the_history_go_to_the_vendor_in_its_own_form(
    samovar: Samovar, surface: str, form: str
) -> None:
    way = Way(surface, form, stream=False)
    body = body_of(way, "go on", tools=[("weather", WEATHER)])
    broken = {"name": "weather", "arguments": '{"city": "Tu'}
    if surface == "chat":
        called = {"id": "call_1", "type": "function", "function": broken}
        body["messages"] += [
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "call_1", "content": "what city?"},
        ]
    else:
        body["input"] += [
            {"type": "function_call", "call_id": "call_1", **broken},
            {"type": "function_call_output", "call_id": "call_1", "output": "what city?"},
        ]
    got = call(samovar, way, "", body=body)
    assert got.status == 200, got.raw
    assert words_of(way, got) == "what city?"


def test_two_hundred_tools_are_no_trouble(samovar: Samovar) -> None:
    tools = [(f"tool_{number}", WEATHER) for number in range(200)]
    for way, got in everywhere(samovar, "in parallel", tools=tools):
        assert got.status == 200, (str(way), got.raw[:500])
        assert all(f"tool_{number}" in got.raw for number in range(200)), str(way)


def test_a_schema_that_refers_to_itself_passes(samovar: Samovar) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
    schema = {"type": "object", "properties": {"node": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}
    for way, got in everywhere(samovar, "a list", tools=[("chain", schema)]):
        assert got.status == 200, (str(way), got.raw[:500])
        assert "chain" in got.raw


def test_an_image_of_a_type_that_the_vendor_refuses_is_the_callers_fault(samovar: Samovar) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "BMP")
    for way, got in everywhere(samovar, "What is it?", image=("image/bmp", buffer.getvalue())):
        assert got.status == 400, (str(way), got.raw[:500])
        assert is_error_of(way.surface, got.last), str(way)


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "empty"), (b'{"model": "m", "x": "\\ud800"}', "surrogate"), (b'{"model"', "ends in the middle")],
)
@pytest.mark.parametrize("surface", [*SURFACES, "embeddings"])
def test_a_body_that_is_no_json_is_called_what_it_is(samovar: Samovar, surface: str, body: bytes, words: str) -> None:
    path = {
        "chat": "/v1/chat/completions",
        "responses": "/v1/responses",
        "messages": "/v1/messages",
        "gemini": "/gemini/v1beta/models/sandbox/echo:generateContent",
        "embeddings": "/v1/embeddings",
    }[surface]
    status, said, _ = samovar.request("POST", path, body, {"Authorization": f"Bearer {samovar.key}"})
    assert status == 400, said
    assert is_error_of(surface, said)
    assert words in said["error"]["message"]
    assert said["error"]["message"].count(words) == 1
