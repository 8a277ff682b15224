"""A stream that passes through: the vendor's bytes, whole events at a time, watched on their way.

Almost every block is nothing but deltas; those are recognised by their first line and passed on as they are. Everything
else is taken apart. The terminal event is held back, so that the end can carry what the call cost.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import DEFAULT_MAX_EVENT_BYTES, RawEvents, SseOverflow, event_data, event_name, sse_bytes
from samovar.ports.dialect import BadAnswer, UpstreamError
from samovar.ports.llm import Stop, StopKind, Usage
from samovar.ports.pins import pinned, pinned_json
from samovar.ports.vendor_errors import openai_error_fields
from samovar.providers.openai_responses.errors import body_error, upstream_error
from samovar.providers.openai_responses.response import unreadable, with_extra
from samovar.providers.openai_responses.usage import read_stop, read_usage
from samovar.providers.openai_responses.wire import Ending, ErrorWire, OutputItem

_NAMED: Final = b"event: response."
_DELTA: Final = b".delta"
_STARTLESS: Final = frozenset({"message", "reasoning"})
"""Items whose beginning is no content yet."""


class _Event(msgspec.Struct):
    """Only what a tap looks at."""

    type: str = ""
    sequence_number: int | None = None
    response: Ending | None = None
    item: OutputItem | None = None
    delta: str | dict[str, msgspec.Raw] | None = None
    error: ErrorWire | None = None
    code: str | int | None = None
    message: str | None = None


class _Delta(msgspec.Struct):
    delta: str


_EVENTS: Final = msgspec.json.Decoder(_Event)
_DELTAS: Final = msgspec.json.Decoder(_Delta)


def _pins(event: _Event) -> tuple[str, ...]:
    if event.response is not None:
        return event.response.pins()
    return () if event.item is None else (event.item.encrypted_content or "",)


class ResponsesRelay:
    """One for each stream. The bytes of each event are the vendor's own, but for the mark of the ``maker``."""

    def __init__(self, *, maker: str = "", max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._maker = maker
        self._events = RawEvents(max_event_bytes=max_event_bytes)
        self._response: Ending | None = None
        self._output: list[OutputItem] = []
        self._held: bytes | None = None
        self._held_data = b""
        self._held_name = ""
        self._sequence = 0
        # Content has begun and nothing has ended it.
        self._flowing = False
        self._over = False
        self.started = False
        self.usage: Usage | None = None
        self.stop: Stop | None = None
        self.failed: UpstreamError | None = None
        self.output_chars = 0
        self.unknown_events = 0

    @property
    def model(self) -> str:
        """The vendor's own name of the model that answers."""
        return "" if self._response is None else self._response.model

    def feed(self, block: bytes) -> bytes:
        """Bytes for the caller. Raises :class:`UpstreamError` for an error before any content, :class:`BadAnswer` for
        what is no response stream."""
        if (
            self._flowing
            and not self._events.rest
            and block.startswith(_NAMED)
            and block.find(b"\n\n") == len(block) - 2
        ):
            # One event in a block is the rule.
            line = block.find(b"\n")
            if block.endswith(_DELTA, 0, line) and block.startswith(b"data: ", line + 1):
                self._count(memoryview(block)[line + 7 :])
                self._sequence += 1
                return block
        return self._take_apart(block)

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """The held-back terminal event. Raises :class:`BadAnswer` if the stream was cut before it."""
        rest = self._events.last()
        # The last blank line is often missing.
        out = self._event(rest, last=True) if rest else b""
        if self._over or self.failed is not None:
            return out
        if self._held is None:
            raise BadAnswer(
                "The provider's answer is not an event stream."
                if self._response is None
                else "The provider's stream was cut before its response.completed event."
            )
        if extra is None:
            return out + self._held
        return out + sse_bytes(with_extra(self._held_data, extra), self._held_name)

    def fail(self, error: SamovarError) -> bytes:
        """``error``, then ``response.failed``; half an event that was still held back is given up."""
        if self._over or self.failed is not None:
            return b""
        self._over, self._flowing = True, False
        self._events.clear()
        fields = openai_error_fields(error, status=error.http_status)
        told = {name: fields[name] for name in ("code", "message", "param")}
        event = {"type": "error", "sequence_number": self._sequence + 1, **told, "error": fields}
        response = self._response or Ending()
        failed = {
            "type": "response.failed",
            "sequence_number": self._sequence + 2,
            "response": {
                "id": pinned(response.id, self._maker) if response.id and self._maker else response.id,
                "object": "response",
                "created_at": int(response.created_at or 0),
                "status": "failed",
                "error": {"code": fields["code"], "message": fields["message"]},
                "model": response.model,
                "output": [],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
            },
        }
        encode = msgspec.json.encode
        return sse_bytes(encode(event), "error") + sse_bytes(encode(failed), "response.failed")

    # -- framing

    def _take_apart(self, block: bytes) -> bytes:
        try:
            events = self._events.feed(block)
        except SseOverflow as error:
            raise BadAnswer(f"The provider sent {error}.") from error
        return b"".join([self._event(event) for event in events])

    def _event(self, raw: bytes, *, last: bool = False) -> bytes:
        """What the caller gets of one event. Nothing follows the last one."""
        if self._held is not None or self._over:
            return b""
        data = event_data(raw)
        if data is None:
            if self._response is None and raw.lstrip()[:1] in (b"<", b"{", b"["):
                raise (body_error(raw) if last else None) or BadAnswer("The provider's answer is not an event stream.")
            return raw
        if data == b"[DONE]":
            return b""
        try:
            event = _EVENTS.decode(data)
        except (ValueError, RecursionError) as error:
            raise unreadable(error) from error
        if self._maker:
            pins = _pins(event)
            raw, data = pinned_json(raw, pins, self._maker), pinned_json(data, pins, self._maker)
        self._sequence = self._sequence if event.sequence_number is None else event.sequence_number
        passed = self._watch(event.type or event_name(raw), event, raw, data)
        self._flowing = self.started and self._held is None and not self._over and self.failed is None
        return passed

    # -- one event

    def _watch(self, kind: str, event: _Event, raw: bytes, data: bytes) -> bytes:
        if self.failed is not None and kind != "response.failed":
            return b""
        match kind:
            case "response.output_item.added" | "response.output_item.done":
                self._item(kind, event.item)
            case "response.created" | "response.queued" | "response.in_progress":
                self._begin(kind, event.response or Ending())
            case "response.completed" | "response.incomplete":
                self._finish(event.response or Ending())
                self._held, self._held_data, self._held_name = raw, data, kind
                return b""
            case "error":
                self._error(event.error or ErrorWire(message=event.message, code=event.code))
            case "response.failed" | "response.cancelled":
                self._fail(event.response or Ending())
            case _ if kind.endswith(".delta"):
                self._needs_start()
                self.started = True
                self.output_chars += len(event.delta) if isinstance(event.delta, str) else 0
            case _ if not kind.startswith("response."):
                # What the vendor's own tools tell of themselves has no end of names: a relay looks at none of it.
                self.unknown_events += 1
        return raw

    def _count(self, data: memoryview) -> None:
        try:
            self.output_chars += len(_DELTAS.decode(data).delta)
        except (ValueError, RecursionError) as error:
            # Some of the vendor's own tools stream objects.
            if isinstance(error, msgspec.ValidationError):
                return
            raise unreadable(error) from error

    def _needs_start(self) -> None:
        if self._response is None:
            raise BadAnswer("The provider's stream does not begin with a response.created event.")

    def _begin(self, kind: str, response: Ending) -> None:
        if self._response is None:
            self._response = response
        elif kind == "response.created" and response.id != self._response.id:
            raise BadAnswer("The provider began a second response inside the first.")

    def _item(self, kind: str, item: OutputItem | None) -> None:
        self._needs_start()
        if item is None:
            return
        if kind.endswith("done"):
            self._output.append(item)
        self.started = self.started or item.type not in _STARTLESS

    def _finish(self, response: Ending) -> None:
        self._needs_start()
        # An empty answer is an answer too.
        self.started = True
        if not response.output:
            response.output = self._output
        self.usage = read_usage(response)
        self.stop = read_stop(response) or Stop(kind=StopKind.OTHER)

    def _error(self, wire: ErrorWire) -> None:
        error = upstream_error(wire)
        if not self.started:
            raise error
        self.failed = error

    def _fail(self, response: Ending) -> None:
        self.usage = read_usage(response) or self.usage
        if self.failed is None:
            self._error(response.error or ErrorWire())
        self._over = True
