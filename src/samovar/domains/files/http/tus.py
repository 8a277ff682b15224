"""Uploads in pieces: tus 1.0 (https://tus.io/protocols/resumable-upload) with creation, creation-with-upload,
creation-defer-length, expiration, checksum and termination."""

from functools import partial
from typing import Final

import msgspec

from samovar.domains.files.errors import BadForm, WrongProtocol
from samovar.domains.files.http.body import Body
from samovar.domains.files.http.door import Asked, Headers, Once, answered_once
from samovar.domains.files.http.ranges import http_date
from samovar.domains.files.http.tus_headers import checksum_of, intent_of, length_of, said_of, whole
from samovar.domains.files.http.upload import PREFIX, UploadBounds
from samovar.domains.files.model.uploads import CHECKSUMS, UploadStands, told_upload
from samovar.domains.files.service.ingest import Piece, Resumable
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import SamovarError
from samovar.kernel.principal import Principal
from samovar.ports.asgi import Receive, Send, send_whole
from samovar.ports.elements import OffsetDiffers

UPLOADS: Final = f"{PREFIX}/uploads"
_VERSION: Final = b"1.0.0"
_EXTENSIONS: Final = b"creation,creation-with-upload,creation-defer-length,expiration,checksum,termination"
_SPOKEN: Final = (b"tus-resumable", _VERSION)
_PIECE: Final = b"application/offset+octet-stream"
_OVERRIDES: Final = ("HEAD", "PATCH", "DELETE")
_NO_STORE: Final = (b"cache-control", b"no-store")
_MARKED: Final = (b"upload-length", b"upload-defer-length", b"upload-metadata", b"upload-checksum", b"content-length")


class WrongType(SamovarError):
    """The body of a request that adds to an upload is not said to be one."""

    code = "not_a_piece"
    status = 415
    title = "Not a piece of an upload"


class Spoken:
    """``OPTIONS``: what is spoken here. Open to all, as browsers ask before they have anything to show."""

    def __init__(self, *, max_bytes: int) -> None:
        self._headers: Headers = [
            _SPOKEN,
            (b"tus-version", _VERSION),
            (b"tus-extension", _EXTENSIONS),
            (b"tus-checksum-algorithm", ",".join(CHECKSUMS).encode()),
            (b"tus-max-size", b"%d" % max_bytes),
        ]

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> int:
        await asked.admit_stranger()
        return await _empty(204, [*asked.answer_headers(), *self._headers], send)


class Creation:
    """``POST``: open an upload, and take what its body has of it."""

    def __init__(self, *, uploads: Resumable, once: Once, bounds: UploadBounds) -> None:
        self._uploads = uploads
        self._once = once
        self._bounds = bounds

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> int:
        principal = await asked.principal()
        require(principal, Permission.FILES_WRITE)
        _check_version(asked)
        answer = partial(self._opened, principal, asked, receive)
        return await answered_once(self._once, principal, asked, send, marked=_MARKED, answer=answer)

    async def _opened(self, principal: Principal, asked: Asked, receive: Receive, send: Send) -> int:
        said = said_of(asked.headers)
        intent = intent_of(said, length_bytes=length_of(asked.headers))
        body = _body(asked, receive, self._bounds)
        is_piece = asked.headers.get(b"content-type", b"").lower() == _PIECE
        if not is_piece and body.length_bytes:
            raise _unread(WrongType(f"What a creation brings of its file is {_PIECE.decode()}."))
        stands = await self._uploads.create(principal, intent, said)
        if is_piece and not stands.is_finished:
            try:
                stands = await _added(self._uploads, principal, stands.upload.file_id, 0, asked, body)
            except SamovarError:
                # Who hears of a refusal is not told the upload's address.
                await self._uploads.terminate(principal, stands.upload.file_id)
                raise
        headers: Headers = [
            *_telling(stands, asked),
            (b"location", f"{UPLOADS}/{stands.upload.file_id}".encode()),
            (b"content-type", b"application/json"),
        ]
        await send_whole(send, 201, headers, msgspec.json.encode(told_upload(stands)))
        return 201


