"""Deltas to the events of a message stream.

Anthropic's blocks follow one another; the core's parts may be open side by side. So one part is *live*: a new part closes
a live text or thinking (which reopens as a further block if more of it comes), but waits for a live tool call to
end, because arguments cut in two would be no JSON.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import sse_bytes
from samovar.ports.foreign_reasoning import proof_apart
from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    ChatRequest,
    Delta,
    Failed,
    KeepAlive,
    Opaque,
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
    Usage,
    UsageSeen,
)
from samovar.providers.anthropic.blocks import is_citation
from samovar.providers.anthropic.failures import error_event, error_type
from samovar.providers.anthropic.reasoning import redacted, signed
from samovar.providers.anthropic.response import answer_block, start_message, stop_fields
from samovar.providers.anthropic.usage import write_usage
from samovar.providers.anthropic.wire import DIALECT

PING = sse_bytes(b'{"type":"ping"}', "ping")


def event(kind: str, **fields: object) -> bytes:
    """One event with its name."""
    return sse_bytes(msgspec.json.encode({"type": kind, **fields}), kind)


class _Waiting:
    """A part whose turn has not come, with what was said of it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.deltas: list[Delta] = []
        self.closed = False


class AnthropicStreamWriter:
    """One for each stream."""

    def __init__(self, *, request: ChatRequest) -> None:
        self._model = request.model
        self._opened: Opened | None = None
        self._started = False
        self._usage = Usage()
        self._stop = Stop(kind=StopKind.END)
        self._refusal: list[str] = []
        self._live: int | None = None
        self._block = -1
        self._parts: dict[int, Part] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._over = False

    def write(self, delta: Delta) -> bytes:
        """Bytes for the caller, possibly none."""
        if self._over:
            return b""
        match delta:
            case Opened():
                # Not written yet: the usage that may follow at once belongs into the same event.
                self._opened = delta
                return b""
            case UsageSeen():
                self._usage = delta.usage
                return b""
            case Stopped():
                self._stop = delta.stop
                return b""
            case KeepAlive():
                return PING
            case Failed():
                self._over = True
                return event("error", error={"type": error_type(delta.status), "message": delta.message})
        return self._start() + self._content(delta)

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """Open blocks closed, the reason to stop, the usage, and ``message_stop`` with ``extra`` in it."""
        if self._over:
            return b""
        self._over = True
        out = self._start()
        while self._live is not None:
            out += self._close_live()
        fields: dict[str, Any] = stop_fields(self._stop, "".join(self._refusal))
        out += event("message_delta", delta=fields, usage=write_usage(self._usage))
        return out + (event("message_stop") if extra is None else event("message_stop", samovar=extra))

    def fail(self, error: SamovarError) -> bytes:
        """The ``error`` event. Nothing follows it."""
        if self._over:
            return b""
        self._over = True
        return error_event(error)

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        opened = self._opened or Opened(id="", model=self._model)
        message = start_message(message_id=opened.id, model=opened.model or self._model, usage=self._usage)
        return event("message_start", message=message)

    # -- parts

    def _content(self, delta: Delta) -> bytes:
        match delta:
            case PartOpened():
                return self._proof(delta.index, delta.part) + self._open_part(delta.index, delta.part)
            case PartClosed():
                return self._close_part(delta.index)
            case TextDelta() | ArgumentsDelta() | SignatureDelta() | AnnotationDelta():
                return self._more(delta.index, delta)
        return b""

    def _proof(self, index: int, part: Part) -> bytes:
        """The signature of a call, which has no place in its own block, in one before it."""
        proof = proof_apart(part) if isinstance(part, ToolCall) else None
        if proof is None:
            return b""
        # Of its own, where no part of the core has its index.
        apart = -2 - index
        return self._open_part(apart, proof) + self._close_part(apart)

    def _open_part(self, index: int, part: Part) -> bytes:
        if isinstance(part, Opaque) and part.dialect != DIALECT:
            # The trace of another vendor's server tool has no shape here.
            return b""
        self._parts[index] = part
        if isinstance(part, Refusal):
            self._refusal.append(part.text)
            return b""
        if isinstance(self._parts.get(-1 if self._live is None else self._live), ToolCall):
            self._waiting[index] = _Waiting(part)
            return b""
        closed = b"" if self._live is None else self._stop_block()
        return closed + self._begin(index, part)

    def _more(self, index: int, delta: Delta) -> bytes:
        part = self._parts.get(index)
        if part is None:
            return b""
        if isinstance(part, Refusal):
            self._refusal.append(delta.text if isinstance(delta, TextDelta) else "")
            return b""
        waiting = self._waiting.get(index)
        if waiting is not None:
            waiting.deltas.append(delta)
            return b""
        reopened = b"" if index == self._live else self._open_part(index, _emptied(part))
        if index in self._waiting:
            self._waiting[index].deltas.append(delta)
            return reopened
        return reopened + self._block_delta(part, delta)

    def _close_part(self, index: int) -> bytes:
        waiting = self._waiting.get(index)
        if waiting is not None:
            waiting.closed = True
            return b""
        return self._close_live() if index == self._live else b""

    def _close_live(self) -> bytes:
        """The live block ends; the parts that waited for it follow, up to the first that is still open."""
        out = self._stop_block()
        while self._waiting and self._live is None:
            index = next(iter(self._waiting))
            waiting = self._waiting.pop(index)
            out += self._begin(index, waiting.part)
            out += b"".join(self._block_delta(waiting.part, delta) for delta in waiting.deltas)
            # A text gives way to whoever waits behind it, as it would have.
            if waiting.closed or (self._waiting and not isinstance(waiting.part, ToolCall)):
                out += self._stop_block()
        return out

    # -- blocks

    def _begin(self, index: int, part: Part) -> bytes:
        start, first = _start_of(part)
        self._block += 1
        self._live = index
        out = event("content_block_start", index=self._block, content_block=start)
        if first is not None:
            out += event("content_block_delta", index=self._block, delta=first)
        return out

    def _stop_block(self) -> bytes:
        self._live = None
        return event("content_block_stop", index=self._block)

    def _block_delta(self, part: Part, delta: Delta) -> bytes:
        wire = _delta_of(part, delta)
        return b"" if wire is None else event("content_block_delta", index=self._block, delta=wire)


