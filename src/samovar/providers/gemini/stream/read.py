"""A vendor's chunks to deltas.

Gemini marks no beginnings and ends of parts: words that follow one another in one kind (text, thought) are one part here. The
reason to stop is given when the stream ends, because chunks may follow the one that names it. A stream without one was cut.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from samovar.kernel.sse import SseEvent
from samovar.ports.dialect import BadAnswer, UpstreamError, Vendor
from samovar.ports.json_requests import UNREADABLE
from samovar.ports.llm import (
    ArgumentsDelta,
    Delta,
    Failed,
    Opened,
    Part,
    PartClosed,
    PartOpened,
    Reasoning,
    SignatureDelta,
    Stop,
    Stopped,
    Text,
    TextDelta,
    Usage,
    UsageSeen,
)
from samovar.providers.gemini.calls import Calls
from samovar.providers.gemini.failures import upstream_error
from samovar.providers.gemini.parts import decode_part, read_call, read_part
from samovar.providers.gemini.response import ANSWERS, created_of, parts_of, unreadable
from samovar.providers.gemini.stream.arguments import Arguments
from samovar.providers.gemini.usage import merged, read_usage, searches_of, stop_of
from samovar.providers.gemini.wire import AnswerWire, FunctionCall, PartWire, UsageWire, is_unknown


class GeminiStreamReader:
    """One for each stream. ``unknown_events`` counts what was skipped because this version does not know it."""

    def __init__(self, *, vendor: Vendor) -> None:
        self._vendor = vendor
        self._calls = Calls()
        self._opened = False
        self._next_index = 0
        # The part that more words may join, and what its kind is.
        self._live: type[Text] | type[Reasoning] | None = None
        # A call whose arguments are still to come.
        self._growing: Arguments | None = None
        self._usage: UsageWire | None = None
        self._usage_said: Usage | None = None
        self._searches = 0
        self._stop: Stop | None = None
        self._over = False
        self.unknown_events = 0

    def read(self, event: SseEvent) -> Sequence[Delta]:
        """Raises :class:`BadAnswer` for an event that the dialect does not allow."""
        if self._over:
            return ()
        try:
            wire = ANSWERS.decode(event.data)
            if is_unknown(wire):
                self.unknown_events += 1
                return ()
            return self._fail(upstream_error(wire.error)) if wire.error is not None else self._read(wire)
        except UNREADABLE as error:
            raise unreadable(error) from error

    def end(self) -> Sequence[Delta]:
        """The reason to stop. Raises :class:`BadAnswer` for a stream that never named one."""
        if self._over:
            return ()
        if self._stop is None:
            raise BadAnswer("The provider's stream was cut before it said why it ends.")
        self._over = True
        return [*self._close(), Stopped(stop=self._stop)]

    def _read(self, wire: AnswerWire) -> list[Delta]:
        deltas: list[Delta] = []
        if not self._opened:
            self._opened = True
            self._calls = Calls(scope=wire.response_id)
            deltas.append(Opened(id=wire.response_id, model=wire.model_version, created=created_of(wire)))
        for raw in parts_of(wire):
            deltas.extend(self._part(raw))
        searches = searches_of(wire.candidates)
        if wire.usage_metadata is not None or searches:
            self._searches = max(self._searches, searches)
            self._usage = merged(self._usage, wire.usage_metadata)
            usage = read_usage(self._usage or UsageWire(), web_searches=self._searches)
            if usage != self._usage_said:
                # It stands on every chunk and rarely changes.
                self._usage_said = usage
                deltas.append(UsageSeen(usage=usage))
        stop = stop_of(wire, called=self._calls.any)
        if stop is not None:
            deltas.extend(self._close())
            self._stop = stop
        return deltas

    def _part(self, raw: Raw) -> list[Delta]:
        wire = decode_part(raw)
        if wire is not None and wire.function_call is not None:
            return self._call(wire.function_call, wire)
        if wire is not None and wire.text is not None:
            return self._words(wire.text, wire)
        # Media, code that ran, ...: whole in one chunk.
        return [*self._close(), *(one for part in self._whole(raw) for one in self._at_once(part))]

    def _whole(self, raw: Raw) -> Sequence[Part]:
        return read_part(raw, origin=self._vendor.name, calls=self._calls)

    # -- words

    def _words(self, text: str, wire: PartWire) -> list[Delta]:
        deltas: list[Delta] = []
        kind: type[Text] | type[Reasoning] = Reasoning if wire.thought else Text
        if text:
            if self._live is not kind:
                deltas += self._close()
                deltas += self._open(Reasoning(origin=self._vendor.name) if wire.thought else Text(text=""))
                self._live = kind
            deltas.append(TextDelta(index=self._next_index - 1, text=text))
        if wire.thought_signature is not None:
            deltas += self._signature(wire.thought_signature, kind)
        return deltas

    def _signature(self, signature: str, kind: type[Text] | type[Reasoning]) -> list[Delta]:
        """Of the thought that is live, or of the words before it: then it is a part of its own."""
        if kind is Reasoning and self._live is Reasoning:
            return [SignatureDelta(index=self._next_index - 1, signature=signature), *self._close()]
        deltas = [*self._close(), *self._open(Reasoning(origin=self._vendor.name))]
        index = self._next_index - 1
        return [*deltas, SignatureDelta(index=index, signature=signature), PartClosed(index=index)]

    # -- calls

    def _call(self, call: FunctionCall, wire: PartWire) -> list[Delta]:
        if call.name is not None:
            deltas = self._close()
            part = read_call(call, signature=wire.thought_signature, calls=self._calls)
            deltas += self._open(msgspec.structs.replace(part, arguments=""))
            if not call.will_continue and call.partial_args is None:
                return [*deltas, ArgumentsDelta(self._next_index - 1, part.arguments), PartClosed(self._next_index - 1)]
            self._growing = Arguments()
        elif self._growing is None:
            # The end of a call that had already ended.
            return []
        else:
            deltas = []
        assert self._growing is not None
        self._growing.add(call.partial_args or ())
        return deltas if call.will_continue else [*deltas, *self._close()]

    # -- parts

    def _open(self, part: Part) -> list[Delta]:
        index = self._next_index
        self._next_index += 1
        return [PartOpened(index=index, part=part)]

    def _at_once(self, part: Part) -> list[Delta]:
        if isinstance(part, Reasoning) and part.signature is not None:
            return self._signature(part.signature, Text)
        return [*self._open(part), PartClosed(index=self._next_index - 1)]

    def _close(self) -> list[Delta]:
        """Ends whatever is open."""
        index = self._next_index - 1
        if self._growing is not None:
            growing, self._growing = self._growing, None
            return [ArgumentsDelta(index=index, json=growing.json()), PartClosed(index=index)]
        if self._live is None:
            return []
        self._live = None
        return [PartClosed(index=index)]

    def _fail(self, error: UpstreamError) -> Sequence[Delta]:
        self._over = True
        return (Failed(status=error.upstream_status, code=error.upstream_code or "", message=error.detail),)
