"""What a request asks of the sandbox, free of any vendor's shape, and what it answers."""

from typing import Any, Literal, TypeAlias

import msgspec


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the request. ``base64`` is its bytes, or ``url`` an address that we do not fetch. ``where`` is its place
    in the request, for error messages; ``media_type`` what the caller claims it to be."""

    where: str
    base64: str | None = None
    url: str | None = None
    media_type: str | None = None


def compact(schema: bytes) -> str:
    """A schema as it is counted: white space, which each client writes as it likes, is none of the model's tokens."""
    return msgspec.json.format(schema or b"null", indent=-1).decode("utf-8", "replace")


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool that the caller offers, its JSON schema as bytes."""

    name: str
    schema: bytes


class Ask(msgspec.Struct, kw_only=True):
    """One request, read.

    ``said`` is all its text in order, for counting and for the prompt cache; ``marks`` are the places in it after which
    the caller wants the prefix cached (Anthropic), ``None`` where the vendor caches by itself (OpenAI). ``digest`` is a
    hex hash of the body, from which ids are made. ``results`` are the tool results after the last assistant turn.
    """

    model: str
    digest: str
    user_text: str
    said: list[str]
    suffix: str = ""
    stream: bool = False
    wants_usage: bool = True
    images: tuple[Image, ...] = ()
    image_count: int = 0
    tools: tuple[ToolSpec, ...] = ()
    tool_name: str | None = None
    """The one tool that must be called."""
    tools_allowed: bool = True
    parallel_allowed: bool = True
    results: tuple[str, ...] = ()
    schema: bytes | None = None
    """The JSON schema that the answer must fit; ``b"{}"`` for any JSON object."""
    reasoning_allowed: bool = True
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    marks: tuple[int, ...] | None = None
    reasoning_shown: bool = True
    """The caller wants to read the reasoning, not only its effect."""
    reasoning_sealed: bool = False
    """The caller wants it in a sealed form that it can hand back."""
    as_events: bool = True
    """A stream comes as server-sent events; otherwise as the items of one JSON array (Gemini)."""
    echo: dict[str, Any] | None = None
    """Fields of the request that the answer repeats (OpenAI's Responses)."""


class Call(msgspec.Struct, frozen=True):
    """A tool call. ``number`` counts from 0 within the answer; ``arguments`` is JSON text."""

    number: int
    name: str
    arguments: str


Stop: TypeAlias = Literal["end", "length", "stop", "tools"]


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Usage, inclusive: ``input`` counts ``cached`` and ``written``, ``output`` counts ``reasoning``."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered: reasoning, then text, then calls. ``pieces`` are the text cut for a stream, empty for a whole
    answer; ``stop_sequence`` is set with ``stop="stop"``."""

    text: str
    pieces: list[str]
    tokens: Tokens
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    stop: Stop = "end"
    stop_sequence: str | None = None