def _emptied(part: Part) -> Part:
    """The same kind of part with nothing said yet."""
    if isinstance(part, Text):
        return Text(text="")
    if isinstance(part, Reasoning):
        return msgspec.structs.replace(part, text="", signature=None)
    return part


def _start_of(part: Part) -> tuple[object, object | None]:
    """What a block starts with, and the first delta where the part was opened with content."""
    match part:
        case Text():
            first = {"type": "text_delta", "text": part.text} if part.text else None
            return {"type": "text", "text": ""}, first
        case ToolCall():
            start = {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}
            first = {"type": "input_json_delta", "partial_json": part.arguments} if part.arguments else None
            return start, first
        case Reasoning() if not redacted(part) and part.signature is None and part.encrypted is None:
            first = {"type": "thinking_delta", "thinking": part.text} if part.text else None
            return {"type": "thinking", "thinking": "", "signature": ""}, first
    return answer_block(part), None


def _delta_of(part: Part, delta: Delta) -> dict[str, object] | None:
    match delta:
        case TextDelta():
            if isinstance(part, Reasoning):
                return {"type": "thinking_delta", "thinking": delta.text}
            return {"type": "text_delta", "text": delta.text}
        case ArgumentsDelta():
            return {"type": "input_json_delta", "partial_json": delta.json}
        case SignatureDelta() if isinstance(part, Reasoning):
            signature = None if delta.encrypted else delta.signature
            encrypted = delta.signature if delta.encrypted else None
            return {
                "type": "signature_delta",
                "signature": signed(part, signature=signature, encrypted=encrypted),
            }
        case AnnotationDelta() if is_citation(delta.raw):
            return {"type": "citations_delta", "citation": delta.raw}
    return None
