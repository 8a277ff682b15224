"""Reading a request for vision: JSON whatever its content type says, or a form, within bounds."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from samovar.domains.gateway.model.intake import Prepared
from samovar.domains.vision.http.form import read_multipart
from samovar.domains.vision.model.asking import VisionAsk, mark_of, read_ask
from samovar.domains.vision.service import VisionService
from samovar.kernel.principal import Principal
from samovar.ports.asgi import Receive, Scope, read_body

_FORM: Final = b"multipart/form-data"
_LARGE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Of one request."""

    max_body_bytes: int
    body_timeout_s: float


class VisionIntake:
    """A :class:`~samovar.domains.gateway.model.intake.Intake`. ``streams``: every answer is a stream, whatever the body says."""

    def __init__(self, *, service: VisionService, bounds: Bounds, streams: bool) -> None:
        self._service = service
        self._bounds = bounds
        self._streams = streams

    async def take(self, scope: Scope, receive: Receive, *, declared: bytes | None) -> "TakenVision":
        """See the protocol."""
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        bounds = self._bounds
        if kind[: len(_FORM)].lower() == _FORM:
            ask, files = await read_multipart(
                receive, kind, declared=declared, max_bytes=bounds.max_body_bytes, timeout_s=bounds.body_timeout_s
            )
            return TakenVision(self._service, ask, files, None, streams=self._streams)
        body = await read_body(
            receive, declared=declared, max_bytes=bounds.max_body_bytes, timeout_s=bounds.body_timeout_s
        )
        if len(body) > _LARGE_BYTES:
            # A large one takes milliseconds to join, to read and to work on: others go on in between.
            await asyncio.sleep(0)
        return TakenVision(self._service, read_ask(body), (), body, streams=self._streams)


class TakenVision:
    """A :class:`~samovar.domains.gateway.model.intake.Taken`. ``body`` is ``None`` for a form."""

    def __init__(
        self, service: VisionService, ask: VisionAsk, files: Sequence[bytes], body: bytes | None, *, streams: bool
    ) -> None:
        self._service = service
        self._ask = ask
        self._files = files
        self._body = body
        self._streams = streams or bool(ask.stream)

    @property
    def mark(self) -> bytes:
        """See the protocol."""
        return mark_of(self._ask, self._files) if self._body is None else self._body

    async def prepared(self, principal: Principal) -> Prepared:
        """See the protocol."""
        return await self._service.prepared(self._ask, self._files, principal, stream=self._streams)
