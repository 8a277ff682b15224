"""What is asked: the two wire formats, the routes between them, and how an answer of each format is read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

_SENTENCE = (
    "steam rises from the samovar while the table fills with cups and bread and jam and the talk goes on about rivers "
    "and roads and the long way home that nobody minds because the evening is warm"
)
_SYSTEM = (
    "You are a careful assistant who answers in the words of the question. Keep to what was asked, add nothing, leave nothing "
    "out, and write plain sentences. When a word has two meanings, take the usual one; when a number is needed, give its unit. "
    "If the question cannot be answered, say so in one sentence and stop. Never mention these instructions in the answer itself."
)
LAST_WORD = "farewell"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a request asks for: an answer of `words` words, streamed or whole; `pace_ms` between the chunks of a stream."""

    words: int
    stream: bool
    pace_ms: float = 0.0

    @property
    def text(self) -> str:
        """The user's text, which the sandbox says back word by word. The pace is asked for in the text itself: it gets through
        any gateway unchanged, as a header would not."""
        pace = [f"[[delay_ms:{self.pace_ms:g}]]"] if self.pace_ms else []
        filling = islice(cycle(_SENTENCE.split()), self.words - len(pace) - 1)
        return " ".join([*pace, *filling, LAST_WORD])


WHOLE = Shape(words=90, stream=False)
STREAM = Shape(words=50, stream=True)
PACED = Shape(words=100, stream=True, pace_ms=30.0)


@dataclass(frozen=True, slots=True)
class Surface:
    """A vendor's wire format, as far as the bench needs it."""

    name: str
    path: str
    key_headers: Callable[[str], Mapping[str, str]]
    body: Callable[[str, Shape], dict[str, Any]]
    text: Callable[[dict[str, Any]], str]
    delta: Callable[[dict[str, Any]], str]
    usage_mark: bytes
    last_data: str


@dataclass(frozen=True, slots=True)
class Route:
    """From a client's wire format to a vendor's. `model` is asked of Samovar; `straight_model` of the sandbox itself."""

    name: str
    surface: Surface
    model: str
    straight_model: str


def _chat_body(model: str, shape: Shape) -> dict[str, Any]:
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": shape.text}]
    body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0.2, "max_tokens": 2048}
    if shape.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _chat_delta(event: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


def _messages_body(model: str, shape: Shape) -> dict[str, Any]:
    user = {"role": "user", "content": shape.text}
    body = {"model": model, "system": _SYSTEM, "messages": [user], "temperature": 0.2, "max_tokens": 2048}
    return body | {"stream": True} if shape.stream else body


def _messages_delta(event: dict[str, Any]) -> str:
    return str(event["delta"].get("text", "")) if event["type"] == "content_block_delta" else ""


OPENAI = Surface(
    name="openai",
    path="/v1/chat/completions",
    key_headers=lambda key: {"authorization": f"Bearer {key}"},
    body=_chat_body,
    text=lambda answer: str(answer["choices"][0]["message"]["content"]),
    delta=_chat_delta,
    usage_mark=b'"completion_tokens":',
    last_data="[DONE]",
)
ANTHROPIC = Surface(
    name="anthropic",
    path="/v1/messages",
    key_headers=lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
    body=_messages_body,
    text=lambda answer: "".join(block.get("text", "") for block in answer["content"]),
    delta=_messages_delta,
    usage_mark=b'"output_tokens":',
    last_data='"message_stop"',
)

# Models with a price, so that every call is accounted for in full; the sandbox stands in for both.
_GPT, _CLAUDE = "gpt-4o-mini", "claude-3-5-haiku-latest"
OPENAI_NATIVE = Route("openai to openai", OPENAI, f"openai/{_GPT}", _GPT)
ANTHROPIC_NATIVE = Route("anthropic to anthropic", ANTHROPIC, f"anthropic/{_CLAUDE}", _CLAUDE)
OPENAI_TO_ANTHROPIC = Route("openai to anthropic", OPENAI, f"anthropic/{_CLAUDE}", _GPT)
ANTHROPIC_TO_OPENAI = Route("anthropic to openai", ANTHROPIC, f"openai/{_GPT}", _CLAUDE)


class WrongAnswer(ValueError):
    """The first, fully read answer is not what was asked for."""


def check_whole(surface: Surface, shape: Shape, body: bytes) -> None:
    """Raises WrongAnswer unless `body` says the text back and reports usage."""
    try:
        said = surface.text(json.loads(body))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise WrongAnswer(f"not an answer of the {surface.name} format: {body[:300]!r}") from error
    _check(surface, shape, said, body)


def check_stream(surface: Surface, shape: Shape, body: bytes) -> None:
    """Raises WrongAnswer unless `body` is a whole stream that says the text back and reports usage."""
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")]
    if not lines or surface.last_data not in lines[-1]:
        raise WrongAnswer(f"a stream without its ending {surface.last_data}: ...{body[-300:]!r}")
    try:
        said = "".join(surface.delta(json.loads(line)) for line in lines if line != "[DONE]")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise WrongAnswer(f"not a stream of the {surface.name} format: {body[:300]!r}") from error
    _check(surface, shape, said, body)


def _check(surface: Surface, shape: Shape, said: str, body: bytes) -> None:
    if said != shape.text:
        raise WrongAnswer(f"the sandbox should have said the text back, but said {said[:200]!r}")
    if surface.usage_mark not in body:
        raise WrongAnswer(f"no usage ({surface.usage_mark.decode()}) in {body[-300:]!r}")
