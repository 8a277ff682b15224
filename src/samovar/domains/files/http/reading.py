"""``GET /api/files/{id}`` and ``/content``: what a file is, and what it holds."""

from contextlib import aclosing
from typing import Final
from urllib.parse import parse_qs

import msgspec

from samovar.domains.files.errors import BadFile, LinkRefused
from samovar.domains.files.http.conventions import file_id_in
from samovar.domains.files.http.door import Asked, Headers
from samovar.domains.files.http.headers import disposition, is_active
from samovar.domains.files.http.ranges import (
    Span,
    Version,
    http_date,
    is_another,
    is_unchanged,
    lists,
    span_of,
    wants_range,
)
from samovar.domains.files.http.upload import PREFIX
from samovar.domains.files.model.links import Disposition
from samovar.domains.files.model.records import StoredFile, told
from samovar.domains.files.service import FileService, Part, Reading, Thumbnails
from samovar.kernel.errors import Flaw, StaleRevision
from samovar.ports.asgi import BY_KERNEL, Message, Receive, Send, send_whole
from samovar.ports.revisions import etag

_ID_AT: Final = len(PREFIX) + 1
_MAX_PARAMETERS: Final = 16
_JSON: Final = (b"content-type", b"application/json")
_FRESH: Final = (b"cache-control", b"private, no-cache")
_STALE: Final = (b"x-degraded", b"stale")
# A page of ours never shows an uploaded one as if it were ours: no scripts, no forms, an origin of its own.
_SANDBOX: Final = (b"content-security-policy", b"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:")


class About:
    """``GET /api/files/{id}``: from memory some tens of microseconds of work."""

    def __init__(self, *, files: FileService) -> None:
        self._reads = files.reads

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> int:
        principal = await asked.principal()
        file_id = _file_id(asked)
        seen = self._reads.recall(principal, file_id) or await self._reads.find(principal, file_id)
        attributes = seen.file.attributes
        tag = etag(attributes.revision).encode()
        headers: Headers = [*asked.answer_headers(), (b"etag", tag), _FRESH]
        if seen.is_stale:
            headers.append(_STALE)
        if b"if-none-match" in asked.headers and lists(asked.headers[b"if-none-match"], tag):
            return await _unchanged(headers, send)
        await send_whole(send, 200, [*headers, _JSON], msgspec.json.encode(told(attributes)))
        return 200


class Content:
    """``GET /api/files/{id}/content``."""

    def __init__(self, *, files: FileService, thumbnails: Thumbnails) -> None:
        self._files = files
        self._thumbnails = thumbnails

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> int:
        parameters = _Parameters(asked)
        file, kind = await self._opened(asked, parameters)
        if parameters.thumbnail is not None:
            return await self._thumbnail(file, parameters.thumbnail, asked, send)
        attributes, tag = file.attributes, file.etag.encode()
        version = Version(tag, attributes.created_at)
        if is_another(asked.headers, version):
            raise StaleRevision
        headers: Headers = [
            *asked.answer_headers(),
            (b"etag", tag),
            (b"last-modified", http_date(attributes.created_at)),
            (b"accept-ranges", b"bytes"),
            _FRESH,
        ]
        if is_unchanged(asked.headers, version):
            return await _unchanged(headers, send)
        span, size = Span(0, attributes.size_bytes), attributes.size_bytes
        status = 200
        is_head = asked.scope["method"] == "HEAD"
        if not is_head and wants_range(asked.headers, version):
            found = span_of(asked.headers[b"range"], size)
            if found is not None:
                span, status = found, 206
                headers.append((b"content-range", b"bytes %d-%d/%d" % (span.start, span.end - 1, size)))
        headers += _of_content(attributes.content_type, attributes.filename, kind)
        headers.append((b"content-length", b"%d" % (span.end - span.start)))
        if is_head:
            await self._files.reads.check_readable(file)
            return await _sent(status, headers, None, send)
        reads = self._files.reads
        content = reads.content_in_part_by_kernel if BY_KERNEL in asked.scope.get("extensions", ()) else reads.content
        return await _sent(status, headers, await content(file, start=span.start, end=span.end), send)

    async def _opened(self, asked: Asked, parameters: "_Parameters") -> tuple[StoredFile, Disposition]:
        if parameters.link is not None:
            return await self._opened_by(parameters.link, asked)
        principal = await asked.principal()
        file_id = _file_id(asked)
        seen = self._files.reads.recall(principal, file_id) or await self._files.reads.find(principal, file_id)
        return seen.file, parameters.disposition

    async def _opened_by(self, token: str, asked: Asked) -> tuple[StoredFile, Disposition]:
        links, file_id = self._files.links, _first_segment(asked)
        asked.check_admitted()
        try:
            said = links.read(file_id, token)
            await asked.admit_link(said.link_id)
            file, link = await links.opened(file_id, said)
        except LinkRefused:
            # Of whom it is good for there may be an office behind one address: only the others are counted by theirs.
            await asked.admit_stranger()
            raise
        return file, link.disposition

    async def _thumbnail(self, file: StoredFile, side_px: int, asked: Asked, send: Send) -> int:
        tag = b'"%b.%d"' % (file.attributes.checksum.encode(), side_px)
        headers: Headers = [*asked.answer_headers(), (b"etag", tag), _FRESH]
        if b"if-none-match" in asked.headers and lists(asked.headers[b"if-none-match"], tag):
            return await _unchanged(headers, send)
        made = await self._thumbnails.of(file, side_px)
        kind = (b"content-type", made.media_type.encode())
        await send_whole(send, 200, [*headers, kind, (b"content-disposition", b"inline")], made.content)
        return 200


