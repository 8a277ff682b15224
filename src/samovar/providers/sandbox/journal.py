"""What reached the sandbox, and how it ended: the last requests, and counts since the last reset."""

from collections import Counter, deque
from typing import Any, Final

import msgspec

from samovar.providers.sandbox.exchange import Request

_SECRET_HEADERS: Final = frozenset(
    (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"proxy-authorization", b"x-admin-token")
)
_SHOWN_OF_A_SECRET: Final = 4


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """How much is remembered: ``requests`` of them, ``body_bytes`` of each body. Zero remembers none."""

    requests: int = 256
    body_bytes: int = 8_192


class Entry:
    """One request. ``outcome`` is ``open`` until it is ``answered``, ``cut`` (by a fault) or ``cancelled`` (the client
    left first). An ``observing`` one only looks at the sandbox and is not counted."""

    __slots__ = (
        "body",
        "bytes_in",
        "chunks",
        "headers",
        "method",
        "model",
        "outcome",
        "path",
        "status",
        "stream",
        "surface",
    )

    def __init__(self, request: Request, body_bytes: int, outcome: str = "open") -> None:
        self.method = request.method
        self.path = request.path
        self.headers = request.headers
        self.body = request.body[:body_bytes]
        self.bytes_in = len(request.body)
        self.surface = ""
        self.model = ""
        self.stream = False
        self.status = 0
        self.chunks = 0
        self.outcome = outcome


class Journal:
    """Bounded: it forgets the oldest entry when a new one comes."""

    def __init__(self, *, keeping: Keeping) -> None:
        self._keeping = keeping
        self._entries: deque[Entry] = deque(maxlen=keeping.requests)
        self._in_flight = 0
        self._clear()

    def _clear(self) -> None:
        self._requests = 0
        self._chunks = 0
        self._streams = 0
        self._cancelled_streams = 0
        self._outcomes: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()

    def open(self, request: Request) -> Entry:
        """Note a request that begins to be answered."""
        entry = Entry(request, self._keeping.body_bytes)
        self._entries.append(entry)
        self._requests += 1
        self._in_flight += 1
        return entry

    def close(self, entry: Entry, outcome: str) -> None:
        """Note how it ended."""
        if entry.outcome != "open":
            return
        entry.outcome = outcome
        self._in_flight -= 1
        self._outcomes[outcome] += 1
        self._statuses[entry.status] += 1
        if entry.stream:
            self._streams += 1
            self._chunks += entry.chunks
            if outcome == "cancelled":
                self._cancelled_streams += 1

    def reset(self) -> None:
        """Forget entries and counts; requests still open stay in ``in_flight``."""
        self._entries.clear()
        self._clear()

    def stats(self) -> dict[str, Any]:
        """Counts since the last reset."""
        return {
            "requests": self._requests,
            "in_flight": self._in_flight,
            "answered": self._outcomes["answered"],
            "cut": self._outcomes["cut"],
            "cancelled": self._outcomes["cancelled"],
            "streams": self._streams,
            "cancelled_streams": self._cancelled_streams,
            "chunks": self._chunks,
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
        }

    def requests(self) -> list[dict[str, Any]]:
        """The last requests, oldest first, their credentials redacted."""
        return [_shown(entry) for entry in self._entries]


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "method": entry.method,
        "path": entry.path,
        "headers": {name.decode("latin-1"): _redacted(name, value) for name, value in entry.headers.items()},
        "body": entry.body.decode("utf-8", "replace"),
        "body_bytes": entry.bytes_in,
        "surface": entry.surface,
        "model": entry.model,
        "stream": entry.stream,
        "status": entry.status,
        "chunks": entry.chunks,
        "outcome": entry.outcome,
    }


def _redacted(name: bytes, value: bytes) -> str:
    text = value.decode("latin-1")
    if name not in _SECRET_HEADERS:
        return text
    return (
        f"[redacted, {len(text)} characters, ends in {text[-_SHOWN_OF_A_SECRET:]}]" if len(text) > 12 else "[redacted]"
    )
