"""OpenAI's ``POST /v1/chat/completions``, written from the API reference and not from our own client's code.

https://platform.openai.com/docs/api-reference/chat; ``reasoning_content`` is DeepSeek's and BigModel's addition.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.answers import cut, cut_arguments
from samovar.providers.sandbox.ask import Answer, Ask, Call
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.exchange import EVENT_STREAM, Request
from samovar.providers.sandbox.openai_chat_request import read_chat
from samovar.providers.sandbox.openai_errors import CREATED, request_id
from samovar.providers.sandbox.openai_flavours import CHAT_PATH, OPENAI, Flavour, UsagePlace
from samovar.providers.sandbox.surface import bearer_or_api_key

_FINISH: Final = {"end": "stop", "stop": "stop", "length": "length", "tools": "tool_calls"}
_encode: Final = msgspec.json.Encoder().encode


class OpenAIChat:
    """See the module."""

    def __init__(self, *, flavour: Flavour = OPENAI) -> None:
        self._flavour = flavour
        self.name = flavour.name
        self.manners = flavour.manners
        # Asked first of every request: OpenAI's own path is compared here, without a call.
        self._path = None if flavour.prefix else CHAT_PATH

    def claims(self, path: str) -> bool:
        """The chat completions of its flavour."""
        return path == self._path or (self._path is None and self._flavour.claims(path))

    def key(self, request: Request) -> bytes:
        """``Authorization: Bearer``, or Azure's ``api-key``."""
        return bearer_or_api_key(request.headers)

    def read(self, request: Request) -> Ask:
        """Raises ``Refused`` (400, 422)."""
        return read_chat(request.body, known=self._flavour.known)

    def whole(self, ask: Ask, answer: Answer) -> bytes:
        """A ``chat.completion``."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer.text or None,
            "refusal": None,
            "annotations": [],
        }
        if answer.reasoning:
            reasoned = (self._flavour.reasoned or self._flavour.reasoning)(answer.reasoning)
            if isinstance(reasoned.get("content"), list):
                said = [{"type": "text", "text": answer.text}] if answer.text else []
                reasoned["content"] = [*reasoned["content"], *said]
            message.update(reasoned)
        if answer.calls:
            message["tool_calls"] = [_call(ask, call) for call in answer.calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[answer.stop]}
        return _encode(
            {
                "id": f"chatcmpl-{ask.digest}",
                "object": "chat.completion",
                "created": CREATED,
                "model": ask.model,
                "choices": [choice],
                "usage": self._flavour.usage(answer.tokens),
                "service_tier": "default",
                "system_fingerprint": "fp_samovar_sandbox",
            }
        )

    def stream_type(self, ask: Ask) -> bytes:
        """Server-sent events."""
        return EVENT_STREAM

    def blocks(self, ask: Ask, answer: Answer) -> Iterator[bytes]:
        """``chat.completion.chunk`` events, then ``[DONE]``."""
        flavour = self._flavour
        frame = _Frame(ask, flavour)
        yield flavour.preamble + frame.delta(
            {"role": "assistant", "content": "" if answer.text else None, "refusal": None}
        )
        for piece in cut(answer.reasoning):
            yield frame.delta(flavour.reasoning(piece))
        if answer.reasoning and flavour.seal is not None:
            yield frame.delta(flavour.seal(answer.reasoning))
        before, after = frame.content()
        for piece in answer.pieces:
            yield before + _encode(piece) + after
        for call in answer.calls:
            opened = _call(ask, call)
            opened["function"]["arguments"] = ""
            yield frame.delta({"tool_calls": [{"index": call.number, **opened}]})
            for piece in cut_arguments(call.arguments):
                yield frame.delta({"tool_calls": [{"index": call.number, "function": {"arguments": piece}}]})
        yield frame.closing(answer) + b"data: [DONE]\n\n"

    def error(self, problem: Problem) -> bytes:
        """``{"error": {message, type, param, code}}``, or as the flavour has it."""
        return self._flavour.error(problem)

    def error_event(self, ask: Ask, answer: Answer, problem: Problem, at: int) -> bytes:
        """A ``data`` line that holds the error body; no ``[DONE]`` follows."""
        return self._flavour.error_event(problem)

    def stray_events(self, ask: Ask) -> Mapping[str, bytes]:
        """Broken JSON, a byte that no UTF-8 has, an object of a type that nobody knows."""
        return {
            "malformed": b'data: {"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"delta":\n\n',
            "bad_utf8": b'data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,'
            b'"delta":{"content":"\xff\xfe"},"finish_reason":null}]}\n\n',
            "unknown_event": b'event: sandbox.unknown\ndata: {"object":"sandbox.unknown","choices":[]}\n\n',
        }

    def headers(self, digest: str) -> bytes:
        """``x-request-id``."""
        return request_id(digest)


class _Frame:
    """The unchanging part of a stream's events, encoded once."""

    def __init__(self, ask: Ask, flavour: Flavour) -> None:
        self._flavour = flavour
        head = {
            "id": f"chatcmpl-{ask.digest}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": ask.model,
        }
        self._head = (
            b"data: "
            + _encode(head)[:-1]
            + b',"service_tier":"default","system_fingerprint":"fp_samovar_sandbox","choices":'
        )
        # With include_usage every chunk but the last says "usage": null (API reference, stream_options).
        self._asked = ask.wants_usage and flavour.usage_place is UsagePlace.ASKED
        self._tail = b',"usage":null}\n\n' if self._asked else b"}\n\n"

    def delta(self, delta: dict[str, Any], *, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head + _encode([choice]) + self._tail

    def content(self) -> tuple[bytes, bytes]:
        """What stands before and after the JSON string of a piece of text."""
        return (
            self._head + b'[{"index":0,"delta":{"content":',
            b'},"logprobs":null,"finish_reason":null}]' + self._tail,
        )

    def closing(self, answer: Answer) -> bytes:
        """The finish reason, and the usage where the flavour has it."""
        finish = _FINISH[answer.stop]
        place = self._flavour.usage_place
        if place is UsagePlace.ASKED and not self._asked:
            return self.delta({}, finish=finish)
        usage = b',"usage":' + _encode(self._flavour.usage(answer.tokens)) + b"}\n\n"
        if place is UsagePlace.ON_FINISH:
            choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": finish}
            return self._head + _encode([choice]) + usage
        return self.delta({}, finish=finish) + self._head + b"[]" + usage


def _call(ask: Ask, call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{ask.digest}{call.number}", "type": "function", "function": function}
