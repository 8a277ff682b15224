"""``GET /v1/models`` and ``GET /v1/models/{id}``: what the caller may use, in the shape of the SDK that asks."""

from collections.abc import Callable
from urllib.parse import unquote

import msgspec

from samovar.domains.catalog.model import Model
from samovar.domains.gateway.http.entrance import EntranceSettings
from samovar.domains.gateway.http.envelope import read_envelope, refusal_headers
from samovar.domains.gateway.http.sign_in import signed_in
from samovar.domains.gateway.service import GatewayService
from samovar.domains.identity.model import Permission
from samovar.domains.identity.service import IdentityService
from samovar.kernel.errors import NotFound, SamovarError
from samovar.ports.asgi import REQUEST_ID, Receive, Scope, Send, send_whole
from samovar.ports.clock import Ids
from samovar.ports.dialect import Dialect

_PATH = "/v1/models"


class ModelsEntrance:
    """An :class:`~samovar.ports.asgi.Endpoint`. A request with an ``anthropic-version`` header is answered as Anthropic
    does, every other as OpenAI does."""

    def __init__(
        self,
        *,
        openai: Dialect,
        anthropic: Dialect,
        service: GatewayService,
        identity: IdentityService,
        ids: Ids,
        settings: EntranceSettings,
    ) -> None:
        self._openai = openai
        self._anthropic = anthropic
        self._service = service
        self._identity = identity
        self._ids = ids
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        as_anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
        dialect = self._anthropic if as_anthropic else self._openai
        envelope = read_envelope(scope["headers"], frozenset())
        scope[REQUEST_ID] = request_id = envelope.request_id or self._ids.new("req")
        try:
            principal = await signed_in(envelope, scope, self._identity, needs=Permission.MODELS_READ)
            path: str = scope["path"]
            render = _anthropic_model if as_anthropic else _openai_model
            body = self._render(path, self._service.models(principal), render, as_anthropic)
        except SamovarError as error:
            body = dialect.write_error(error, status=error.http_status, request_id=request_id)
            refusal = [*self._settings.base_headers, *refusal_headers(error, request_id)]
            await send_whole(send, error.http_status, refusal, body)
            return error.http_status
        headers = [
            *self._settings.base_headers,
            (b"content-type", b"application/json"),
            (b"x-request-id", request_id.encode()),
            # What is seen depends on the key (settled.md, *Models list cache*).
            (b"cache-control", b"private, max-age=60"),
            (b"vary", b"authorization, x-api-key, anthropic-version"),
        ]
        await send_whole(send, 200, headers, body)
        return 200

    def _render(
        self, path: str, models: list[Model], render: Callable[[Model], dict[str, object]], as_anthropic: bool
    ) -> bytes:
        wanted = unquote(path[len(_PATH) :]).strip("/")
        if wanted:
            for model in models:
                if model.id == wanted:
                    return msgspec.json.encode(render(model))
            raise NotFound(f"there is no model {wanted!r} that this key may use; GET {_PATH} lists them")
        items = [render(model) for model in models]
        if not as_anthropic:
            return msgspec.json.encode({"object": "list", "data": items})
        first = models[0].id if models else None
        last = models[-1].id if models else None
        return msgspec.json.encode({"data": items, "has_more": False, "first_id": first, "last_id": last})


def _openai_model(model: Model) -> dict[str, object]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.provider} | _facts(model)


def _anthropic_model(model: Model) -> dict[str, object]:
    return {"type": "model", "id": model.id, "display_name": model.id, "created_at": "1970-01-01T00:00:00Z"} | _facts(
        model
    )


def _facts(model: Model) -> dict[str, object]:
    return {
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "abilities": None if model.abilities is None else sorted(model.abilities),
    }