class _Parameters:
    """Of the address. Raises ``BadFile``."""

    def __init__(self, asked: Asked) -> None:
        try:
            found = parse_qs(asked.scope["query_string"].decode("latin-1"), max_num_fields=_MAX_PARAMETERS)
        except ValueError as error:
            raise BadFile([Flaw("query", f"has more than {_MAX_PARAMETERS} parameters")]) from error
        self.link = found.get("link", [None])[0]
        said = found.get("disposition", [Disposition.ATTACHMENT.value])[0]
        if said not in list(Disposition):
            raise BadFile([Flaw("disposition", "is attachment or inline")])
        self.disposition = Disposition(said)
        side = found.get("thumbnail", [None])[0]
        if side is not None and not (side.isascii() and side.isdigit() and len(side) < 6):
            raise BadFile([Flaw("thumbnail", "is a whole number of pixels")])
        self.thumbnail = None if side is None else int(side)


def _file_id(asked: Asked) -> str:
    return file_id_in(_first_segment(asked))


def _first_segment(asked: Asked) -> str:
    path: str = asked.scope["path"]
    return path[_ID_AT:].partition("/")[0]


def _of_content(content_type: str, filename: str, kind: Disposition) -> Headers:
    headers: Headers = [
        (b"content-type", content_type.encode("latin-1", "replace")),
        (b"content-disposition", disposition(kind, filename)),
    ]
    return [*headers, _SANDBOX] if is_active(content_type) else headers


async def _sent(status: int, headers: Headers, pieces: Reading | None, send: Send) -> int:
    """Piece by piece, each after the one before was taken: a slow reader holds one. What the kernel may send it sends, behind the
    first piece and before the last."""
    if pieces is None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return status
    async with aclosing(pieces):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if pieces.is_over:
            await send({"type": "http.response.body", "body": b""})
        async for piece in pieces:
            if pieces.is_over:
                # Who has the last byte may leave at once: the answer is whole with it, and not with an empty piece behind it.
                await anext(pieces, None)
            await send({"type": "http.response.body", "body": piece, "more_body": not pieces.is_over})
            if pieces.has_part:
                with pieces.by_kernel() as part:
                    await send(_by_kernel(part))
    return status


def _by_kernel(part: Part) -> Message:
    return {
        "type": BY_KERNEL,
        "file": part.file,
        "offset": part.start,
        "count": part.size_bytes,
        "more_body": True,
    }


async def _unchanged(headers: Headers, send: Send) -> int:
    await send({"type": "http.response.start", "status": 304, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
    return 304
