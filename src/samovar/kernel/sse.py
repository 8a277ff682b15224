"""Server-sent events, read and written (WHATWG HTML, *Server-sent events*, section 9.2.6).

Bytes come in blocks cut anywhere; events come out whole. Bounded: an event longer than ``max_event_bytes`` is an error,
never a growing buffer. :class:`SseParser` reads what they say; :class:`RawEvents` only finds where each one ends.
"""

import itertools
import re
from typing import Final, NamedTuple

DEFAULT_MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
# Numbers: looking for bytes in bytes raises and drops an error first, before Python 3.12, and this runs for every block.
_LF: Final = 0x0A
_CR: Final = 0x0D
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# Two line ends of any kind, where the two bytes of a CRLF are never taken for two. Written so that each branch begins with
# its own byte: the search then skips to it, ten times as fast as a repeated group.
_EVENT_END: Final = re.compile(rb"\r\n(?:\r\n?|\n)|\n(?:\r\n?|\n)|\r(?:\r\n?)")


class SseEvent(NamedTuple):
    """``event`` is ``"message"`` where the stream named none; ``data`` lines are joined with a line feed."""

    event: str
    data: bytes


class SseOverflow(ValueError):
    """One event outgrew the bound."""


class SseParser:
    """Feed it blocks, take whole events. Comments, ``id`` and ``retry`` are skipped; CR, LF and CRLF all end a line."""

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        # Pieces of a line whose end has not come. A list, so that a large event in small blocks is not copied each time.
        self._rest: list[bytes] = []
        self._event = "message"
        self._data: list[bytes] = []
        self._rest_bytes = 0
        self._size = 0

    def feed(self, block: bytes) -> list[SseEvent]:
        """Events that became whole with this block. Raises :class:`SseOverflow`."""
        if _LF not in block and _CR not in block and not (self._rest and self._rest[-1].endswith(b"\r")):
            self._grow(len(block))
            self._rest.append(block)
            return []
        text = b"".join((*self._rest, block)) if self._rest else block
        # A CR at the very end may be half of a CRLF: wait for the next block before calling it a line end.
        held = b"\r" if text.endswith(b"\r") else b""
        if held:
            text = text[:-1]
        if _CR in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        rest = lines.pop() + held
        self._rest = [rest] if rest else []
        self._rest_bytes = 0
        self._grow(len(rest))
        events: list[SseEvent] = []
        for line in lines:
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def end(self) -> list[SseEvent]:
        """What is left when the stream ends. The standard drops an unterminated event; real providers cut the last
        blank line often enough that we take it."""
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _grow(self, by: int) -> None:
        self._rest_bytes += by
        if self._rest_bytes + self._size > self._max:
            raise SseOverflow(f"an event of more than {self._max} bytes")

    def _line(self, line: bytes) -> SseEvent | None:
        line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b"data: ") else line[5:]
            self._size += len(value)
            if self._size > self._max:
                raise SseOverflow(f"an event of more than {self._max} bytes")
            self._data.append(value)
        elif line.startswith(b"event:"):
            self._event = line[6:].strip().decode("utf-8", "replace")
        elif line == b"data":
            self._data.append(b"")
        return None

    def _dispatch(self) -> SseEvent | None:
        event, data = self._event, self._data
        self._event, self._data, self._size = "message", [], 0
        if not data:
            return None
        return SseEvent(event, data[0] if len(data) == 1 else b"\n".join(data))


class RawEvents:
    """Cuts a stream into whole events and changes no byte of them. Feed it blocks, take events with their blank lines."""

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._rest_bytes = 0
        self.rest: list[bytes] = []
        """The beginning of an event whose end has not come, in the blocks it came in; to be read only."""

    def feed(self, block: bytes) -> list[bytes]:
        """Events that became whole with this block. Raises :class:`SseOverflow`."""
        rest = self.rest
        # Without a line end nothing can have become whole: a large event in small blocks is joined once.
        if _LF not in block and _CR not in block and not (rest and rest[-1].endswith(b"\r")):
            self.keep(block)
            return []
        if self._rest_bytes + len(block) > self._max:
            raise SseOverflow(f"an event of more than {self._max} bytes")
        text = b"".join((*rest, block)) if rest else block
        ends = _ends(text)
        done = ends[-1] if ends else 0
        self._rest_bytes = len(text) - done
        self.rest = [text[done:]] if self._rest_bytes else []
        if len(ends) < 2:
            return [text[:done]] if ends else []
        return [text[start:end] for start, end in itertools.pairwise((0, *ends))]

    def keep(self, block: bytes) -> None:
        """Puts a block to the rest, unsearched: what turned out to be no stream. Raises :class:`SseOverflow`."""
        self._rest_bytes += len(block)
        if self._rest_bytes > self._max:
            raise SseOverflow(f"an event of more than {self._max} bytes")
        self.rest.append(block)

    def last(self, line_end: bytes = b"\n") -> bytes:
        """The event that stood open when the stream ended, closed by a blank line; empty if none did."""
        text, self.rest, self._rest_bytes = b"".join(self.rest), [], 0
        bare = text.rstrip(b"\r\n")
        if not bare or text.endswith(b"\r\r"):  # that one was whole: its last CR was not half of a CRLF
            return text if bare else b""
        return bare + line_end + line_end

    def clear(self) -> None:
        """Gives up what has not become whole."""
        self.rest, self._rest_bytes = [], 0


def _ends(text: bytes) -> list[int]:
    """Where each whole event ends."""
    # Plain searching is ten times as fast as the expression, and almost every server keeps to one line end.
    if _CR not in text:
        return _found(text, b"\n\n")
    if text.count(b"\r") == text.count(b"\n") == text.count(b"\r\n"):
        return _found(text, b"\r\n\r\n")
    # A CR at the very end may be half of a CRLF: wait for the next block.
    whole = len(text) - text.endswith(b"\r")
    return [found.end() for found in _EVENT_END.finditer(text) if found.end() <= whole]


def _found(text: bytes, end: bytes) -> list[int]:
    ends: list[int] = []
    at = text.find(end)
    while at >= 0:
        at += len(end)
        ends.append(at)
        at = text.find(end, at)
    return ends


def event_data(raw: bytes) -> bytes | None:
    """The joined ``data`` lines of one raw event, ``None`` where it has none (a comment, a lone name)."""
    alone = raw.rstrip(b"\r\n")
    if alone.startswith(b"data: ") and _LF not in alone and _CR not in alone:
        return alone[6:]
    lines = [line[5:].removeprefix(b" ") for line in _lines(raw) if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def event_name(raw: bytes) -> str:
    """The name of one raw event, empty where it has none."""
    names = [line[6:].strip().decode("utf-8", "replace") for line in _lines(raw) if line.startswith(b"event:")]
    return names[-1] if names else ""


def _lines(raw: bytes) -> list[bytes]:
    # A byte order mark may stand before the first event alone; it is no part of a field's name.
    return raw.removeprefix(_BYTE_ORDER_MARK).splitlines()


def one_line(data: bytes) -> bytes:
    """JSON on one line. A line end in JSON is white space (in a string it is escaped), so that a space says the same."""
    if _LF in data or _CR in data:
        return data.replace(b"\r", b" ").replace(b"\n", b" ")
    return data


def sse_bytes(data: bytes, event: str | None = None) -> bytes:
    """One event of one ``data`` line; ``data`` is JSON, and what a caller or vendor wrote prettily is put on one line."""
    if _LF in data or _CR in data:
        data = one_line(data)
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
