"""A form of fields and files, read as it comes in: a file's bytes are handed on, never kept."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from multipart import (  # type: ignore[import-untyped]  # it ships no types
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from samovar.domains.files.errors import BadForm
from samovar.domains.files.http.fields import MAX_FIELD_BYTES, Fields

MAX_PARTS: Final = 256
_FILE: Final = frozenset({"file", "files", "file[]", "files[]"})


class FilePart(NamedTuple):
    """A file that begins; its bytes come next."""

    filename: str
    content_type: str


class Form:
    """Go from file to file with :meth:`next_file`, and take each one's :meth:`content` to its end before the next."""

    def __init__(self, content_type: bytes, pieces: AsyncIterator[bytes]) -> None:
        _, options = parse_options_header(content_type.decode("latin-1"))
        boundary = options.get("boundary", "")
        if not boundary or len(boundary) > 200:
            raise BadForm("The form's Content-Type names no boundary: multipart/form-data; boundary=...")
        try:
            self._parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        except MultipartError as error:
            raise BadForm(f"The form's boundary cannot be used: {error}") from error
        self._pieces = pieces
        self._events: deque[MultipartSegment | bytes | None] = deque()
        self._next: FilePart | None = None
        self._is_over = False

    async def next_file(self, fields: Fields) -> FilePart | None:
        """The next file; fields on the way to it go into ``fields``. ``None`` at the end. Raises ``BadForm``, ``BadFile``."""
        found, self._next = self._next, None
        return found or await self._forward(fields)

    async def content(self, late: Fields) -> AsyncIterator[bytes]:
        """The bytes of the file that began. Before their end is told, what follows is read up to the next file, into
        ``late``: so what is wrong there is known before the file is one."""
        while True:
            event = await self._event()
            if event is None:
                break
            if isinstance(event, bytes):
                yield event
        self._next = await self._forward(late)

    async def _forward(self, fields: Fields) -> FilePart | None:
        while not self._is_over:
            if not self._events and not await self._more():
                break
            segment = self._events.popleft()
            assert isinstance(segment, MultipartSegment)
            if segment.name in _FILE:
                return FilePart(segment.filename or "file", str(segment.header("Content-Type", "")))
            if segment.filename is not None:
                raise BadForm(f"The field {str(segment.name)[:100]!r} is a file; send files as 'file'.")
            fields.say(str(segment.name), await self._text(segment))
        return None

    async def _text(self, segment: MultipartSegment) -> str:
        pieces, size = [], 0
        while (event := await self._event()) is not None:
            assert isinstance(event, bytes)
            pieces.append(event)
            size += len(event)
            if size > MAX_FIELD_BYTES:
                raise BadForm(f"The field {str(segment.name)[:100]!r} has more than {MAX_FIELD_BYTES} bytes.")
        try:
            return b"".join(pieces).decode()
        except UnicodeDecodeError as error:
            raise BadForm(f"The field {str(segment.name)[:100]!r} is not UTF-8.") from error

    async def _event(self) -> "MultipartSegment | bytes | None":
        while not self._events:
            if not await self._more():
                raise BadForm("The form ends in the middle.")
        return self._events.popleft()

    async def _more(self) -> bool:
        """Read on until something happened; ``False`` at the end."""
        while not self._events and not self._is_over:
            try:
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                self._is_over = True
                self._end()
                return False
            try:
                for event in self._parser.parse(piece):
                    self._events.append(bytes(event) if isinstance(event, bytearray) else event)
            except ParserLimitReached as error:
                raise BadForm(f"The form has more than {MAX_PARTS} parts, or a part's header is too long.") from error
            except MultipartError as error:
                raise BadForm(f"The form cannot be read: {error}") from error
        return bool(self._events)

    def _end(self) -> None:
        try:
            self._parser.close()
        except MultipartError as error:
            raise BadForm("The form ends in the middle.") from error
