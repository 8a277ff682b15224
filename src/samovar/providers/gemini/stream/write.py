"""Deltas to the chunks of a stream.

Every chunk is an answer of its own shape. Words go out as they come, whatever part they belong to; a call goes out when it is
whole, because ``args`` is an object.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.ports.llm import (
    ArgumentsDelta,
    ChatRequest,
    Delta,
    Failed,
    Opened,
    Part,
    PartClosed,
    PartOpened,
    Reasoning,
    Refusal,
    SignatureDelta,
    Stop,
    StopKind,
    Stopped,
    Text,
    TextDelta,
    ToolCall,
    UsageSeen,
)
from samovar.providers.gemini.failures import error_body, write_error
from samovar.providers.gemini.framing import Framing
from samovar.providers.gemini.parts import WirePart
from samovar.providers.gemini.reasoning import NATIVE, signed
from samovar.providers.gemini.response import add_answered, usage_field
from samovar.providers.gemini.usage import write_stop


class GeminiStreamWriter:
    """One for each stream."""

    def __init__(self, *, request: ChatRequest, framing: Framing) -> None:
        self._framing = framing
        self._opened = Opened(id="", model=request.model)
        self._model = request.model
        # Written once for each time it is seen, and put on every chunk.
        self._usage: dict[str, Any] = {}
        self._stop = Stop(kind=StopKind.END)
        self._parts: dict[int, Part] = {}
        self._arguments: dict[int, list[str]] = {}
        self._spoken: set[int] = set()
        self._over = False

    def write(self, delta: Delta) -> bytes:
        """Bytes for the caller, possibly none."""
        if self._over:
            return b""
        match delta:
            case Opened():
                self._opened = delta
            case UsageSeen():
                self._usage = usage_field(delta.usage)
            case Stopped():
                self._stop = delta.stop
            case Failed():
                self._over = True
                body = error_body(delta.message, status=delta.status)
                return self._framing.chunk(body) + self._framing.close()
            case _:
                return self._content(delta)
        return b""

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """The last chunk: the reason to stop, the usage, ``extra``; and what ends the form."""
        if self._over:
            return b""
        calls = b"".join(self._close(index) for index in sorted(self._arguments))
        self._over = True
        last = self._chunk([{"text": ""}], finish=write_stop(self._stop), extra=extra)
        return calls + last + self._framing.close()

    def fail(self, error: SamovarError) -> bytes:
        """A chunk with Google's error shape. Nothing follows it."""
        if self._over:
            return b""
        self._over = True
        return self._framing.chunk(write_error(error, status=error.http_status)) + self._framing.close()

    # -- parts

    def _content(self, delta: Delta) -> bytes:
        match delta:
            case PartOpened():
                return self._open(delta.index, delta.part)
            case TextDelta():
                return self._words(delta.index, delta.text)
            case ArgumentsDelta():
                self._arguments.setdefault(delta.index, []).append(delta.json)
            case SignatureDelta():
                return self._signature(delta)
            case PartClosed():
                return self._close(delta.index)
        return b""

    def _open(self, index: int, part: Part) -> bytes:
        self._parts[index] = part
        match part:
            case ToolCall():
                self._arguments[index] = [part.arguments] if part.arguments else []
                return b""
            case Text() | Refusal():
                return self._words(index, part.text)
            case Reasoning(signature=None, encrypted=None):
                return self._words(index, part.text)
        parts: list[WirePart] = []
        add_answered(parts, part)
        return self._chunk(parts) if parts else b""

    def _words(self, index: int, text: str) -> bytes:
        part = self._parts.get(index)
        if not text or part is None:
            return b""
        if not isinstance(part, Reasoning):
            return self._chunk([{"text": text}])
        self._spoken.add(index)
        return self._chunk([{"text": text, "thought": True}])

    def _signature(self, delta: SignatureDelta) -> bytes:
        part = self._parts.get(delta.index)
        if not isinstance(part, Reasoning):
            return b""
        whole = msgspec.structs.replace(
            part,
            signature=None if delta.encrypted else delta.signature,
            encrypted=delta.signature if delta.encrypted else None,
        )
        signature = signed(whole, signature=whole.signature, encrypted=whole.encrypted)
        # Without words of its own it is the signature of the answer's words, which are no thought.
        thought = {"thought": True} if delta.index in self._spoken or part.origin not in (None, NATIVE) else {}
        return self._chunk([{"text": "", **thought, "thoughtSignature": signature}])

    def _close(self, index: int) -> bytes:
        part = self._parts.pop(index, None)
        pieces = self._arguments.pop(index, None)
        if not isinstance(part, ToolCall) or pieces is None:
            return b""
        parts: list[WirePart] = []
        add_answered(parts, msgspec.structs.replace(part, arguments="".join(pieces)))
        return self._chunk(parts)

    # -- chunks

    def _chunk(
        self, parts: list[WirePart], *, finish: str | None = None, extra: Mapping[str, object] | None = None
    ) -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
        if finish is not None:
            candidate["finishReason"] = finish
        candidate["index"] = 0
        chunk: dict[str, Any] = {
            "candidates": [candidate],
            **self._usage,
            "modelVersion": self._opened.model or self._model,
            "responseId": self._opened.id,
        }
        if extra is not None:
            chunk["samovar"] = extra
        return self._framing.chunk(msgspec.json.encode(chunk))
