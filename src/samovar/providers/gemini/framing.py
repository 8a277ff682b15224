"""The two forms of a stream: server-sent events (``alt=sse`` in the query) or one JSON array, chunk by chunk."""

from enum import StrEnum
from typing import Protocol

from samovar.kernel.sse import one_line


class StreamForm(StrEnum):
    """The value is the content type of the stream."""

    SSE = "text/event-stream"
    ARRAY = "application/json"


class Framing(Protocol):
    """Puts chunks of JSON into the form. One for each stream."""

    def chunk(self, data: bytes) -> bytes:
        """One chunk, framed."""
        ...

    def close(self) -> bytes:
        """What ends the form."""
        ...


class SseFraming:
    """One ``data`` line an event, line ends as Google's: CRLF. Nothing marks the end. No comments and no ids: Google's own
    clients break on them."""

    def chunk(self, data: bytes) -> bytes:
        """One event."""
        return b"data: " + one_line(data) + b"\r\n\r\n"

    def close(self) -> bytes:
        """Nothing."""
        return b""


class ArrayFraming:
    """``[``, the chunks with commas between them, ``]``."""

    def __init__(self) -> None:
        self._begun = False

    def chunk(self, data: bytes) -> bytes:
        """One element of the array."""
        lead = b"\n,\r\n" if self._begun else b"["
        self._begun = True
        return lead + data

    def close(self) -> bytes:
        """The end of the array, and its beginning if it is empty."""
        return b"\n]" if self._begun else b"[]"


def framing(form: StreamForm) -> Framing:
    """A fresh one."""
    return SseFraming() if form is StreamForm.SSE else ArrayFraming()
