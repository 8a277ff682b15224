"""Prompts as files: taken out by whoever may read them, and in by whoever may write."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from samovar.domains.prompts.http.conventions import PREFIX, refusals
from samovar.domains.prompts.http.writer import Authenticate, Nonce, Timestamp
from samovar.domains.prompts.model import LANG_PATTERN, MAX_NAMESPACE_CHARS
from samovar.domains.prompts.model.exchange import ENDINGS, MEDIA_TYPES, Action, Form, Mode, Which
from samovar.domains.prompts.service import PromptExchange, WriteGate
from samovar.kernel.principal import Principal
from samovar.ports.routes import Routes

_FORMAT: Final = Query(
    alias="format", description="`markdown` is a zip of a folder: `<namespace>/<name>.<lang>.md`, with front matter."
)


class DoneAnswer(BaseModel):
    """What became, or with `dry_run` would become, of an item. `version` is the one that it is about in the end; `fields` are
    those that change."""

    where: str
    namespace: str
    name: str
    lang: str
    version: int
    action: Action
    fields: list[str]


class ImportAnswer(BaseModel):
    """`counts` has the number of items for each action."""

    dry_run: bool
    mode: Mode
    counts: dict[Action, int]
    items: list[DoneAnswer]


def exchange_router(*, exchange: PromptExchange, reader: Authenticate, writer: Authenticate, gate: WriteGate) -> Routes:
    """``GET /v1/prompts/export`` and ``POST /v1/prompts/import``. ``reader`` and ``writer`` know who asks."""
    routes = Routes(prefix=PREFIX, tags=["prompts"])
    _export(routes, exchange, reader)
    _import(routes, exchange, writer, gate)
    return routes


def _export(routes: Routes, exchange: PromptExchange, authenticate: Authenticate) -> None:
    who = Annotated[Principal, Depends(authenticate)]

    @routes.get(
        "/export",
        summary="Export prompts",
        response_class=StreamingResponse,
        responses={**refusals(), 200: _exported()},
    )
    async def export(
        principal: who,
        form: Annotated[Form, _FORMAT] = Form.JSON,
        versions: Annotated[
            Which | None, Query(description="Without it `all`, of `markdown` the `current` ones.")
        ] = None,
        namespace: Annotated[str | None, Query(min_length=1, max_length=MAX_NAMESPACE_CHARS)] = None,
        lang: Annotated[str | None, Query(pattern=LANG_PATTERN)] = None,
    ) -> StreamingResponse:
        """As they stood at one moment. `current` versions are the newest of each prompt, the defaults, and those that labels
        point to."""
        which = versions or (Which.CURRENT if form is Form.MARKDOWN else Which.ALL)
        pieces = exchange.export(principal, form=form, which=which, namespace=namespace, lang=lang)
        # Read before anything is answered: a refusal still has its true status.
        first = await anext(pieces)
        name = f'attachment; filename="prompts.{ENDINGS[form]}"'
        return StreamingResponse(
            _joined(first, pieces), media_type=MEDIA_TYPES[form], headers={"Content-Disposition": name}
        )


def _import(routes: Routes, exchange: PromptExchange, authenticate: Authenticate, gate: WriteGate) -> None:
    who = Annotated[Principal, Depends(authenticate)]

    @routes.post(
        "/import",
        summary="Import prompts",
        responses={**refusals(400, 409, 413), 200: {"model": ImportAnswer, "description": "What was done."}},
        openapi_extra={"requestBody": _taken()},
    )
    async def take(
        principal: who,
        request: Request,
        form: Annotated[Form, _FORMAT] = Form.JSON,
        mode: Annotated[
            Mode,
            Query(
                description="What to do about a version that is there with another text: give its prompt a new version, write"
                " over it (the former text is kept in its history), or leave it."
            ),
        ] = Mode.NEW_VERSIONS,
        dry_run: Annotated[bool, Query(description="Change nothing, and tell what would change.")] = False,
        x_nonce: Nonce = None,
        x_timestamp: Timestamp = None,
    ) -> Response:
        """All of them or none; an item that cannot be taken is named in `errors`. Takes an export, or a list of prompts. What an
        item does not say stays as it is. Does not count as a write."""
        await gate.admit_uncounted(principal, nonce=x_nonce, timestamp=x_timestamp)
        raw = await request.body()
        done = await exchange.import_document(principal, raw, form=form, mode=mode, dry_run=dry_run)
        return Response(msgspec.json.encode(done), media_type="application/json")


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _exported() -> dict[str, Any]:
    document = {"type": "object", "required": ["exported_at", "count", "prompts"]}
    kinds: dict[Form, dict[str, Any]] = {
        Form.JSON: document,
        # A reader of YAML sees what a reader of JSON does.
        Form.YAML: document,
        Form.MARKDOWN: {"type": "string", "format": "binary"},
    }
    content = {MEDIA_TYPES[form]: {"schema": schema} for form, schema in kinds.items()}
    return {"description": "The file.", "content": content}


def _taken() -> dict[str, Any]:
    item = {
        "type": "object",
        "required": ["name", "text"],
        "description": "As an export has it; what is left out stays, or is as for a new prompt. Without `version` it is about the"
        " newest one.",
    }
    export = {"type": "object", "required": ["prompts"], "properties": {"prompts": {"type": "array", "items": item}}}
    schemas = {
        Form.JSON: {"anyOf": [export, {"type": "array", "items": item}]},
        Form.YAML: {"type": "string"},
        Form.MARKDOWN: {"type": "string", "format": "binary"},
    }
    return {"required": True, "content": {MEDIA_TYPES[form]: {"schema": schema} for form, schema in schemas.items()}}
