"""A stream that passes through: the vendor's bytes, whole events at a time, watched on their way.

The chunk that names the reason to stop is held back, so that the end can carry what the call cost; should another follow it,
that one is held instead. The vendor is always asked for events; a caller who wants an array gets the same chunks in one.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import DEFAULT_MAX_EVENT_BYTES, RawEvents, SseOverflow, event_data
from samovar.ports.dialect import BadAnswer, UpstreamError
from samovar.ports.json_requests import UNREADABLE
from samovar.ports.llm import Stop, Usage
from samovar.providers.gemini.failures import upstream_error, write_error
from samovar.providers.gemini.framing import SseFraming, StreamForm, framing
from samovar.providers.gemini.response import ANSWERS, parts_of, unreadable, with_extra
from samovar.providers.gemini.usage import merged, read_usage, searches_of, stop_of
from samovar.providers.gemini.wire import ABSENT, AnswerWire, UsageWire, is_unknown


class _Part(msgspec.Struct, rename="camel"):
    """Only what a tap looks at."""

    text: str | None = None
    function_call: Raw = ABSENT


_PARTS: Final = msgspec.json.Decoder(_Part)


class GeminiRelay:
    """One for each stream. In the form of events the bytes of each one are the vendor's own."""

    def __init__(self, *, form: StreamForm = StreamForm.SSE, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._framing = framing(form)
        self._events = RawEvents(max_event_bytes=max_event_bytes)
        # The last chunk so far that named a reason to stop: its bytes, and its data.
        self._held: tuple[bytes, bytes] | None = None
        self._usage: UsageWire | None = None
        self._searches = 0
        self._seen = False
        self._called = False
        self._started = False
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
        """The last usage seen."""
        return None if self._usage is None else read_usage(self._usage, web_searches=self._searches)

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
        """Characters of content."""
        return self._output_chars

    def feed(self, block: bytes) -> bytes:
        """Bytes for the caller. Raises :class:`UpstreamError` for an error before any content, :class:`BadAnswer` for
        what is no stream of answers."""
        try:
            events = self._events.feed(block)
        except SseOverflow as error:
            raise BadAnswer(f"The provider sent {error}.") from error
        return b"".join([self._event(event) for event in events])

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """The held-back chunk, and what ends the form. Raises :class:`BadAnswer` if the stream was cut before it."""
        rest = self._events.last(b"\r\n")
        # The last blank line is often missing.
        out = self._event(rest) if rest.strip() else b""
        if self._over:
            return out
        if self._held is None:
            raise BadAnswer(
                "The provider's stream was cut before it said why it ends."
                if self._seen
                else "The provider's answer is not an event stream."
            )
        self._over = True
        raw, data = self._held
        last = raw if extra is None else self._framing.chunk(with_extra(data, extra))
        return out + last + self._framing.close()

    def fail(self, error: SamovarError) -> bytes:
        """A chunk with Google's error shape; what was still held back is given up. Nothing follows it."""
        if self._over:
            return b""
        self._over = True
        self._events.clear()
        return self._framing.chunk(write_error(error, status=error.http_status)) + self._framing.close()

    def _event(self, raw: bytes) -> bytes:
        """What the caller gets of one event."""
        if self._over:
            return b""
        data = event_data(raw)
        if data is None:
            if not self._seen and raw.lstrip()[:1] in (b"<", b"{", b"["):
                raise BadAnswer("The provider's answer is not an event stream.")
            # Comments are dropped: Google's own clients break on them, and Google sends none.
            return b""
        try:
            chunk = ANSWERS.decode(data)
        except UNREADABLE as error:
            raise unreadable(error) from error
        self._seen = True
        self.model = chunk.model_version or self.model
        self.unknown_events += is_unknown(chunk)
        if chunk.error is not None:
            return self._error(upstream_error(chunk.error), raw, data)
        return self._chunk(chunk, raw, data)

    def _chunk(self, chunk: AnswerWire, raw: bytes, data: bytes) -> bytes:
        try:
            for part in parts_of(chunk):
                self._watch(_PARTS.decode(part))
        except UNREADABLE as error:
            raise unreadable(error) from error
        if chunk.usage_metadata is not None:
            self._usage = merged(self._usage, chunk.usage_metadata)
        self._searches = max(self._searches, searches_of(chunk.candidates))
        self._stop = stop_of(chunk, called=self._called) or self._stop
        framed = self._framed(raw, data)
        if self._stop is None:
            return framed
        # An empty answer is an answer too.
        self._started = True
        released = b"" if self._held is None else self._held[0]
        self._held = (framed, data)
        return released

    def _framed(self, raw: bytes, data: bytes) -> bytes:
        return raw if isinstance(self._framing, SseFraming) else self._framing.chunk(data)

    def _watch(self, part: _Part) -> None:
        if part.text is not None:
            self._output_chars += len(part.text)
            self._started = self._started or bool(part.text)
            return
        self._started = True
        if part.function_call is not ABSENT:
            self._called = True
            self._output_chars += len(bytes(part.function_call))

    def _error(self, error: UpstreamError, raw: bytes, data: bytes) -> bytes:
        if not self._started:
            raise error
        self._failed, self._over = error, True
        released = b"" if self._held is None else self._held[0]
        return released + self._framed(raw, data) + self._framing.close()
