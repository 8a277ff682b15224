"""A vendor's events to deltas.

Items and their contents are told apart by ``output_index`` and ``content_index`` alone. An item that the core cannot hold
is given whole when it ends; its own events are skipped. Servers differ in what they leave out (deltas of short texts,
``content_part`` events, even an item's beginning), so each ``done`` event gives what its deltas did not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from samovar.kernel.sse import SseEvent
from samovar.ports.dialect import BadAnswer, Vendor
from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    Delta,
    Failed,
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
    UsageSeen,
)
from samovar.providers.openai_responses.errors import upstream_error
from samovar.providers.openai_responses.response import read_parts, unreadable
from samovar.providers.openai_responses.stream.events import EVENTS, STARTS, EventWire, ItemStart, OpenItem, OpenPart
from samovar.providers.openai_responses.usage import read_stop, read_usage
from samovar.providers.openai_responses.wire import DIALECT, Ending, ErrorWire, OutputItem, Typed, said

_ONLY: Final = 0
"""The content index of items that have one thing to say."""
_BETWEEN: Final = "\n\n"
_OUTPUT_ITEMS: Final = msgspec.json.Decoder(OutputItem)
_TYPED: Final = msgspec.json.Decoder(Typed)


class ResponsesStreamReader:
    """One for each stream. ``unknown_events`` counts what was skipped because this version does not know it."""

    def __init__(self, *, vendor: Vendor) -> None:
        self._vendor = vendor
        self._response_id: str | None = None
        self._items: dict[int, OpenItem] = {}
        self._output: list[OutputItem] = []
        self._next_index = 0
        self._over = False
        self.unknown_events = 0
        self._handlers: Mapping[str, Callable[[EventWire], Sequence[Delta]]] = {
            "response.created": self._start,
            "response.queued": self._start,
            "response.in_progress": self._start,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.content_part.added": self._part_added,
            "response.content_part.done": self._part_done,
            "response.output_text.delta": self._text,
            "response.output_text.done": self._text_done,
            "response.output_text.annotation.added": self._annotation,
            "response.refusal.delta": self._refusal,
            "response.refusal.done": self._refusal_done,
            "response.function_call_arguments.delta": self._arguments,
            "response.function_call_arguments.done": self._arguments_done,
            "response.reasoning_summary_part.added": _nothing,
            "response.reasoning_summary_part.done": _nothing,
            "response.reasoning_summary_text.delta": self._thinking,
            "response.reasoning_summary_text.done": _nothing,
            "response.reasoning_text.delta": self._thinking,
            "response.reasoning_text.done": _nothing,
            "response.completed": self._finish,
            "response.incomplete": self._finish,
            "response.failed": self._failed,
            "response.cancelled": self._failed,
            "error": self._error,
        }

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """Raises :class:`BadAnswer` for an event that the dialect does not allow."""
        # Some servers close with chat's [DONE], which says nothing here.
        if self._over or event.data == b"[DONE]":
            return ()
        try:
            wire = EVENTS.decode(event.data)
            handler = self._handlers.get(wire.type or event.event)
            if handler is not None:
                return handler(wire)
        except (ValueError, RecursionError) as error:
            raise unreadable(error) from error
        item = self._items.get(wire.output_index)
        if item is None or not item.opaque:
            self.unknown_events += 1
        return ()

    def end(self) -> Sequence[Delta]:
        """Raises :class:`BadAnswer` for a stream without its terminal event."""
        if not self._over:
            raise BadAnswer("The provider's stream was cut before its response.completed event.")
        return ()

    # -- the response

    def _start(self, wire: EventWire) -> Sequence[Delta]:
        response = wire.response or Ending()
        if self._response_id is None:
            self._response_id = response.id
            return (Opened(id=response.id, model=response.model, created=int(response.created_at or 0)),)
        # Copilot gives the response another id in each event: only a second beginning is a second answer.
        if wire.type == "response.created" and response.id != self._response_id:
            raise BadAnswer("The provider began a second response inside the first.")
        return ()

    def _finish(self, wire: EventWire) -> Sequence[Delta]:
        self._needs_start()
        self._over = True
        ending = wire.response or Ending()
        if not ending.output:
            # Some servers leave the items out of the last event.
            ending.output = self._output
        deltas = [delta for at in sorted(self._items) for delta in self._close_all(self._items[at])]
        usage = read_usage(ending)
        if usage is not None:
            deltas.append(UsageSeen(usage=usage))
        kind = StopKind.END if wire.type == "response.completed" else StopKind.OTHER
        return [*deltas, Stopped(stop=read_stop(ending) or Stop(kind=kind))]

    def _failed(self, wire: EventWire) -> Sequence[Delta]:
        ending = wire.response or Ending()
        usage = read_usage(ending)
        failed = self._fail(ending.error or ErrorWire())
        return failed if usage is None else (UsageSeen(usage=usage), *failed)

    def _error(self, wire: EventWire) -> Sequence[Delta]:
        return self._fail(wire.failure())

    def _fail(self, wire: ErrorWire) -> tuple[Delta, ...]:
        self._over = True
        error = upstream_error(wire)
        code = error.upstream_code or "server_error"
        return (Failed(status=error.upstream_status, code=code, message=error.detail),)

    def _needs_start(self) -> None:
        if self._response_id is None:
            raise BadAnswer("The provider's stream does not begin with a response.created event.")

    # -- items

    def _item_added(self, wire: EventWire) -> Sequence[Delta]:
        self._needs_start()
        if not said(wire.item):
            return ()
        if wire.output_index in self._items:
            raise BadAnswer(f"The provider opened the output item {wire.output_index} twice.")
        start = STARTS.decode(wire.item)
        item = self._items[wire.output_index] = OpenItem(start)
        if item.opaque or start.type != "function_call":
            # Thinking opens with its first words: often there are none.
            return ()
        return (self._open(item, _ONLY, ToolCall(id=start.call_id or "", name=start.name or "", arguments="")),)

    def _item_done(self, wire: EventWire) -> Sequence[Delta]:
        self._needs_start()
        self._output.append(_OUTPUT_ITEMS.decode(wire.item))
        item = self._items.get(wire.output_index)
        if item is None:
            item = self._items[wire.output_index] = OpenItem(STARTS.decode(wire.item))
        if item.opaque:
            return self._whole(item, _ONLY, Opaque(dialect=DIALECT, raw=wire.item.copy()))
        parts = read_parts(wire.item, origin=self._vendor.name)
        deltas: list[Delta] = []
        for at, part in enumerate(parts):
            held = item.open.get(at)
            if held is not None:
                deltas += self._rest(held, part)
            elif at not in item.seen:
                deltas += self._whole(item, at, part)
        return [*deltas, *self._close_all(item)]

    def _rest(self, held: OpenPart, part: Part) -> list[Delta]:
        """What the end of an item says of a part and its deltas did not."""
        deltas: list[Delta] = []
        match part:
            case ToolCall() if not held.said and part.arguments:
                deltas.append(ArgumentsDelta(index=held.index, json=part.arguments))
            case Text() | Refusal() | Reasoning() if not held.said and part.text:
                deltas.append(TextDelta(index=held.index, text=part.text))
        if isinstance(part, Reasoning):
            if part.signature is not None:
                deltas.append(SignatureDelta(index=held.index, signature=part.signature))
            if part.encrypted is not None:
                deltas.append(SignatureDelta(index=held.index, signature=part.encrypted, encrypted=True))
        return deltas

    # -- parts

    def _open(self, item: OpenItem, at: int, part: Part) -> PartOpened:
        held = item.open[at] = OpenPart(self._next_index)
        item.seen.add(at)
        self._next_index += 1
        return PartOpened(index=held.index, part=part)

    def _whole(self, item: OpenItem, at: int, part: Part) -> list[Delta]:
        return [self._open(item, at, part), PartClosed(index=item.open.pop(at).index)]

    def _close_all(self, item: OpenItem) -> list[Delta]:
        closed: list[Delta] = [PartClosed(index=item.open[at].index) for at in sorted(item.open)]
        item.open.clear()
        return closed

    def _item(self, wire: EventWire) -> OpenItem:
        item = self._items.get(wire.output_index)
        if item is None:
            self._needs_start()
            raise BadAnswer(f"The provider sent content for the output item {wire.output_index}, which it never began.")
        return item

    def _more(self, wire: EventWire, at: int, part: Part, text: str) -> Sequence[Delta]:
        """More words for a part, which opens here if nothing has opened it."""
        item = self._item(wire)
        opened = [] if at in item.open else [self._open(item, at, part)]
        held = item.open[at]
        held.said = True
        return [*opened, TextDelta(index=held.index, text=text)]

    def _done(self, wire: EventWire, part: Part, text: str | None) -> Sequence[Delta]:
        held = self._item(wire).open.get(wire.content_index)
        if not text or (held is not None and held.said):
            return ()
        return self._more(wire, wire.content_index, part, text)

    def _part_added(self, wire: EventWire) -> Sequence[Delta]:
        item = self._item(wire)
        if wire.content_index in item.open:
            return ()
        match _TYPED.decode(wire.part).type if said(wire.part) else "":
            case "output_text":
                return (self._open(item, wire.content_index, _text_of(item.start)),)
            case "refusal":
                return (self._open(item, wire.content_index, Refusal(text="")),)
        return ()

    def _part_done(self, wire: EventWire) -> Sequence[Delta]:
        item = self._item(wire)
        if item.start.type != "message":
            return ()
        held = item.open.pop(wire.content_index, None)
        return () if held is None else (PartClosed(index=held.index),)

    def _text(self, wire: EventWire) -> Sequence[Delta]:
        held = (item := self._item(wire)).open.get(wire.content_index)
        text = _words(wire)
        if held is None:
            return self._more(wire, wire.content_index, _text_of(item.start), text)
        held.said = True
        return (TextDelta(index=held.index, text=text),)

    def _text_done(self, wire: EventWire) -> Sequence[Delta]:
        return self._done(wire, _text_of(self._item(wire).start), wire.text)

    def _refusal(self, wire: EventWire) -> Sequence[Delta]:
        return self._more(wire, wire.content_index, Refusal(text=""), _words(wire))

    def _refusal_done(self, wire: EventWire) -> Sequence[Delta]:
        return self._done(wire, Refusal(text=""), wire.refusal)

    def _annotation(self, wire: EventWire) -> Sequence[Delta]:
        held = self._item(wire).open.get(wire.content_index)
        if held is None or not said(wire.annotation):
            return ()
        return (AnnotationDelta(index=held.index, raw=wire.annotation.copy()),)

    def _arguments(self, wire: EventWire) -> Sequence[Delta]:
        held = self._item(wire).open.get(_ONLY)
        text = _words(wire)
        if held is None or not text:
            return ()
        held.said = True
        return (ArgumentsDelta(index=held.index, json=text),)

    def _arguments_done(self, wire: EventWire) -> Sequence[Delta]:
        held = self._item(wire).open.get(_ONLY)
        if held is None or held.said or not wire.arguments:
            return ()
        held.said = True
        return (ArgumentsDelta(index=held.index, json=wire.arguments),)

    def _thinking(self, wire: EventWire) -> Sequence[Delta]:
        item = self._item(wire)
        summary = "summary" in wire.type
        thought = ("summary" if summary else "text", wire.summary_index if summary else wire.content_index)
        before, item.thought = item.thought, thought
        if before is not None and before[0] != thought[0]:
            # A summary and the open thinking at once: the core has room for one.
            item.thought = before
            return ()
        part = Reasoning(id=item.start.id, origin=self._vendor.name)
        parted = _BETWEEN if before is not None and before != thought else ""
        return self._more(wire, _ONLY, part, parted + _words(wire))


def _nothing(wire: EventWire) -> Sequence[Delta]:
    return ()


def _words(wire: EventWire) -> str:
    return wire.delta if isinstance(wire.delta, str) else ""


def _text_of(start: ItemStart) -> Text:
    return Text(text="", phase=start.phase)
