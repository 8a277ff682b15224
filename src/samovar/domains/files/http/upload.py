"""``POST /api/files/upload``: a form with files, or the bytes of one as the body."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from samovar.domains.files.errors import BadForm
from samovar.domains.files.http.body import Body
from samovar.domains.files.http.door import Asked, Headers, Once, answered_once
from samovar.domains.files.http.fields import Fields, LateFields
from samovar.domains.files.http.form import FilePart, Form
from samovar.domains.files.http.headers import text_of
from samovar.domains.files.model.records import FileAnswer, Uploaded
from samovar.domains.files.service import Amendment, FileService
from samovar.domains.identity.model import Permission, require
from samovar.kernel.errors import Flaw, SamovarError
from samovar.kernel.principal import Principal
from samovar.ports.asgi import Receive, Send, send_whole
from samovar.ports.revisions import etag

PREFIX: Final = "/api/files"
_FORM: Final = b"multipart/form-data"
# What curl says of a body where it was told nothing.
_NOT_SAID: Final = b"application/x-www-form-urlencoded"
_FORM_ROOM_BYTES: Final = 1024 * 1024
_MARKED: Final = (b"content-length", b"content-type", b"x-filename", b"x-checksum-sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadBounds:
    """``max_bytes`` of all files of one request; ``idle_s`` for which a client may send nothing."""

    max_bytes: int
    idle_s: float


class Upload:
    """The endpoint's work."""

    def __init__(self, *, files: FileService, once: Once, bounds: UploadBounds) -> None:
        self._files = files
        self._once = once
        self._bounds = bounds

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> int:
        principal = await asked.principal()
        require(principal, Permission.FILES_WRITE)
        marked = (name for name in _MARKED if not _is_boundary(name, asked))
        answer = partial(self._take, principal, asked, receive)
        return await answered_once(self._once, principal, asked, send, marked=marked, answer=answer)

    async def _take(self, principal: Principal, asked: Asked, receive: Receive, send: Send) -> int:
        kind = asked.headers.get(b"content-type", b"")
        is_form = kind[: len(_FORM)].lower() == _FORM
        body = Body(
            receive,
            declared=asked.headers.get(b"content-length"),
            max_bytes=self._bounds.max_bytes + (_FORM_ROOM_BYTES if is_form else 0),
            idle_s=self._bounds.idle_s,
        )
        try:
            fields = Fields(_parameters(asked))
            if is_form:
                found = await self._of_form(principal, fields, Form(kind, body.pieces()), made=asked.made)
            else:
                found = [await self._of_body(principal, fields, asked, body)]
        except SamovarError as error:
            if b"expect" not in asked.headers:
                await body.pass_over()
            if not body.is_read:
                # What was not read of it cannot be told from the next request.
                error.headers.setdefault("Connection", "close")
            raise
        return await _told(found, asked, send)

    async def _of_body(self, principal: Principal, fields: Fields, asked: Asked, body: Body) -> FileAnswer:
        given = asked.headers.get(b"x-filename")
        if given is None:
            raise BadForm("Name the file in X-Filename (percent-encoded), or send a form with the field 'file'.")
        checksum = asked.headers.get(b"x-checksum-sha256")
        if checksum is not None:
            fields.say("checksum", checksum.decode("latin-1"))
        kind = asked.headers.get(b"content-type", b"")
        intent = fields.intent(
            filename=text_of(given, where="X-Filename"),
            content_type="" if kind.startswith(_NOT_SAID) else kind.decode("latin-1"),
            length_bytes=body.length_bytes,
        )
        return await self._files.ingest.upload(principal, intent, body.pieces())

    async def _of_form(
        self, principal: Principal, fields: Fields, form: Form, *, made: list[dict[str, str]]
    ) -> list[FileAnswer]:
        found: list[FileAnswer] = []
        try:
            while (part := await form.next_file(fields)) is not None:
                found.append(await self._of_part(principal, fields, form, part))
                made.append({"file_id": found[-1].file_id})
        except SamovarError as error:
            # Files of a form are taken one by one: who hears that the third was refused wants to know of the first two.
            error.flaws += tuple(Flaw(f"file[{at}]", f"was stored as {one.file_id}") for at, one in enumerate(found))
            raise
        if not found:
            raise BadForm("The form has no file: send it as the field 'file'.")
        return found

    async def _of_part(self, principal: Principal, fields: Fields, form: Form, part: FilePart) -> FileAnswer:
        intent = fields.intent(filename=part.filename, content_type=part.content_type)
        late = LateFields(intent)

        async def content() -> AsyncIterator[bytes]:
            async for piece in form.content(late):
                yield piece
            if late.said:
                # Here it is refused while there is no file yet: too much, above all.
                self._files.ingest.draft(principal, late.check())

        made = await self._files.ingest.upload(principal, intent, content())
        if not late.said:
            return made
        whole = late.check()
        for name, value in late.values.items():
            if name != "tags":
                fields.values[name] = value
        amendment = Amendment(tags=whole.tags, custom=whole.custom, provenance=whole.provenance)
        return await self._files.changes.amend(principal, made.file_id, amendment, expected=None)


def _parameters(asked: Asked) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            asked.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64
        )
    except ValueError as error:
        raise BadForm("The address's parameters cannot be read: they are percent-encoded UTF-8.") from error


def _is_boundary(name: bytes, asked: Asked) -> bool:
    # A form sent again has another boundary.
    return name == b"content-type" and asked.headers.get(name, b"")[: len(_FORM)].lower() == _FORM


async def _told(found: list[FileAnswer], asked: Asked, send: Send) -> int:
    first = found[0]
    body = msgspec.json.encode(first if len(found) == 1 else Uploaded(items=tuple(found)))
    headers: Headers = [
        *asked.answer_headers(),
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"location", f"{PREFIX}/{first.file_id}".encode()),
        (b"etag", etag(first.revision).encode()),
    ]
    if len(found) == 1:
        # Of several each one's is its file's id: in a header they could be too many.
        headers.append((b"x-transaction-id", first.file_id.encode()))
    await send_whole(send, 201, headers, body)
    return 201
