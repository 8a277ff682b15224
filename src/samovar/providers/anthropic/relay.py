"""A stream that passes through: the vendor's bytes, whole events at a time, watched on their way.

Almost every block is nothing but content events; those are recognised by their first bytes and passed on as they are.
Everything else is taken apart. ``message_stop`` is held back, so that the end can carry what the call cost.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import DEFAULT_MAX_EVENT_BYTES, RawEvents, SseOverflow, event_data, sse_bytes
from samovar.ports.dialect import BadAnswer, UpstreamError
from samovar.ports.json_requests import UNREADABLE
from samovar.ports.llm import Stop, Usage
from samovar.providers.anthropic.failures import error_event, upstream_error
from samovar.providers.anthropic.response import unreadable, with_extra
from samovar.providers.anthropic.usage import merged, read_stop, read_usage
from samovar.providers.anthropic.wire import DeltaWire, ErrorWire, MessageWire, UsageWire

_CONTENT: Final = b"event: content_block_"
_CONTENT_END: Final = b"}}\n\n"
"""How a whole delta ends: what was cut or garbled inside it is taken apart, and refused there."""
_NEXT_CONTENT: Final = b"\n\n" + _CONTENT
# What a content event holds beside the content: the base of an estimate only, so near enough.
_ENVELOPE_CHARS: Final = 117
_STARTLESS: Final = frozenset({"text", "thinking"})


class _Block(msgspec.Struct):
    type: str = ""


class _Event(msgspec.Struct):
    """Only what a tap looks at."""

    type: str = ""
    message: MessageWire | None = None
    content_block: _Block | None = None
    delta: DeltaWire | None = None
    usage: UsageWire | None = None
    error: ErrorWire | None = None


_EVENTS: Final = msgspec.json.Decoder(_Event)


class AnthropicRelay:
    """One for each stream. The bytes of each event are the vendor's own."""

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._events = RawEvents(max_event_bytes=max_event_bytes)
        self._message_id: str | None = None
        self._usage: UsageWire | None = None
        self._held: bytes | None = None
        self._held_data = b""
        self._started = False
        # Content has begun and nothing has ended it.
        self._flowing = False
        self._stop: Stop | None = None
        self._failed: UpstreamError | None = None
        self._over = False
        self._output_chars = 0
        self.unknown_events = 0
        self.model = ""

    @property
    def started(self) -> bool:
        """Whether the first content has come."""
        return self._started

    @property
    def usage(self) -> Usage | None:
        """The last usage seen: at first the input's, at the end the whole."""
        return None if self._usage is None else read_usage(self._usage)

    @property
    def stop(self) -> Stop | None:
        """Why it stopped, once known."""
        return self._stop

    @property
    def failed(self) -> UpstreamError | None:
        """The error event that ended the stream after its first content."""
        return self._failed

    @property
    def output_chars(self) -> int:
        """Characters of content, about."""
        return self._output_chars

    def feed(self, block: bytes) -> bytes:
        """Bytes for the caller. Raises :class:`UpstreamError` for an error before any content, :class:`BadAnswer` for
        what is no message stream."""
        if self._flowing and not self._events.rest and block.startswith(_CONTENT) and block.endswith(_CONTENT_END):
            # One event in a block is the rule; only otherwise are ends and beginnings counted.
            alone = block.find(b"\n\n") == len(block) - 2
            events = 1 if alone else 1 + block.count(_NEXT_CONTENT)
            if (alone or block.count(b"\n\n") == block.count(_CONTENT_END) == events) and (
                chars := _content_chars(block, events)
            ) is not None:
                self._output_chars += chars
                return block
        return self._take_apart(block)

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """The held-back ``message_stop``. Raises :class:`BadAnswer` if the stream was cut before it."""
        rest = self._events.last()
        # The last blank line is often missing.
        out = self._event(rest) if rest else b""
        if self._over:
            return out
        if self._held is None:
            raise BadAnswer(
                "The provider's answer is not an event stream."
                if self._message_id is None
                else "The provider's stream was cut before its message_stop event."
            )
        if extra is None:
            # Its last byte may have come in a block of its own, when nothing more was expected.
            return out + self._held + (b"\n" if self._held.endswith(b"\r\n\r") else b"")
        return out + sse_bytes(with_extra(self._held_data, extra), "message_stop")

    def fail(self, error: SamovarError) -> bytes:
        """The ``error`` event; half an event that was still held back is given up. Nothing follows it."""
        if self._over:
            return b""
        self._over, self._flowing = True, False
        self._events.clear()
        return error_event(error)

    def _take_apart(self, block: bytes) -> bytes:
        try:
            events = self._events.feed(block)
        except SseOverflow as error:
            raise BadAnswer(f"The provider sent {error}.") from error
        return b"".join([self._event(event) for event in events])

    def _event(self, raw: bytes) -> bytes:
        """What the caller gets of one event. Nothing follows the last one."""
        if self._held is not None or self._over:
            return b""
        data = event_data(raw)
        if data is None:
            if self._message_id is None and raw.lstrip()[:1] in (b"<", b"{", b"["):
                raise BadAnswer("The provider's answer is not an event stream.")
            return raw
        try:
            event = _EVENTS.decode(data)
        except UNREADABLE as error:
            raise unreadable(error) from error
        passed = self._watch(event, raw, data)
        self._flowing = self._started and self._held is None and not self._over
        return passed

    def _watch(self, event: _Event, raw: bytes, data: bytes) -> bytes:
        match "error" if event.error is not None else event.type:
            case "content_block_delta" | "content_block_start":
                self._content(event)
            case "message_start":
                return raw if self._message_start(event.message) else b""
            case "message_delta":
                self._message_delta(event)
            case "message_stop":
                self._needs_start()
                self._held, self._held_data = raw, data
                return b""
            case "error":
                self._error(event.error or ErrorWire())
            case "content_block_stop" | "ping":
                pass
            case _:
                self.unknown_events += 1
        return raw

    def _needs_start(self) -> None:
        if self._message_id is None:
            raise BadAnswer("The provider's stream does not begin with a message_start event.")

    def _content(self, event: _Event) -> None:
        self._needs_start()
        if event.delta is not None:
            self._started = True
            delta = event.delta
            self._output_chars += len(delta.text) + len(delta.thinking) + len(delta.partial_json)
        elif event.content_block is not None and event.content_block.type not in _STARTLESS:
            self._started = True

    def _message_start(self, message: MessageWire | None) -> bool:
        """Whether to pass it on: a repetition is dropped, because clients take it for a new message."""
        if message is None:
            raise BadAnswer("The provider's message_start event has no message.")
        if self._message_id is not None:
            if message.id == self._message_id:
                return False
            raise BadAnswer("The provider began a second message inside the first.")
        self._message_id, self.model = message.id, message.model
        self._usage = message.usage
        # After a pause for a tool that code called, the whole answer comes in this one event.
        self._started = bool(message.content)
        if message.stop_reason is not None:
            self._stop = read_stop(message.stop_reason, message.stop_sequence)
        return True

    def _message_delta(self, event: _Event) -> None:
        self._needs_start()
        self._usage = merged(self._usage, event.usage)
        if event.delta is not None and event.delta.stop_reason is not None:
            # An empty answer is an answer too.
            self._started = True
            self._stop = read_stop(event.delta.stop_reason, event.delta.stop_sequence)

    def _error(self, wire: ErrorWire) -> None:
        error = upstream_error(wire)
        if not self._started:
            raise error
        self._failed, self._over = error, True


def _content_chars(block: bytes, events: int) -> int | None:
    """Characters of content, about; ``None`` for what is no UTF-8, which the caller must not get."""
    try:
        chars = len(block.decode()) - events * _ENVELOPE_CHARS
    except UnicodeDecodeError:
        return None
    return chars if chars > 0 else 0
