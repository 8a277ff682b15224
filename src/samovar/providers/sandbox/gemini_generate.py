"""Gemini's ``generateContent`` and ``streamGenerateContent``, written from the API reference and not from our client's code.

https://ai.google.dev/api/generate-content. A stream is server-sent events with ``alt=sse``, else one JSON array.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.answers import cut
from samovar.providers.sandbox.ask import Answer, Ask, Call
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.exchange import EVENT_STREAM, JSON, Request
from samovar.providers.sandbox.gemini_errors import MANNERS, error_body, gemini_key
from samovar.providers.sandbox.gemini_request import call_signature, model_and_method, read_generate, text_signature
from samovar.providers.sandbox.tokens import IMAGE_TOKENS, tokens_of

_WHOLE: Final = "generateContent"
_STREAM: Final = "streamGenerateContent"
_FINISH: Final = {"end": "STOP", "stop": "STOP", "length": "MAX_TOKENS", "tools": "STOP"}
_encode: Final = msgspec.json.Encoder().encode


class GeminiGenerate:
    """See the module."""

    name = "gemini.generate"
    manners = MANNERS

    def claims(self, path: str) -> bool:
        """``/v1beta/models/{model}:generateContent`` and ``:streamGenerateContent``."""
        return model_and_method(path)[1] in {_WHOLE, _STREAM}

    def key(self, request: Request) -> bytes:
        """``x-goog-api-key`` or ``?key=``."""
        return gemini_key(request)

    def read(self, request: Request) -> Ask:
        """Raises ``Refused`` (400)."""
        ask = read_generate(request.path, request.body)
        ask.stream = request.path.endswith(_STREAM)
        ask.as_events = "alt=sse" in request.query.split("&")
        return ask

    def whole(self, ask: Ask, answer: Answer) -> bytes:
        """A ``GenerateContentResponse``."""
        parts: list[dict[str, Any]] = []
        if answer.reasoning and ask.reasoning_shown:
            parts.append({"text": answer.reasoning, "thought": True})
        if answer.text or not answer.calls:
            part: dict[str, Any] = {"text": answer.text}
            if answer.reasoning:
                part["thoughtSignature"] = text_signature()
            parts.append(part)
        parts += _call_parts(answer.calls)
        return _encode(_chunk(ask, answer, parts, _candidate_tokens(answer), last=True))

    def stream_type(self, ask: Ask) -> bytes:
        """Server-sent events or JSON."""
        return EVENT_STREAM if ask.as_events else JSON

    def blocks(self, ask: Ask, answer: Answer) -> Iterator[bytes]:
        """One response after the other; only the last has a ``finishReason``."""
        if ask.as_events:
            for chunk in _chunks(ask, answer):
                yield b"data: " + _encode(chunk) + b"\r\n\r\n"
            return
        before = b"["
        for chunk in _chunks(ask, answer):
            yield before + _encode(chunk)
            before = b",\r\n"
        yield b"\r\n]"

    def error(self, problem: Problem) -> bytes:
        """``{"error": {code, message, status, details}}``."""
        return error_body(problem)

    def error_event(self, ask: Ask, answer: Answer, problem: Problem, at: int) -> bytes:
        """The error body as an event, or as the array's last item."""
        if ask.as_events:
            return b"data: " + error_body(problem) + b"\r\n\r\n"
        return (b",\r\n" if at else b"[") + error_body(problem) + b"\r\n]"

    def stray_events(self, ask: Ask) -> Mapping[str, bytes]:
        """Broken JSON, a byte that no UTF-8 has, a response with fields that nobody knows."""
        before, after = (b"data: ", b"\r\n\r\n") if ask.as_events else (b",\r\n", b"")
        return {
            "malformed": before + b'{"candidates":[{"content":{"parts":[{"text":' + after,
            "bad_utf8": before + b'{"candidates":[{"content":{"parts":[{"text":"\xff\xfe"}],"role":"model"}}]}' + after,
            "unknown_event": before + b'{"sandboxUnknown":{}}' + after,
        }

    def headers(self, digest: str) -> bytes:
        """None: its answers name themselves in ``responseId``."""
        return b""


def _candidate_tokens(answer: Answer) -> int:
    # Exclusive here: thoughts are counted beside the candidates (API reference, UsageMetadata).
    return answer.tokens.output - answer.tokens.reasoning


def _chunks(ask: Ask, answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.reasoning and ask.reasoning_shown:
        for piece in cut(answer.reasoning):
            yield _chunk(ask, answer, [{"text": piece, "thought": True}], 0)
    chars, most = 0, _candidate_tokens(answer)
    for piece in answer.pieces:
        chars += len(piece)
        yield _chunk(ask, answer, [{"text": piece}], min(most, tokens_of(chars)))
    # As the real one: the signature of a streamed text comes at last, on an empty text.
    last: dict[str, Any] = {"text": "", "thoughtSignature": text_signature()} if answer.reasoning else {"text": ""}
    for part in _call_parts(answer.calls):
        yield _chunk(ask, answer, [part], most)
    yield _chunk(ask, answer, [last], most, last=True)


def _call_parts(calls: tuple[Call, ...]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for call in calls:
        try:
            arguments = msgspec.json.decode(call.arguments)
        except msgspec.DecodeError:
            # Arguments are an object here, never text: what cannot be one comes as text in its place.
            arguments = call.arguments
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": arguments}}
        if not call.number:
            part["thoughtSignature"] = call_signature(call.name, arguments)
        parts.append(part)
    return parts


def _chunk(
    ask: Ask, answer: Answer, parts: list[dict[str, Any]], candidate_tokens: int, *, last: bool = False
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = _FINISH[answer.stop]
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(ask, answer, candidate_tokens),
        "modelVersion": ask.model,
        "responseId": ask.digest,
    }


def _usage(ask: Ask, answer: Answer, candidate_tokens: int) -> dict[str, Any]:
    tokens = answer.tokens
    usage: dict[str, Any] = {
        "promptTokenCount": tokens.input,
        "candidatesTokenCount": candidate_tokens,
        "totalTokenCount": tokens.input + candidate_tokens + tokens.reasoning,
        "promptTokensDetails": prompt_details(ask, tokens.input),
    }
    if tokens.cached:
        usage["cachedContentTokenCount"] = tokens.cached
    if tokens.reasoning:
        usage["thoughtsTokenCount"] = tokens.reasoning
    return usage


def prompt_details(ask: Ask, tokens: int) -> list[dict[str, Any]]:
    """``tokens`` of the prompt by modality."""
    images = min(tokens, IMAGE_TOKENS * ask.image_count)
    details: list[dict[str, Any]] = [{"modality": "TEXT", "tokenCount": tokens - images}]
    if images:
        details.append({"modality": "IMAGE", "tokenCount": images})
    return details
