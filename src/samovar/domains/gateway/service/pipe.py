"""The way of a stream from the vendor's bytes to the caller's, when the two speak different dialects.

Where they speak the same one, the dialect's own relay does this without taking anything apart.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from msgspec.structs import replace

from samovar.domains.gateway.errors import GuardBlocked
from samovar.domains.gateway.model.screening import ScreenedStream
from samovar.kernel.errors import SamovarError
from samovar.kernel.sse import SseOverflow, SseParser
from samovar.ports.dialect import BadAnswer, StreamReader, StreamWriter, UpstreamError
from samovar.ports.llm import (
    ArgumentsDelta,
    Delta,
    Failed,
    KeepAlive,
    Opened,
    Stop,
    Stopped,
    TextDelta,
    Usage,
    UsageSeen,
)

_CONTENT: Final = (TextDelta, ArgumentsDelta, Stopped)
"""What cannot be taken back once it is out."""


class Translation:
    """A :class:`~samovar.ports.dialect.Relay` made of a parser, the vendor's reader and the surface's writer.
    ``estimate`` gives the usage of so many characters, for a vendor that says none; ``screen`` holds the key's rules over
    what is said, ``None`` where it has none; ``now`` dates an answer whose vendor does not."""

    def __init__(
        self,
        *,
        reader: StreamReader,
        writer: StreamWriter,
        estimate: Callable[[int], Usage],
        now: Callable[[], datetime],
        screen: ScreenedStream | None = None,
    ) -> None:
        self._parser = SseParser()
        self._reader = reader
        self._writer = writer
        self._estimate = estimate
        self._now = now
        self._screen = screen
        self._unsent = b""
        self.started = False
        self.usage: Usage | None = None
        self.stop: Stop | None = None
        self.model = ""
        self.failed: UpstreamError | None = None
        self.output_chars = 0

    @property
    def unknown_events(self) -> int:
        """See :meth:`samovar.ports.dialect.Relay.unknown_events`."""
        return self._reader.unknown_events

    def feed(self, block: bytes) -> bytes:
        """See :meth:`samovar.ports.dialect.Relay.feed`."""
        try:
            events = self._parser.feed(block)
        except SseOverflow as error:
            raise BadAnswer(f"the provider's stream holds {error}") from error
        out = [self._write(self._reader.read(event)) for event in events]
        self._unsent = b""
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self, extra: Mapping[str, object] | None = None) -> bytes:
        """See :meth:`samovar.ports.dialect.Relay.end`."""
        out = [self._write(self._reader.read(event)) for event in self._parser.end()]
        out.append(self._write(self._reader.end()))
        if self._screen is not None and self.failed is None:
            out.append(self._ruled(self._screen.end))
        if self.failed is None:
            if self.usage is None:
                out.append(self._write((UsageSeen(self._estimate(self.output_chars)),)))
            out.append(self._writer.end(extra))
        self._unsent = b""
        return b"".join(out)

    def fail(self, error: SamovarError) -> bytes:
        """See :meth:`samovar.ports.dialect.Relay.fail`."""
        unsent, self._unsent = self._unsent, b""
        return unsent + self._writer.fail(error)

    def _write(self, deltas: Iterable[Delta]) -> bytes:
        if self._screen is not None:
            return self._write_ruled(self._screen, deltas)
        out = []
        for delta in deltas:
            if self.failed is not None:
                break
            seen = self._watch(delta)
            out.append(self._writer.write(seen) if self.failed is None else self._writer.fail(self.failed))
        return b"".join(out)

    def _write_ruled(self, screen: ScreenedStream, deltas: Iterable[Delta]) -> bytes:
        out = b""
        for delta in deltas:
            if self.failed is not None:
                break
            # What is held back has not begun: another status can still be given, and another vendor be asked.
            started = self.started
            seen = self._watch(delta)
            self.started = started
            out += self._ruled(partial(screen.pass_on, seen))
        return out

    def _ruled(self, step: Callable[[], Sequence[Delta]]) -> bytes:
        """Bytes of what a step of the screen lets out. Raises ``GuardBlocked``; what goes out before it waits for
        :meth:`fail`."""
        assert self._screen is not None
        try:
            passed = step()
        except GuardBlocked:
            self._unsent += self._written(self._screen.last)
            raise
        out = self._written(passed)
        self._unsent += out
        return out

    def _written(self, deltas: Iterable[Delta]) -> bytes:
        out = []
        for delta in deltas:
            self.started = self.started or isinstance(delta, _CONTENT)
            out.append(self._writer.write(delta) if self.failed is None else self._writer.fail(self.failed))
        return b"".join(out)

    def _watch(self, delta: Delta) -> Delta:
        """The delta as it goes on."""
        match delta:
            case TextDelta():
                self.started = True
                self.output_chars += len(delta.text)
            case ArgumentsDelta():
                self.started = True
                self.output_chars += len(delta.json)
            case UsageSeen():
                self.usage = delta.usage
            case Stopped():
                self.started = True
                self.stop = delta.stop
            case Failed():
                error = UpstreamError(delta.message, upstream_status=delta.status, upstream_code=delta.code)
                if not self.started:
                    raise error
                self.failed = error
            case Opened():
                self.model = delta.model
                if not delta.created:
                    return replace(delta, created=int(self._now().timestamp()))
            case KeepAlive():
                pass
            case _:
                self.started = True
        return delta
