"""Idempotency on the way of an answer: it is noted as it goes out, and sent again as it was."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from fastapi import Request

from samovar.domains.gateway.model.idempotency import HEADER, Recorded, is_kept
from samovar.domains.gateway.service.idempotency import Claim, IdempotencyService
from samovar.kernel.principal import Principal
from samovar.ports.asgi import BROKEN, Message, RawHeaders, Send

RECORDER: Final = "samovar.recorder"
"""Stands in the scope of a request of the control plane whose answer is to be kept: a :class:`Recorder`."""
REPLAYED: Final = (b"idempotent-replayed", b"true")

# They speak of one request, and the one that hears an answer again is another.
_OF_ONE_REQUEST: Final = frozenset(
    {b"x-request-id", b"traceparent", b"server-timing", b"x-samovar-overhead-ms", b"date", b"connection"}
)
_LIMITS: Final = b"x-ratelimit-"

Authenticate = Callable[[Request], Awaitable[Principal]]


class Recorder:
    """Notes an answer, and has it kept before its last message goes out: whoever got it whole finds it again.
    :meth:`close` in every case."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._room_bytes = claim.max_answer_bytes
        self._status = 0
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._blocks: list[bytes] = []

    def around(self, send: Send) -> Send:
        """``send`` with every message noted first."""

        async def noting(message: Message) -> None:
            await self.note(message)
            await send(message)

        return noting

    async def note(self, message: Message) -> None:
        """A message that is about to go out."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = tuple([(bytes(name), bytes(value)) for name, value in message.get("headers", ())])
            return
        if body := message.get("body"):
            self._room_bytes -= len(body)
            if self._room_bytes >= 0:
                self._blocks.append(bytes(body))
            else:
                self._blocks.clear()
        if message.get("more_body"):
            return
        if message.get(BROKEN) or not is_kept(self._status):
            await self._claim.free()
        elif self._room_bytes < 0:
            await self._claim.keep(None)
        else:
            await self._claim.keep(Recorded(self._status, self._headers, tuple(self._blocks)))

    async def close(self) -> None:
        """The request is over. One that was not answered to its end (its caller left, say) gives the key back."""
        await self._claim.free()


def again(answer: Recorded) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that is sent again."""
    kept = [pair for pair in answer.headers if pair[0] not in _OF_ONE_REQUEST and not pair[0].startswith(_LIMITS)]
    return [*kept, REPLAYED]


async def replay(answer: Recorded, send: Send, added: Iterable[tuple[bytes, bytes]]) -> int:
    """Send an answer again, in the pieces in which it went out; its status."""
    headers: RawHeaders = [*again(answer), *added]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    for block in answer.blocks[:-1]:
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": answer.blocks[-1] if answer.blocks else b""})
    return answer.status


class Replayed(Exception):
    """A request of the control plane has its answer already."""

    def __init__(self, answer: Recorded) -> None:
        super().__init__()
        self.answer = answer


def once(authenticate: Authenticate, service: IdempotencyService) -> Authenticate:
    """``authenticate`` for routes of the control plane, which then takes the request's ``Idempotency-Key``, if it is a POST
    with one, or a change that may wait (``Prefer: respond-async``). It raises :class:`Replayed` and what claiming a key raises;
    the one who sends the answer finds a :class:`Recorder` in the scope."""
    header = HEADER.decode()

    async def authenticate_once(request: Request) -> Principal:
        principal = await authenticate(request)
        key = request.headers.get(header)
        if key is None or not (request.method == "POST" or _may_wait(request)):
            return principal
        found = await service.claim(
            principal,
            path=request.scope["path"],
            query=request.scope["query_string"],
            key=key.encode("latin-1"),
            body=await request.body(),
        )
        if isinstance(found, Recorded):
            raise Replayed(found)
        request.scope[RECORDER] = Recorder(found)
        return principal

    return authenticate_once


def _may_wait(request: Request) -> bool:
    said = ",".join(request.headers.getlist("prefer")).lower()
    return request.method in ("PATCH", "DELETE") and "respond-async" in said
