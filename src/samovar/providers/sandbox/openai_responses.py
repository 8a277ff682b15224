"""OpenAI's ``POST /v1/responses``, written from the API reference and not from our own client's code.

https://platform.openai.com/docs/api-reference/responses, /responses-streaming.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.answers import cut, cut_arguments
from samovar.providers.sandbox.ask import Answer, Ask, Call
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.exchange import EVENT_STREAM, Request
from samovar.providers.sandbox.openai_errors import CREATED, error_body, error_fields, request_id
from samovar.providers.sandbox.openai_responses_request import read_responses, sealed
from samovar.providers.sandbox.surface import Manners, bearer

_encode: Final = msgspec.json.Encoder().encode


class OpenAIResponses:
    """See the module."""

    name = "openai.responses"
    manners = Manners()

    def claims(self, path: str) -> bool:
        """``/v1/responses`` only."""
        return path == "/v1/responses"

    def key(self, request: Request) -> bytes:
        """``Authorization: Bearer``."""
        return bearer(request.headers)

    def read(self, request: Request) -> Ask:
        """Raises ``Refused`` (400, 404)."""
        return read_responses(request.body)

    def usage(self, answer: Answer) -> dict[str, Any]:
        """Inclusive: cached tokens are in the input, reasoning is in the output."""
        tokens = answer.tokens
        return {
            "input_tokens": tokens.input,
            "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": 0},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
            "total_tokens": tokens.input + tokens.output,
        }

    def whole(self, ask: Ask, answer: Answer) -> bytes:
        """A ``response``."""
        return _encode(_ended(ask, answer, self.usage(answer)))

    def stream_type(self, ask: Ask) -> bytes:
        """Server-sent events."""
        return EVENT_STREAM

    def blocks(self, ask: Ask, answer: Answer) -> Iterator[bytes]:
        """``response.created`` ... ``response.completed`` or ``response.incomplete``; no ``[DONE]``."""
        events = _Events()
        opened = {"response": _response(ask, "in_progress", [])}
        yield events.event("response.created", opened) + events.event("response.in_progress", opened)
        index = 0
        if answer.reasoning:
            yield from _reasoning_events(events, index, ask, answer)
            index += 1
        if answer.text or not answer.calls:
            yield from _text_events(events, index, ask, answer)
            index += 1
        for call in answer.calls:
            yield from _call_events(events, index, ask, call)
            index += 1
        ended = _ended(ask, answer, self.usage(answer))
        yield events.event(f"response.{ended['status']}", {"response": ended})

    def error(self, problem: Problem) -> bytes:
        """``{"error": {message, type, param, code}}``."""
        return error_body(problem)

    def error_event(self, ask: Ask, answer: Answer, problem: Problem, at: int) -> bytes:
        """``error``, then ``response.failed``."""
        blocks = self.blocks(ask, answer)
        # JSON has no bare line feeds, so blank lines count the events that went before.
        sent = sum(next(blocks, b"").count(b"\n\n") for _ in range(at))
        events = _Events(sent)
        fields = error_fields(problem)
        failed = _response(ask, "failed", [])
        failed["error"] = {"code": fields["code"] or "server_error", "message": problem.message}
        return events.event("error", {"error": fields}) + events.event("response.failed", {"response": failed})

    def stray_events(self, ask: Ask) -> Mapping[str, bytes]:
        """Broken JSON, a byte that no UTF-8 has, an event of a type that nobody knows."""
        delta = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","output_index":0,'
        return {
            "malformed": delta + b'"content_index":0,"delta":\n\n',
            "bad_utf8": delta + b'"content_index":0,"item_id":"x","delta":"\xff\xfe"}\n\n',
            "unknown_event": b'event: sandbox.unknown\ndata: {"type":"sandbox.unknown"}\n\n',
        }

    def headers(self, digest: str) -> bytes:
        """``x-request-id``."""
        return request_id(digest)


class _Events:
    """Numbers the events of one stream."""

    def __init__(self, sent: int = 0) -> None:
        self._sent = sent

    def number(self) -> int:
        """The next event's number."""
        number, self._sent = self._sent, self._sent + 1
        return number

    def event(self, name: str, fields: dict[str, Any]) -> bytes:
        """One event."""
        data = _encode({"type": name, "sequence_number": self.number(), **fields})
        return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def _response(ask: Ask, status: str, output: list[Any]) -> dict[str, Any]:
    return {
        "id": f"resp_{ask.digest}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": ask.model,
        "output": output,
        "service_tier": "default",
        "usage": None,
        **(ask.echo or {}),
    }