class One:
    """``HEAD``, ``PATCH`` and ``DELETE`` of an upload, or a ``POST`` that stands for one of them; ``GET`` tells what ``HEAD``
    does, in words."""

    def __init__(self, *, uploads: Resumable, bounds: UploadBounds) -> None:
        self._uploads = uploads
        self._bounds = bounds

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> int:
        principal = await asked.principal()
        require(principal, Permission.FILES_WRITE)
        method, file_id = asked.scope["method"], asked.scope["path"][len(UPLOADS) + 1 :]
        if method != "GET":
            _check_version(asked)
        if method == "POST":
            method = _stands_for(asked)
        if method == "PATCH":
            return await self._add(principal, file_id, asked, receive, send)
        if method == "DELETE":
            await self._uploads.terminate(principal, file_id)
            return await _empty(204, [*asked.answer_headers(), _SPOKEN], send)
        stands = await self._uploads.look(principal, file_id)
        headers = [*_telling(stands, asked), (b"content-type", b"application/json")]
        if stands.upload.said:
            headers.append((b"upload-metadata", stands.upload.said.encode()))
        await send_whole(send, 200, headers, msgspec.json.encode(told_upload(stands)))
        return 200

    async def _add(self, principal: Principal, file_id: str, asked: Asked, receive: Receive, send: Send) -> int:
        body = _body(asked, receive, self._bounds)
        if asked.headers.get(b"content-type", b"").lower() != _PIECE:
            raise _unread(WrongType(f"A piece of an upload is {_PIECE.decode()}."))
        offset = whole(asked.headers, b"upload-offset")
        if offset is None:
            raise _unread(BadForm("Upload-Offset says where the piece goes."))
        stands = await _added(self._uploads, principal, file_id, offset, asked, body)
        return await _empty(204, _telling(stands, asked), send)


class Speaking:
    """``serve``, whose refusals say in which protocol."""

    def __init__(self, serve: "Spoken | Creation | One") -> None:
        self._serve = serve

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> int:
        try:
            return await self._serve(asked, receive, send)
        except SamovarError as error:
            error.headers["Tus-Resumable"] = _VERSION.decode()
            raise


async def _added(
    uploads: Resumable, principal: Principal, file_id: str, offset_bytes: int, asked: Asked, body: Body
) -> UploadStands:
    given = asked.headers.get(b"upload-checksum")
    try:
        piece = Piece(
            offset_bytes=offset_bytes,
            content=body.pieces(),
            size_bytes=body.length_bytes,
            length_bytes=whole(asked.headers, b"upload-length"),
            checksum=None if given is None else checksum_of(given),
        )
        return await uploads.append(principal, file_id, piece)
    except SamovarError as error:
        if isinstance(error, OffsetDiffers):
            error.headers["Upload-Offset"] = str(error.offset_bytes)
        if not body.is_read:
            _unread(error)
        raise


def _body(asked: Asked, receive: Receive, bounds: UploadBounds) -> Body:
    declared = asked.headers.get(b"content-length")
    return Body(receive, declared=declared, max_bytes=bounds.max_bytes, idle_s=bounds.idle_s)


def _unread(error: SamovarError) -> SamovarError:
    # What was not read of the body cannot be told from the next request.
    error.headers.setdefault("Connection", "close")
    return error


def _stands_for(asked: Asked) -> str:
    """The method that is meant: some networks let none but ``GET`` and ``POST`` through."""
    said = asked.headers.get(b"x-http-method-override", b"").decode("latin-1").upper()
    if said not in _OVERRIDES:
        raise _unread(BadForm(f"X-HTTP-Method-Override says what a POST here is: {', '.join(_OVERRIDES)}."))
    return said


def _check_version(asked: Asked) -> None:
    if asked.headers.get(b"tus-resumable") != _VERSION:
        words = _VERSION.decode()
        raise _unread(
            WrongProtocol(f"This is tus {words}: send Tus-Resumable: {words}.", headers={"Tus-Version": words})
        )


def _telling(stands: UploadStands, asked: Asked) -> Headers:
    upload = stands.upload
    headers: Headers = [
        *asked.answer_headers(),
        _SPOKEN,
        _NO_STORE,
        (b"upload-offset", b"%d" % stands.offset_bytes),
        (b"x-transaction-id", upload.file_id.encode()),
        (b"upload-defer-length", b"1")
        if upload.length_bytes is None
        else (b"upload-length", b"%d" % upload.length_bytes),
    ]
    if stands.is_finished:
        return [*headers, (b"x-file-id", upload.file_id.encode())]
    return [*headers, (b"upload-expires", http_date(upload.expires_at))]


async def _empty(status: int, headers: Headers, send: Send) -> int:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
    return status
