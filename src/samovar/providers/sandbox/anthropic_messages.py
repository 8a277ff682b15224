"""Anthropic's ``POST /v1/messages``, written from the API reference and not from our own client's code.

https://docs.claude.com/en/api/messages, /en/api/messages-streaming, /en/api/errors.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.answers import cut, cut_arguments
from samovar.providers.sandbox.anthropic_request import read_messages, signature
from samovar.providers.sandbox.ask import Answer, Ask
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.exchange import EVENT_STREAM, Request
from samovar.providers.sandbox.surface import Manners, bearer

_STOP_REASONS: Final = {"end": "end_turn", "stop": "stop_sequence", "length": "max_tokens", "tools": "tool_use"}
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_encode: Final = msgspec.json.Encoder().encode


MANNERS: Final = Manners(quota_status=402, context_message="prompt is too long: 200001 tokens > 200000 maximum")


class AnthropicMessages:
    """See the module."""

    name = "anthropic.messages"
    manners = MANNERS

    def claims(self, path: str) -> bool:
        """``/v1/messages`` only."""
        return path == "/v1/messages"

    def key(self, request: Request) -> bytes:
        """``x-api-key``, or a bearer token."""
        return request.headers.get(b"x-api-key", b"") or bearer(request.headers)

    def read(self, request: Request) -> Ask:
        """Raises ``Refused`` (400)."""
        return read_messages(request.headers, request.body)

    def whole(self, ask: Ask, answer: Answer) -> bytes:
        """A ``message``."""
        content: list[dict[str, Any]] = []
        if answer.reasoning:
            content.append({"type": "thinking", "thinking": answer.reasoning, "signature": signature(answer.reasoning)})
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        for call in answer.calls:
            block = _tool_use(ask, call.number, call.name)
            block["input"] = _input(call.arguments)
            content.append(block)
        return _encode(_message(ask, answer, content, _STOP_REASONS[answer.stop], answer.tokens.output))

    def stream_type(self, ask: Ask) -> bytes:
        """Server-sent events."""
        return EVENT_STREAM

    def blocks(self, ask: Ask, answer: Answer) -> Iterator[bytes]:
        """``message_start`` ... ``message_stop``."""
        yield _event("message_start", {"message": _message(ask, answer, [], None, 1)}) + _event("ping", {})
        index = 0
        if answer.reasoning:
            yield from _thinking(index, answer.reasoning)
            index += 1
        if answer.pieces:
            yield from _text(index, answer.pieces)
            index += 1
        for call in answer.calls:
            yield _start(index, _tool_use(ask, call.number, call.name)) + _delta(
                index, "input_json_delta", partial_json=""
            )
            for piece in cut_arguments(call.arguments):
                yield _delta(index, "input_json_delta", partial_json=piece)
            yield _event("content_block_stop", {"index": index})
            index += 1
        delta = {"stop_reason": _STOP_REASONS[answer.stop], "stop_sequence": answer.stop_sequence}
        usage = _usage(answer, answer.tokens.output)
        yield _event("message_delta", {"delta": delta, "usage": usage}) + _event("message_stop", {})

    def error(self, problem: Problem) -> bytes:
        """``{"type": "error", "error": {type, message}}``."""
        message = problem.message if problem.param is None else f"{problem.param}: {problem.message}"
        kind = _ERROR_TYPES.get(problem.status, "api_error" if problem.status >= 500 else "invalid_request_error")
        return _encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": None})

    def error_event(self, ask: Ask, answer: Answer, problem: Problem, at: int) -> bytes:
        """An ``error`` event; nothing follows it."""
        return b"event: error\ndata: " + self.error(problem) + b"\n\n"

    def stray_events(self, ask: Ask) -> Mapping[str, bytes]:
        """Broken JSON, a byte that no UTF-8 has, an event of a type that nobody knows."""
        return {
            "malformed": b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":\n\n',
            "bad_utf8": b"event: content_block_delta\n"
            b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\xff\xfe"}}\n\n',
            "unknown_event": b'event: sandbox_unknown\ndata: {"type":"sandbox_unknown"}\n\n',
        }

    def headers(self, digest: str) -> bytes:
        """``request-id``."""
        return b"request-id: req_" + digest.encode() + b"\r\n"


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode({"type": name, **fields}) + b"\n\n"


def _start(index: int, block: dict[str, Any]) -> bytes:
    return _event("content_block_start", {"index": index, "content_block": block})


def _delta(index: int, kind: str, **fields: str) -> bytes:
    return _event("content_block_delta", {"index": index, "delta": {"type": kind, **fields}})


def _thinking(index: int, reasoning: str) -> Iterator[bytes]:
    yield _start(index, {"type": "thinking", "thinking": "", "signature": ""})
    for piece in cut(reasoning):
        yield _delta(index, "thinking_delta", thinking=piece)
    yield _delta(index, "signature_delta", signature=signature(reasoning)) + _event(
        "content_block_stop", {"index": index}
    )


def _text(index: int, pieces: list[str]) -> Iterator[bytes]:
    # Most of what the sandbox ever sends: the unchanging part of the event is made once.
    before = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":'
        % index
    )
    opening = _start(index, {"type": "text", "text": ""})
    for piece in pieces:
        yield opening + before + _encode(piece) + b"}}\n\n"
        opening = b""
    yield _event("content_block_stop", {"index": index})


def _input(arguments: str) -> Any:
    """What stands in a whole message is parsed already, so that the API never shows it broken."""
    try:
        return msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return {"INVALID_JSON": arguments}


def _tool_use(ask: Ask, number: int, name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{ask.digest}{number}", "name": name, "input": {}}


def _message(ask: Ask, answer: Answer, content: list[Any], stop_reason: str | None, output: int) -> dict[str, Any]:
    return {
        "id": f"msg_{ask.digest}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": answer.stop_sequence if stop_reason is not None else None,
        "usage": _usage(answer, output),
    }


def _usage(answer: Answer, output: int) -> dict[str, Any]:
    tokens = answer.tokens
    return {
        # Exclusive here: what was read from or written to the cache is not in input_tokens (API reference, Usage).
        "input_tokens": tokens.input - tokens.cached - tokens.written,
        "cache_creation_input_tokens": tokens.written,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": tokens.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    }
