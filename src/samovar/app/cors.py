"""Cross-origin requests (Fetch standard, *CORS protocol*), from ``ALLOWED_ORIGINS``.

Only a browser's cross-origin request comes here. A listed origin may send credentials; ``*`` may not. An allowed page may
send any header: SDKs in browsers send dozens of their own, and what a header may do is decided by the key in it.
"""

from collections.abc import Sequence
from typing import Final

from samovar.ports.asgi import Message, Send

_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_EXPOSED: Final = (
    b"x-request-id, traceparent, retry-after, etag, link, server-timing, x-ratelimit-limit, x-ratelimit-remaining,"
    b" x-ratelimit-reset, x-cache, idempotent-replayed, x-samovar-call-id, x-samovar-model, x-samovar-provider,"
    b" x-samovar-route, x-samovar-attempts, x-samovar-budget, x-samovar-cost-credits, x-samovar-overhead-ms,"
    b" location, tus-resumable, tus-version, tus-extension, tus-max-size, tus-checksum-algorithm, upload-offset,"
    b" upload-length, upload-defer-length, upload-metadata, upload-expires, x-file-id,"
    b" x-transaction-id"
)
_MAX_AGE_S: Final = b"600"
_MAX_REQUESTED_BYTES: Final = 4096
_VARY: Final = (b"vary", b"Origin")


class Cors:
    """``allowed`` is a list of origins, or ``*`` alone."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._any = "*" in allowed
        self._allowed = frozenset(origin.encode() for origin in allowed)

    def allows(self, origin: bytes) -> bool:
        """Whether a page of this origin may read our answers."""
        return self._any or origin in self._allowed

    def preflight(self, origin: bytes, requested: bytes | None) -> list[tuple[bytes, bytes]]:
        """The headers of the answer to a preflight of an allowed origin. ``requested`` are the headers it means to send."""
        headers = [
            *self._shared(origin),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-max-age", _MAX_AGE_S),
        ]
        if requested and len(requested) <= _MAX_REQUESTED_BYTES:
            headers.append((b"access-control-allow-headers", requested))
        return headers

    def sending(self, origin: bytes, send: Send) -> Send:
        """``send`` for an answer that a page of this origin asked for."""
        added = (
            [*self._shared(origin), (b"access-control-expose-headers", _EXPOSED)] if self.allows(origin) else [_VARY]
        )

        async def shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        return shared

    def _shared(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        if self._any:
            return [(b"access-control-allow-origin", b"*")]
        return [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true"), _VARY]