def _ended(ask: Ask, answer: Answer, usage: dict[str, Any]) -> dict[str, Any]:
    short = answer.stop == "length"
    output: list[Any] = [_reasoning_item(ask, answer)] if answer.reasoning else []
    if answer.text or not answer.calls:
        output.append(_message_item(ask, [_text_part(answer.text)], _text_status(answer)))
    output.extend(_call_item(ask, call, call.arguments, "completed") for call in answer.calls)
    response = _response(ask, "incomplete" if short else "completed", output)
    response["usage"] = usage
    if short:
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    return response


def _text_status(answer: Answer) -> str:
    return "incomplete" if answer.stop == "length" else "completed"


def _reasoning_item(ask: Ask, answer: Answer) -> dict[str, Any]:
    item: dict[str, Any] = {"id": f"rs_{ask.digest}", "type": "reasoning", "summary": []}
    if ask.reasoning_shown:
        item["summary"] = [{"type": "summary_text", "text": answer.reasoning}]
    if ask.reasoning_sealed:
        item["encrypted_content"] = sealed(answer.reasoning)
    return item


def _message_item(ask: Ask, content: list[Any], status: str) -> dict[str, Any]:
    return {"id": f"msg_{ask.digest}", "type": "message", "status": status, "content": content, "role": "assistant"}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _call_item(ask: Ask, call: Call, arguments: str, status: str) -> dict[str, Any]:
    return {
        "id": f"fc_{ask.digest}{call.number}",
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": f"call_{ask.digest}{call.number}",
        "name": call.name,
    }


def _reasoning_events(events: _Events, index: int, ask: Ask, answer: Answer) -> Iterator[bytes]:
    item = _reasoning_item(ask, answer)
    yield events.event("response.output_item.added", {"output_index": index, "item": {**item, "summary": []}})
    if ask.reasoning_shown:
        name = "response.reasoning_summary"
        where = {"item_id": item["id"], "output_index": index, "summary_index": 0}
        yield events.event(f"{name}_part.added", {**where, "part": {"type": "summary_text", "text": ""}})
        for piece in cut(answer.reasoning):
            yield events.event(f"{name}_text.delta", {**where, "delta": piece})
        yield events.event(f"{name}_text.done", {**where, "text": answer.reasoning}) + events.event(
            f"{name}_part.done", {**where, "part": {"type": "summary_text", "text": answer.reasoning}}
        )
    yield events.event("response.output_item.done", {"output_index": index, "item": item})


def _text_events(events: _Events, index: int, ask: Ask, answer: Answer) -> Iterator[bytes]:
    where = {"item_id": f"msg_{ask.digest}", "output_index": index, "content_index": 0}
    item = _message_item(ask, [], "in_progress")
    opening = events.event("response.output_item.added", {"output_index": index, "item": item})
    opening += events.event("response.content_part.added", {**where, "part": _text_part("")})
    # Most of what the sandbox ever sends: the unchanging part of the event is made once.
    before = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d,'
    between = _encode(where)[1:-1] + b',"logprobs":[],"delta":'
    for piece in answer.pieces:
        yield opening + before % events.number() + between + _encode(piece) + b"}\n\n"
        opening = b""
    part = _text_part(answer.text)
    done = _message_item(ask, [part], _text_status(answer))
    yield b"".join(
        (
            opening,
            events.event("response.output_text.done", {**where, "text": answer.text, "logprobs": []}),
            events.event("response.content_part.done", {**where, "part": part}),
            events.event("response.output_item.done", {"output_index": index, "item": done}),
        )
    )


def _call_events(events: _Events, index: int, ask: Ask, call: Call) -> Iterator[bytes]:
    item = _call_item(ask, call, "", "in_progress")
    where = {"item_id": item["id"], "output_index": index}
    yield events.event("response.output_item.added", {"output_index": index, "item": item})
    name = "response.function_call_arguments"
    for piece in cut_arguments(call.arguments):
        yield events.event(f"{name}.delta", {**where, "delta": piece})
    done = _call_item(ask, call, call.arguments, "completed")
    yield events.event(f"{name}.done", {**where, "name": call.name, "arguments": call.arguments}) + events.event(
        "response.output_item.done", {"output_index": index, "item": done}
    )
