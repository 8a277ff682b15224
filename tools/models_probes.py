"""A request for each ability that a caller may ask of a model: what ``models_table`` has each dialect write."""

from typing import Any, Final, NamedTuple

from msgspec import Raw

from samovar.ports.embeddings import EmbeddingsRequest
from samovar.ports.llm import (
    CacheMark,
    ChatRequest,
    Media,
    MediaKind,
    Message,
    OutputFormat,
    Part,
    ReasoningSettings,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)


class Probe(NamedTuple):
    """``request`` asks for the ability called ``name`` and for nothing else; its model is filled in."""

    name: str
    request: ChatRequest


_BYTES: Final = "AAAA"
_HELLO: Final = Message(role=Role.USER, parts=(Text(text="hello"),))
_SCHEMA: Final = Raw(
    b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
)
_TOOL: Final = Tool(name="look", description="looks", schema=_SCHEMA)
_CALL: Final = ToolCall(id="call_1", name="look", arguments='{"a":"b"}')


def _probe(name: str, *messages: Message, **settings: Any) -> Probe:
    return Probe(name, ChatRequest(model="", messages=messages or (_HELLO,), **settings))


def _user(name: str, *parts: Part) -> Probe:
    return _probe(name, Message(role=Role.USER, parts=(Text(text="look"), *parts)))


def _media(name: str, kind: MediaKind, **source: Any) -> Probe:
    return _user(name, Media(kind=kind, **source))


def _choice(name: str, mode: ToolMode, tool: str | None = None) -> Probe:
    return _probe(name, tools=(_TOOL,), tool_choice=ToolChoice(mode=mode, name=tool))


def _result(name: str, *content: Text | Media, is_error: bool = False) -> Probe:
    result = ToolResult(call_id=_CALL.id, content=content, is_error=is_error, name=_CALL.name)
    asked = Message(role=Role.ASSISTANT, parts=(_CALL,))
    return _probe(name, _HELLO, asked, Message(role=Role.TOOL, parts=(result,)), tools=(_TOOL,))


PROBES: Final = (
    _probe("text", _HELLO),
    _probe("a system message", Message(role=Role.SYSTEM, parts=(Text(text="be brief"),)), _HELLO),
    _probe(
        "a system message in mid-conversation",
        _HELLO,
        Message(role=Role.SYSTEM, parts=(Text(text="be brief"),)),
        _HELLO,
    ),
    _probe("a speaker's name", Message(role=Role.USER, parts=(Text(text="hello"),), name="ann")),
    _media("an image, as bytes", MediaKind.IMAGE, base64=_BYTES, media_type="image/png"),
    _media("an image, by URL", MediaKind.IMAGE, url="https://example.com/a.png"),
    _media("audio, as bytes", MediaKind.AUDIO, base64=_BYTES, media_type="audio/wav"),
    _media("audio, by URL", MediaKind.AUDIO, url="https://example.com/a.wav", media_type="audio/wav"),
    _media("video, as bytes", MediaKind.VIDEO, base64=_BYTES, media_type="video/mp4"),
    _media("video, by URL", MediaKind.VIDEO, url="https://example.com/a.mp4", media_type="video/mp4"),
    _media("a PDF, as bytes", MediaKind.FILE, base64=_BYTES, media_type="application/pdf", filename="a.pdf"),
    _media("a PDF, by URL", MediaKind.FILE, url="https://example.com/a.pdf", media_type="application/pdf"),
    _media("a file in the vendor's store", MediaKind.FILE, file_id="file-1"),
    _probe("tools", tools=(_TOOL,)),
    _probe("tools with strict schemas", tools=(Tool(name="look", schema=_SCHEMA, strict=True),)),
    _probe("no parallel tool calls", tools=(_TOOL,), parallel_tool_calls=False),
    _choice("tool_choice: auto", ToolMode.AUTO),
    _choice("tool_choice: none", ToolMode.NONE),
    _choice("tool_choice: required", ToolMode.REQUIRED),
    _choice("tool_choice: a named tool", ToolMode.NAMED, "look"),
    _result("a tool's result", Text(text="found")),
    _result("a tool's result that is an error", Text(text="not found"), is_error=True),
    _result("an image in a tool's result", Media(kind=MediaKind.IMAGE, base64=_BYTES, media_type="image/png")),
    _probe("JSON by schema", output=OutputFormat(kind="json_schema", name="a", schema=_SCHEMA, strict=True)),
    _probe("any JSON object", output=OutputFormat(kind="json_object")),
    _probe("reasoning, by effort", reasoning=ReasoningSettings(effort="high")),
    _probe(
        "reasoning, by budget",
        reasoning=ReasoningSettings(enabled=True, budget_tokens=2048),
        max_output_tokens=8192,
    ),
    _probe("no reasoning", reasoning=ReasoningSettings(enabled=False)),
    _probe("a bound on the answer", max_output_tokens=100),
    _probe("temperature", temperature=0.5),
    _probe("top_p", top_p=0.9),
    _probe("top_k", top_k=40),
    _probe("stop sequences", stop=("END",)),
    _probe("a seed", seed=7),
    _probe("a presence penalty", presence_penalty=0.5),
    _probe("a frequency penalty", frequency_penalty=0.5),
    _probe("log probabilities", logprobs=True, top_logprobs=2),
    _probe("several answers (n > 1)", choices=2),
    _probe("an end user's id", user="user-1"),
    _probe("metadata", metadata=Raw(b'{"job":"1"}')),
    _probe("the default service tier", service_tier="default"),
    _probe("the flex service tier", service_tier="flex"),
    _user("marks of what to cache", Text(text="long", cache=CacheMark())),
)

EMBEDDING_PROBES: Final = {
    "texts": EmbeddingsRequest(model="a-model", inputs=("hello", "you")),
    "texts cut into tokens": EmbeddingsRequest(model="a-model", inputs=([1, 2],)),
    "a length of the vectors": EmbeddingsRequest(model="a-model", inputs=("hello",), dimensions=256),
    "vectors in base64": EmbeddingsRequest(model="a-model", inputs=("hello",), as_base64=True),
    "an end user's id": EmbeddingsRequest(model="a-model", inputs=("hello",), other_fields=("user",)),
}
