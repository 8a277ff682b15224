"""A form of text fields and files, read piece by piece as it comes in."""

from collections.abc import Iterator
from typing import Final

from multipart import (  # type: ignore[import-untyped]  # it ships no types
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from samovar.domains.vision.errors import BadAsk, TooManyImages
from samovar.domains.vision.model.asking import MAX_IMAGES, VisionAsk, read_form
from samovar.kernel.errors import Malformed
from samovar.ports.asgi import Receive, body_pieces

_MAX_FIELDS: Final = 64
_MAX_TEXT_BYTES: Final = 512 * 1024
_IMAGE: Final = frozenset({"image", "image[]"})


async def read_multipart(
    receive: Receive, content_type: bytes, *, declared: bytes | None, max_bytes: int, timeout_s: float
) -> tuple[VisionAsk, list[bytes]]:
    """The text fields as an ask, and the files of the fields ``image``. Raises as :func:`samovar.ports.asgi.read_body`, and
    ``BadAsk``, ``TooManyImages``."""
    form = _Form(content_type)
    async for piece in body_pieces(receive, declared=declared, max_bytes=max_bytes, timeout_s=timeout_s):
        form.feed(piece)
    form.end()
    return read_form(form.fields), form.files


class _Form:
    """What came of a form so far."""

    def __init__(self, content_type: bytes) -> None:
        _, options = parse_options_header(content_type.decode("latin-1"))
        boundary = options.get("boundary", "")
        if not boundary or len(boundary) > 200:
            raise Malformed("the form's Content-Type names no boundary: multipart/form-data; boundary=...")
        self.fields: list[tuple[str, str]] = []
        self.files: list[bytes] = []
        self._parser = PushMultipartParser(boundary, max_segment_count=_MAX_FIELDS)
        self._segment: MultipartSegment | None = None
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        """More of it. Raises ``Malformed``, ``BadAsk``, ``TooManyImages``."""
        if not piece:
            return
        try:
            self._heed(self._parser.parse(piece))
        except ParserLimitReached as error:
            raise Malformed(
                f"the form has more than {_MAX_FIELDS} fields, or a field a header that is too long"
            ) from error
        except MultipartError as error:
            raise Malformed(f"the form cannot be read: {error}") from error

    def end(self) -> None:
        """It came whole. Raises ``Malformed``."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise Malformed("the form ends in the middle") from error

    def _heed(self, events: Iterator[MultipartSegment | bytes | bytearray | None]) -> None:
        for event in events:
            if isinstance(event, MultipartSegment):
                self._begin(event)
            elif event is None:
                self._finish()
            else:
                self._pieces.append(bytes(event))
                self._check()

    def _begin(self, segment: MultipartSegment) -> None:
        self._segment, self._pieces = segment, []
        if _is_file(segment):
            if segment.name not in _IMAGE:
                raise BadAsk(str(segment.name)[:100], "is a file; send pictures as `image`")
            if len(self.files) == MAX_IMAGES:
                raise TooManyImages(f"The form has more than {MAX_IMAGES} images; at most {MAX_IMAGES} are taken.")

    def _check(self) -> None:
        segment = self._segment
        assert segment is not None
        if not _is_file(segment) and segment.bytes_received > _MAX_TEXT_BYTES:
            raise BadAsk(str(segment.name)[:100], f"has more than {_MAX_TEXT_BYTES} bytes; send a picture as a file")

    def _finish(self) -> None:
        segment, content = self._segment, b"".join(self._pieces)
        assert segment is not None
        self._segment, self._pieces = None, []
        if _is_file(segment):
            self.files.append(content)
            return
        try:
            self.fields.append((str(segment.name), content.decode()))
        except UnicodeDecodeError as error:
            raise BadAsk(str(segment.name)[:100], "is not UTF-8") from error


def _is_file(segment: MultipartSegment) -> bool:
    """By its file name; by its field, where a program left that out."""
    return bool(segment.filename) or segment.name in _IMAGE
