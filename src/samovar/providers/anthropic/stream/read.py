"""A vendor's events to deltas.

A block that the core cannot hold (server tools and their results) is gathered and given whole when it ends. A second
``message_start`` with the same id is ignored, as some proxies repeat it; with another id it is a second answer spliced
into the first, which nobody could replay, so the stream is refused.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from samovar.kernel.sse import SseEvent
from samovar.ports.dialect import BadAnswer, Vendor
from samovar.ports.json_requests import UNREADABLE
from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    Delta,
    Failed,
    KeepAlive,
    Opaque,
    Opened,
    Part,
    PartClosed,
    PartOpened,
    Reasoning,
    SignatureDelta,
    Stop,
    StopKind,
    Stopped,
    TextDelta,
    ToolCall,
    UsageSeen,
)
from samovar.providers.anthropic.blocks import read_block
from samovar.providers.anthropic.failures import error_status, upstream_error
from samovar.providers.anthropic.response import refusal_of, unreadable
from samovar.providers.anthropic.usage import merged, read_stop, read_usage
from samovar.providers.anthropic.wire import DIALECT, DeltaWire, ErrorWire, EventWire, UsageWire, said

EVENTS: Final = msgspec.json.Decoder(EventWire)


class _Gathering:
    """An opaque block that is still growing."""

    def __init__(self, raw: Raw) -> None:
        self._fields = msgspec.json.decode(raw, type=dict[str, Raw])
        self._json: list[str] = []

    def add(self, raw_delta: DeltaWire, event: bytes) -> None:
        """Input arrives as pieces of JSON; any other delta sets the fields that it names."""
        if raw_delta.type == "input_json_delta":
            self._json.append(raw_delta.partial_json)
            return
        delta = msgspec.json.decode(event, type=_RawDelta).delta
        self._fields.update({name: value for name, value in delta.items() if name != "type"})

    def whole(self) -> Opaque:
        """The block as if it had come in one piece."""
        text = "".join(self._json)
        if text:
            self._fields["input"] = Raw(text.encode())
        return Opaque(dialect=DIALECT, raw=Raw(msgspec.json.encode(self._fields)))


class _RawDelta(msgspec.Struct):
    delta: dict[str, Raw]


class AnthropicStreamReader:
    """One for each stream. ``unknown_events`` counts what was skipped because this version does not know it."""

    def __init__(self, *, vendor: Vendor) -> None:
        self._vendor = vendor
        self._message_id: str | None = None
        self._open: dict[int, Part | _Gathering] = {}
        self._usage: UsageWire | None = None
        self._stop: Stop | None = None
        self._early_stop: Stop | None = None
        self._next_index = 0
        self._over = False
        self.unknown_events = 0

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """Raises :class:`BadAnswer` for an event that the dialect does not allow."""
        if self._over:
            return ()
        try:
            wire = EVENTS.decode(event.data)
            return self._read(wire, event.data)
        except UNREADABLE as error:
            raise unreadable(error) from error

    def end(self) -> Sequence[Delta]:
        """Raises :class:`BadAnswer` for a stream without its ``message_stop``."""
        if not self._over:
            raise BadAnswer("The provider's stream was cut before its message_stop event.")
        return ()

    def _read(self, wire: EventWire, data: bytes) -> Sequence[Delta]:
        match "error" if wire.error is not None else wire.type:
            case "content_block_delta":
                return self._delta(wire, data)
            case "content_block_start":
                return self._start_block(wire)
            case "content_block_stop":
                return self._close(wire.index)
            case "message_start":
                return self._start(wire)
            case "message_delta":
                return self._message_delta(wire)
            case "message_stop":
                return self._finish()
            case "ping":
                return (KeepAlive(),)
            case "error":
                return self._fail(wire.error or ErrorWire())
        self.unknown_events += 1
        return ()

    def _start(self, wire: EventWire) -> Sequence[Delta]:
        if wire.message is None:
            raise BadAnswer("The provider's message_start event has no message.")
        if self._message_id is not None:
            if wire.message.id == self._message_id:
                return ()
            raise BadAnswer("The provider began a second message inside the first.")
        self._message_id = wire.message.id
        deltas: list[Delta] = [Opened(id=wire.message.id, model=wire.message.model)]
        if wire.message.usage is not None:
            self._usage = wire.message.usage
            deltas.append(UsageSeen(usage=read_usage(self._usage)))
        if wire.message.stop_reason is not None:
            self._early_stop = read_stop(wire.message.stop_reason, wire.message.stop_sequence)
        # After a pause for a tool that code called, the blocks come all at once, here.
        for index, raw in enumerate(wire.message.content or ()):
            self._next_index = index + 1
            part = read_block(raw, origin=self._vendor.name)
            deltas += [PartOpened(index=index, part=part), PartClosed(index=index)]
        return deltas

    def _start_block(self, wire: EventWire) -> Sequence[Delta]:
        self._needs_start()
        if wire.index in self._open:
            raise BadAnswer(f"The provider opened the content block {wire.index} twice.")
        part = read_block(wire.content_block, origin=self._vendor.name)
        self._next_index = max(self._next_index, wire.index + 1)
        if isinstance(part, Opaque):
            self._open[wire.index] = _Gathering(wire.content_block)
            return ()
        if isinstance(part, ToolCall) and part.arguments == "{}":
            # The empty object stands for arguments that are still to come.
            part = msgspec.structs.replace(part, arguments="")
        if isinstance(part, Reasoning) and part.origin is None:
            # Its signature comes at its end; whose it is must be known before.
            part = msgspec.structs.replace(part, origin=self._vendor.name)
        self._open[wire.index] = part
        return (PartOpened(index=wire.index, part=part),)

    def _needs_start(self) -> None:
        if self._message_id is None:
            raise BadAnswer("The provider's stream does not begin with a message_start event.")

    def _delta(self, wire: EventWire, data: bytes) -> Sequence[Delta]:
        part = self._open.get(wire.index)
        delta = wire.delta
        if part is None or delta is None:
            raise BadAnswer(f"The provider sent a delta for the content block {wire.index}, which is not open.")
        if isinstance(part, _Gathering):
            part.add(delta, data)
            return ()
        match delta.type:
            case "text_delta":
                return (TextDelta(index=wire.index, text=delta.text),)
            case "input_json_delta":
                return (ArgumentsDelta(index=wire.index, json=delta.partial_json),) if delta.partial_json else ()
            case "thinking_delta":
                return (TextDelta(index=wire.index, text=delta.thinking),)
            case "signature_delta":
                return (SignatureDelta(index=wire.index, signature=delta.signature),)
            case "citations_delta" if said(delta.citation):
                return (AnnotationDelta(index=wire.index, raw=delta.citation),)
        self.unknown_events += 1
        return ()

    def _close(self, index: int) -> Sequence[Delta]:
        part = self._open.pop(index, None)
        if part is None:
            raise BadAnswer(f"The provider closed the content block {index}, which is not open.")
        if isinstance(part, _Gathering):
            return (PartOpened(index=index, part=part.whole()), PartClosed(index=index))
        return (PartClosed(index=index),)

    def _message_delta(self, wire: EventWire) -> Sequence[Delta]:
        self._needs_start()
        deltas: list[Delta] = []
        if wire.usage is not None:
            self._usage = merged(self._usage, wire.usage)
            assert self._usage is not None
            deltas.append(UsageSeen(usage=read_usage(self._usage)))
        if wire.delta is None or wire.delta.stop_reason is None:
            return deltas
        for index in sorted(self._open):
            # Left open where max_tokens fell into the middle of a block.
            deltas.extend(self._close(index))
        for refusal in refusal_of(wire.delta.stop_details):
            deltas += [PartOpened(index=self._next_index, part=refusal), PartClosed(index=self._next_index)]
        self._stop = read_stop(wire.delta.stop_reason, wire.delta.stop_sequence)
        return [*deltas, Stopped(stop=self._stop)]

    def _finish(self) -> Sequence[Delta]:
        self._needs_start()
        self._over = True
        if self._stop is not None:
            return ()
        closed = [delta for index in sorted(self._open) for delta in self._close(index)]
        return [*closed, Stopped(stop=self._early_stop or Stop(kind=StopKind.OTHER))]

    def _fail(self, wire: ErrorWire) -> Sequence[Delta]:
        self._over = True
        return (Failed(status=error_status(wire.type), code=wire.type, message=upstream_error(wire).detail),)
