"""A stream that passes through in its own dialect, watched on its way.

Each event is decoded into a struct of the few fields we need (0.6 us); its bytes go on as they came. Line ends become
LF, so that the output does not depend on where the blocks were cut.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import RawEvents, SseOverflow, event_data, sse_bytes
from samovar.ports.dialect import BadAnswer, Quirks, UpstreamError, Vendor
from samovar.ports.llm import Stop, Usage
from samovar.ports.vendor_errors import openai_error_fields
from samovar.providers.openai.errors import error_event, is_error
from samovar.providers.openai.parts import words_of
from samovar.providers.openai.usage import stop_of, usage_of
from samovar.providers.openai.wire import ABSENT, ContentPart, encode, is_foreign, is_null

DONE: Final = b"data: [DONE]\n\n"
_FIELDS: Final = (b"data", b":", b"event", b"id", b"retry")
_LONGEST_FIELD: Final = 6
# Numbers: looking for bytes in bytes raises and drops an error first, before Python 3.12, and this runs for every block.
_LF: Final = 0x0A
_CR: Final = 0x0D
_COLON: Final = 0x3A


class _Call(Struct, frozen=True):
    arguments: str | None = None


class _ToolCall(Struct, frozen=True):
    function: _Call | None = None


class _Delta(Struct, frozen=True):
    content: str | list[ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Call | None = None
    audio: Raw = ABSENT
    images: list[Raw] | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class _Chunk(Struct, frozen=True):
    choices: list[_Choice] | None = None
    usage: Raw = ABSENT
    error: Raw = ABSENT
    object: str | None = None


class _Birth(Struct, frozen=True):
    """What every chunk repeats."""

    id: str = ""
    created: float = 0
    model: str = ""
    service_tier: str | None = None


class ChatRelay:
    """See :class:`samovar.ports.dialect.Relay`. ``[DONE]`` and a usage-only chunk wait for :meth:`end`."""

    def __init__(self, *, vendor: Vendor, wants_usage: bool) -> None:
        self._quirks: Quirks = vendor.quirks
        # Usage that we alone asked for is not the caller's to see.
        self._hide_usage = vendor.quirks.stream_usage_option and not wants_usage
        self._decoder = msgspec.json.Decoder(_Chunk)
        self._events = RawEvents()
        self._checked = False
        self._body = False  # a JSON body instead of a stream: an error, most likely
        self._held = b""
        self._last = b""
        self._done = False
        self._over = False
        self.started = False
        self.usage: Usage | None = None
        self.stop: Stop | None = None
        self.model = ""
        self.failed: UpstreamError | None = None
        self.output_chars = 0
        self.unknown_events = 0

    def feed(self, block: bytes) -> bytes:
        """Whole events that this block completed, as they came."""
        if not self._checked:
            self._check(b"".join((*self._events.rest, block)))
        if self._body or self._events.rest or _CR in block or block[-2:] != b"\n\n":
            return self._take_apart(block)
        events = block.split(b"\n\n")
        rest = events.pop()
        if rest:  # a third line end: the first byte of the next event
            self._events.keep(rest)
        if len(events) == 1:
            return self._event(events[0])
        return b"".join([self._event(event) for event in events])

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """The rest; ``[DONE]`` is ours to say, so a vendor that forgets it after its last chunk is forgiven."""
        if self._over:
            return b""
        out = self._remainder()
        if self.failed is not None:
            return out
        if not self._done and self.stop is None:
            raise BadAnswer("the provider's stream was cut: it ended without a finish_reason and without [DONE]")
        held, self._held = self._held, b""
        if extra:
            held = self._with_extra(held, extra)
        return out + held + DONE

    def fail(self, error: SamovarError) -> bytes:
        """``{"error": ...}``; what was held back is given up. Nothing follows it, ``[DONE]`` neither."""
        if self.failed is not None or self._over:
            return b""
        self._over = True
        return sse_bytes(encode({"error": openai_error_fields(error, status=error.http_status)}))

    # -- framing

    def _take_apart(self, block: bytes) -> bytes:
        try:
            if self._body:
                self._events.keep(block)
                return b""
            events = self._events.feed(block)
        except SseOverflow as error:
            raise BadAnswer(f"the provider sent {error}") from error
        return b"".join([self._event(_plain(event)) for event in events])

    def _check(self, text: bytes) -> None:
        """Is it a stream at all? A page or a body must not pass for one."""
        begin = text.removeprefix(b"\xef\xbb\xbf").lstrip()
        if len(begin) < _LONGEST_FIELD and _COLON not in begin:
            return
        if begin.startswith((b"{", b"[")):
            self._checked = self._body = True
        elif begin.startswith(b":") or begin.split(b":", 1)[0].splitlines()[0] in _FIELDS:
            self._checked = True
        else:
            raise BadAnswer("the provider answered a stream with something that is no event stream")

    def _remainder(self) -> bytes:
        rest = self._events.last()
        if self._body:
            self._raise_body(rest)
        if not rest:
            return b""
        self._check(rest + b":")
        return self._event(_plain(rest))

    def _raise_body(self, body: bytes) -> None:
        try:
            chunk = self._decoder.decode(body)
        except ValueError:
            chunk = _Chunk()
        if is_error(error=chunk.error, kind=chunk.object):
            raise error_event(body)
        raise BadAnswer("the provider answered a stream with a JSON body")

    # -- one event

    def _event(self, event: bytes) -> bytes:
        if self.failed is not None or self._done:
            return b""
        data = event[6:] if event.startswith(b"data: ") and _LF not in event else event_data(event)
        if data is None:
            return event + b"\n\n"
        if data == b"[DONE]":
            self._done = True
            return b""
        try:
            chunk = self._decoder.decode(data)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(f"the provider sent a chunk that cannot be read: {error}") from error
        return self._passed(event, data, chunk)

    def _passed(self, event: bytes, data: bytes, chunk: _Chunk) -> bytes:
        if chunk.error is not ABSENT or not chunk.choices:
            if is_error(error=chunk.error, kind=chunk.object):
                return self._error(event, data)
            if not is_null(chunk.usage):
                return self._usage_only(event, data, chunk.usage)
            self.unknown_events += is_foreign(chunk.object)
        self._last = data
        for choice in chunk.choices or ():
            self._choice(choice)
        before, self._held = self._held, b""
        if chunk.usage is not ABSENT:
            if not is_null(chunk.usage):
                self.usage = self._usage(data, chunk.usage)
            elif self._hide_usage:
                event = _without_null_usage(event)
        return before + event + b"\n\n"

    def _choice(self, choice: _Choice) -> None:
        delta = choice.delta
        if delta is not None:
            chars = _chars(delta.content) + len(delta.reasoning_content or delta.reasoning or "")
            if delta.tool_calls or delta.function_call or delta.refusal or delta.audio is not ABSENT or delta.images:
                chars += _other_chars(delta)
                # Sound and pictures have no characters, and are content all the same.
                self.started = self.started or not is_null(delta.audio) or bool(delta.images or delta.tool_calls)
            if chars:
                self.started = True
                self.output_chars += chars
        if choice.finish_reason is not None:
            self.started = True
            self.stop = stop_of(choice.finish_reason, matched=choice.stop_reason)

    def _usage(self, data: bytes, raw: Raw) -> Usage | None:
        birth = _birth(data)
        self.model = birth.model
        return usage_of(raw, quirks=self._quirks, service_tier=birth.service_tier) or self.usage

    def _usage_only(self, event: bytes, data: bytes, raw: Raw) -> bytes:
        before, self._held = self._held, b""
        self._last = data
        self.usage = self._usage(data, raw)
        if not self._hide_usage:
            self._held = event + b"\n\n"
        return before

    def _error(self, event: bytes, data: bytes) -> bytes:
        error = error_event(data)
        if not self.started:
            raise error
        before, self._held = self._held, b""
        self.failed = error
        return before + event + b"\n\n"

    def _with_extra(self, held: bytes, extra: Mapping[str, object]) -> bytes:
        data = event_data(held.rstrip(b"\n")) if held else None
        if data is not None:
            fields = msgspec.json.decode(data, type=dict[str, Raw])
            return sse_bytes(encode({**fields, "samovar": extra}))
        birth = _birth(self._last)
        chunk = {
            "id": birth.id,
            "object": "chat.completion.chunk",
            "created": int(birth.created),
            "model": birth.model,
            "choices": [],
            "samovar": extra,
        }
        return held + sse_bytes(encode(chunk))


def _plain(event: bytes) -> bytes:
    """One event with LF for line ends and without the blank line."""
    event = event.removesuffix(b"\r\n\r\n" if event.endswith(b"\r\n") else b"\n\n")
    if _CR in event:
        event = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n\n")
    return event


def _chars(content: str | list[ContentPart] | None) -> int:
    return len(content) if isinstance(content, str) else sum(map(len, words_of(content)))


def _other_chars(delta: _Delta) -> int:
    calls = [call.function for call in delta.tool_calls or ()]
    return len(delta.refusal or "") + sum(len(call.arguments or "") for call in (*calls, delta.function_call) if call)


def _without_null_usage(event: bytes) -> bytes:
    """Unescaped quotes cannot stand inside a JSON string, so plain bytes suffice."""
    for field in (b',"usage":null', b', "usage": null', b'"usage":null,', b'"usage": null, '):
        if field in event:
            return event.replace(field, b"", 1)
    return event


def _birth(data: bytes) -> _Birth:
    try:
        return msgspec.json.decode(data, type=_Birth)
    except (ValueError, RecursionError):
        return _Birth()
