"""``GET /v1/models[/{id}]`` and Gemini's: what the caller may use, in the shape of the SDK that asks."""

from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from samovar.domains.billing.service.quotas import QuotaService
from samovar.domains.gateway.http.entrance import EntranceSettings
from samovar.domains.gateway.http.envelope import read_envelope, refusal_headers
from samovar.domains.gateway.http.listings import Listing, read_query
from samovar.domains.gateway.http.sign_in import signed_in
from samovar.domains.gateway.service import GatewayService
from samovar.domains.identity.model import Permission
from samovar.domains.identity.service import IdentityService
from samovar.kernel.errors import NotFound, SamovarError
from samovar.kernel.principal import Principal
from samovar.ports.asgi import REQUEST_ID, Receive, Scope, Send, send_whole
from samovar.ports.clock import Ids
from samovar.ports.dialect import Dialect


class Told(NamedTuple):
    """Whose shape an answer has, and whose an error."""

    listing: Listing
    dialect: Dialect


class ModelsEntrance:
    """An :class:`~samovar.ports.asgi.Endpoint`. A request with an ``anthropic-version`` header is answered as
    ``to_anthropics`` says, where that is given, every other as ``usual``."""

    def __init__(
        self,
        *,
        usual: Told,
        to_anthropics: Told | None = None,
        service: GatewayService,
        identity: IdentityService,
        quotas: QuotaService,
        ids: Ids,
        settings: EntranceSettings,
    ) -> None:
        self._usual = usual
        self._to_anthropics = to_anthropics
        self._service = service
        self._identity = identity
        self._quotas = quotas
        self._ids = ids
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        told = self._usual
        if self._to_anthropics is not None and asks_as_anthropic(scope):
            told = self._to_anthropics
        envelope = read_envelope(scope["headers"], frozenset())
        scope[REQUEST_ID] = request_id = envelope.request_id or self._ids.new("req")
        try:
            addresses = self._quotas.addresses
            principal = await signed_in(
                envelope, scope, self._identity, addresses=addresses, needs=Permission.MODELS_READ
            )
            limits = await self._quotas.admit_request(principal)
            body = msgspec.json.encode(self._answer(told.listing, principal, scope))
        except SamovarError as error:
            body = told.dialect.write_error(error, status=error.http_status, request_id=request_id)
            refusal = [*self._settings.base_headers, *refusal_headers(error, request_id)]
            await send_whole(send, error.http_status, refusal, body)
            return error.http_status
        headers = [
            *self._settings.base_headers,
            (b"content-type", b"application/json"),
            (b"x-request-id", request_id.encode()),
            # What is seen depends on the key.
            (b"cache-control", b"private, max-age=60"),
            (b"vary", b"authorization, x-api-key, x-goog-api-key, anthropic-version"),
            *limits,
        ]
        await send_whole(send, 200, headers, body)
        return 200

    def _answer(self, listing: Listing, principal: Principal, scope: Scope) -> dict[str, Any]:
        models = self._service.models(principal)
        # Behind any of the listing's addresses: all of them end in this word.
        wanted = unquote(scope["path"].partition("/models")[2]).strip("/")
        if not wanted:
            return listing.page(models, read_query(scope["query_string"]))
        for model in models:
            if model.id == wanted:
                return listing.one(model)
        raise NotFound(f"there is no model {wanted!r} that this key may use; GET {listing.path} lists them")


def asks_as_anthropic(scope: Scope) -> bool:
    """Whether the request comes from an SDK of Anthropic's API."""
    return any(name == b"anthropic-version" for name, _ in scope["headers"])
