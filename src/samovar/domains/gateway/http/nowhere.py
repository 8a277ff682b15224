"""What a vendor's SDK hears of a path that is not there, or not with that method: its own vendor's error shape."""

from collections.abc import Iterable
from typing import Final

from samovar.domains.gateway.http.envelope import refusal_headers
from samovar.domains.gateway.http.models import asks_as_anthropic
from samovar.kernel.errors import SamovarError
from samovar.ports.asgi import REQUEST_ID, Scope, Send, sane_request_id, send_whole
from samovar.ports.clock import Ids
from samovar.ports.dialect import Dialect

_OPENAI: Final = "/v1/"
_ANTHROPIC: Final = ("/anthropic/", "/v1/messages/")
_GEMINI: Final = "/gemini/"
# These are ours, and answer as the rest of our own API does.
_OURS: Final = ("/v1/prompts", "/v1/vision")


class Nowhere:
    """Speaks for the paths of vendors' APIs that lead nowhere here."""

    def __init__(
        self,
        *,
        openai: Dialect,
        anthropic: Dialect,
        gemini: Dialect,
        ids: Ids,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> None:
        self._openai = openai
        self._anthropic = anthropic
        self._gemini = gemini
        self._ids = ids
        self._headers = list(headers)

    def speaks_for(self, scope: Scope) -> bool:
        """Whether the path is a vendor's."""
        return self._dialect(scope) is not None

    async def refuse(self, error: SamovarError, scope: Scope, send: Send) -> int:
        """Answer with the error and return its status. Only where :meth:`speaks_for` is true."""
        dialect = self._dialect(scope) or self._openai
        given = next((sane_request_id(value) for name, value in scope["headers"] if name == b"x-request-id"), None)
        scope[REQUEST_ID] = request_id = given or self._ids.new("req")
        body = dialect.write_error(error, status=error.http_status, request_id=request_id)
        await send_whole(send, error.http_status, [*self._headers, *refusal_headers(error, request_id)], body)
        return error.http_status

    def _dialect(self, scope: Scope) -> Dialect | None:
        path: str = scope["path"]
        if path.startswith(_GEMINI):
            return self._gemini
        if path.startswith(_ANTHROPIC) or path == "/v1/messages":
            return self._anthropic
        if not path.startswith(_OPENAI) or path.startswith(_OURS):
            return None
        return self._anthropic if asks_as_anthropic(scope) else self._openai
