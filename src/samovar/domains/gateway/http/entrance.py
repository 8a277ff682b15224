"""The entrance of every chat-like surface: sign in, read, call the service, answer in the caller's dialect."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from samovar.domains.billing.service.quotas import Grant, QuotaService
from samovar.domains.gateway.http.envelope import JSON, Envelope, read_envelope, refusal_headers, told
from samovar.domains.gateway.http.idempotency import Recorder, replay
from samovar.domains.gateway.http.keepalive import KeepAlive
from samovar.domains.gateway.http.sign_in import recalled, signed_in
from samovar.domains.gateway.model import Call
from samovar.domains.gateway.model.answer_cache import cache_ask
from samovar.domains.gateway.model.call import CacheAsk
from samovar.domains.gateway.model.idempotency import Recorded
from samovar.domains.gateway.model.intake import Intake, Prepared, Taken
from samovar.domains.gateway.service import Answer, GatewayService
from samovar.domains.gateway.service.answer_cache import AnswerCache, OpenStream
from samovar.domains.gateway.service.idempotency import IdempotencyService
from samovar.domains.identity.model import OpenSurface
from samovar.domains.identity.service import IdentityService
from samovar.kernel.errors import UNEXPECTED, Malformed, SamovarError
from samovar.kernel.ids import ULID_CHARS, hex_of_ulid
from samovar.kernel.principal import Principal
from samovar.ports.asgi import (
    BROKEN,
    REQUEST_ID,
    Lines,
    Receive,
    Scope,
    Send,
    body_at_hand,
    lines_of,
    pairs_of,
    read_body,
    send_whole,
    sent_at_once,
)
from samovar.ports.clock import Clock, Ids
from samovar.ports.dialect import StreamWriter, Surface
from samovar.ports.embeddings import FigureSurface
from samovar.ports.llm import ChatRequest


class EntranceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what comes in, and the headers that stand on every answer."""

    max_body_bytes: int = 10 * 1024 * 1024
    body_timeout_s: float = 30.0
    base_headers: tuple[tuple[bytes, bytes], ...] = ()


class Address(msgspec.Struct, frozen=True):
    """What a surface says in the path instead of the body."""

    model: str
    stream: bool


@dataclass(frozen=True, kw_only=True)
class FigureUse:
    """What is asked for instead of chat: the language of its requests, and who answers them (always whole)."""

    surface: FigureSurface
    answer: Callable[[Call], Awaitable[Answer]]
    is_remembered: bool = False
    """Whether it is worth remembering."""


@dataclass(frozen=True, kw_only=True)
class OwnWay:
    """What a surface of our own does differently from a vendor's: it takes and answers requests its own way, tells the cost
    in every answer, remembers none, has errors of another kind, and may be open to callers without a key (``opens``)."""

    intake: Intake
    opens: OpenSurface | None = None
    answer: Callable[[Call], Awaitable[Answer]]
    error_type: bytes


class ChatEntrance:
    """An :class:`~samovar.ports.asgi.Endpoint` for one dialect; with ``figures``, for figures in its
    family of languages; with ``own_way``, for a surface of our own. ``report`` takes unexpected exceptions (to log them)."""

    def __init__(
        self,
        *,
        dialect: Surface,
        service: GatewayService,
        identity: IdentityService,
        quotas: QuotaService,
        idempotency: IdempotencyService,
        answers: AnswerCache,
        clock: Clock,
        ids: Ids,
        settings: EntranceSettings,
        report: Callable[[BaseException, str], None],
        stream_type: str = "text/event-stream; charset=utf-8",
        figures: FigureUse | None = None,
        own_way: OwnWay | None = None,
    ) -> None:
        self._dialect = dialect
        self._service = service
        self._surface_name = "" if figures is None else figures.surface.name
        self._as_prompt = None if figures is None else figures.surface.as_prompt
        self._may_remember = figures is None or figures.is_remembered
        self._read_head = dialect.read_head if figures is None else figures.surface.read_head
        self._whole = service.answer if figures is None else figures.answer
        self._own_way = own_way
        self._error_type = JSON if own_way is None else own_way.error_type
        self._opens = None if own_way is None else own_way.opens
        if own_way is not None:
            self._whole = own_way.answer
        self._identity = identity
        self._quotas = quotas
        self._idempotency = idempotency
        self._answers = answers
        self._form = stream_type
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._report = report
        self._json_lines = lines_of((*settings.base_headers, (b"content-type", JSON)))
        self._stream_headers = (
            *settings.base_headers,
            (b"content-type", stream_type.encode()),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[int]:
        return self.serve(scope, receive, send, None)

    async def serve(self, scope: Scope, receive: Receive, send: Send, address: Address | None) -> int:
        """Answer; ``address`` is what the path said, for surfaces that put it there."""
        started, started_at = self._clock.monotonic(), self._clock.now()
        envelope = read_envelope(scope["headers"], self._dialect.forwarded_headers)
        call_id = self._ids.new("call", started_at)
        scope[REQUEST_ID] = request_id = envelope.request_id or call_id
        settings = self._settings
        grant: Grant | None = None
        recorder: Recorder | None = None
        try:
            principal = recalled(envelope, scope, self._identity) or await signed_in(
                envelope, scope, self._identity, addresses=self._quotas.addresses, surface=self._opens
            )
            grant = await self._quotas.admit(principal)
            taken: Taken | None = None
            if self._own_way is None:
                declared, most = envelope.content_length, settings.max_body_bytes
                at_hand = body_at_hand(receive, declared=declared, max_bytes=most)
                body = (
                    await read_body(receive, declared=declared, max_bytes=most, timeout_s=settings.body_timeout_s)
                    if at_hand is None
                    else at_hand
                )
            else:
                taken = await self._own_way.intake.take(scope, receive, declared=envelope.content_length)
                body = b""
            if envelope.idempotency_key is not None:
                found = await self._claimed(
                    envelope.idempotency_key, principal, scope, body if taken is None else taken.mark
                )
                if isinstance(found, Recorded):
                    added = ((b"x-request-id", request_id.encode()), *grant.headers())
                    return await replay(found, send, added)
                recorder = found
                send = recorder.around(send)
            made: Prepared | None = None
            if taken is not None:
                made = await taken.prepared(principal)
                body = made.body
                # A stream may last for hours: what it was made of is not needed any more.
                taken = None
            call = self._call(envelope, principal, grant, made, body, address, call_id, started, started_at)
            if call.head.stream:
                return await self._stream(call, send)
            return await self._answer(call, send)
        except SamovarError as error:
            return await self.refuse(error, request_id, send, grant)
        except Exception as error:  # noqa: BLE001  # edge: a defect of ours must answer in the caller's shape, and be logged
            return await self.refuse(self._as_told(error, request_id), request_id, send, grant)
        finally:
            if grant is not None:
                grant.release()
            if recorder is not None:
                await recorder.close()

    async def _claimed(self, key: bytes, principal: Principal, scope: Scope, body: bytes) -> Recorder | Recorded:
        path, query = scope["path"], scope["query_string"]
        found = await self._idempotency.claim(principal, path=path, query=query, key=key, body=body)
        return found if isinstance(found, Recorded) else Recorder(found)

    def _call(
        self,
        envelope: Envelope,
        principal: Principal,
        grant: Grant,
        made: Prepared | None,
        body: bytes,
        address: Address | None,
        call_id: str,
        started: float,
        started_at: datetime,
    ) -> Call:
        head = self._read_head(body)
        if address is not None:
            head = msgspec.structs.replace(head, model=address.model, stream=address.stream)
        # The call's own id is a trace where the caller began none, and always the span.
        own = hex_of_ulid(call_id[-ULID_CHARS:])
        trace_id = envelope.trace_id or own
        says_nothing = envelope.cache is None and envelope.cache_ttl is None and principal.cache is None
        return Call(
            id=call_id,
            request_id=envelope.request_id or call_id,
            principal=principal,
            surface=self._dialect if made is None else made.surface,
            head=head,
            body=body,
            started=started,
            started_at=started_at,
            forwarded=envelope.forwarded,
            wants_cost=envelope.wants_cost or self._own_way is not None,
            trace_id=trace_id,
            parent_span_id=envelope.parent_span_id,
            traceparent=f"00-{trace_id}-{own[16:]}-01",
            surface_name=self._surface_name,
            as_prompt=self._as_prompt,
            cache=None if says_nothing else self._asked(envelope, principal),
            user_label=envelope.user_label,
            grant=grant,
            prompt=None if made is None else made.prompt,
            is_slow=made is not None and made.is_slow,
        )

    def _asked(self, envelope: Envelope, principal: Principal) -> CacheAsk | None:
        """Whether an answer from memory will do. Raises ``Malformed``."""
        if self._own_way is not None:
            return None
        ask = cache_ask(envelope.cache, envelope.cache_ttl, principal.cache, form=self._form)
        return ask if self._may_remember else None

    async def _answer(self, call: Call, send: Send) -> int:
        answer = await (self._whole(call) if call.cache is None else self._answers.whole(call, self._whole))
        always, said = self._json_lines, told(answer.trail, answer.plan)
        lines = Lines(b"\r\n".join((always.text, said.text)), always.number + said.number)
        if not sent_at_once(send, 200, lines, answer.body):
            await send_whole(send, 200, lines, answer.body)
        return 200

    async def _stream(self, call: Call, send: Send) -> int:
        settings = self._service.settings
        alive = KeepAlive(
            send=send,
            headers=(*self._stream_headers, *(call.grant.headers() if call.grant else ())),
            beat=self._dialect.keep_alive(),
            after_s=settings.keep_alive_after_s,
            every_s=settings.keep_alive_every_s,
            request_id=call.request_id,
        )
        try:
            live = await self._opened(call, alive, send)
            if live is not None:
                try:
                    await self._passed_on(live, alive, send)
                finally:
                    await live.close()
        finally:
            await alive.stop()
        return 200

    async def _opened(self, call: Call, alive: KeepAlive, send: Send) -> OpenStream | None:
        """The stream, or ``None`` once its failure was told in the stream. Raises while a status can still be given."""
        try:
            return await (self._service if call.cache is None else self._answers).stream(call)
        except Exception as error:  # edge: after the first beat, any failure must be told in the stream
            if not await alive.stop():
                raise
            # The status went out with the first keep-alive: the dialect's error event is all that is left to say.
            told_error = self._as_told(error, call.request_id)
            await send({"type": "http.response.body", "body": self._writer(call).fail(told_error), BROKEN: True})
            return None

    async def _passed_on(self, live: OpenStream, alive: KeepAlive, send: Send) -> None:
        if not await alive.stop():
            headers = [*self._stream_headers, *pairs_of(told(live.trail, live.plan))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": live.first, "more_body": True})
        alive.watch(live.first)
        try:
            async for block in live.blocks():
                await alive.send(block)
        except Exception as error:  # noqa: BLE001  # edge: a defect of ours must end the stream in its shape
            await alive.send(live.fail(self._as_told(error, live.trail.call.request_id)))
        await alive.stop()
        await send({"type": "http.response.body", "body": b"", BROKEN: not live.ended_well})

    def _writer(self, call: Call) -> StreamWriter:
        try:
            request = call.surface.read_request(call.body)
        except SamovarError:
            # A body that passes through to a vendor of the same dialect is not read by us, and need not be readable.
            request = ChatRequest(model=call.head.model, messages=())
        return call.surface.stream_writer(request)

    def _as_told(self, error: Exception, request_id: str) -> SamovarError:
        if isinstance(error, SamovarError):
            return error
        if isinstance(error, RecursionError):
            # Dialects refuse this too, but a part of a body may be read where less of the stack is left.
            return Malformed("the request is nested too deeply")
        self._report(error, request_id)
        return SamovarError(UNEXPECTED)

    async def refuse(self, error: SamovarError, request_id: str, send: Send, grant: Grant | None = None) -> int:
        """Answer with an error in the surface's own shape."""
        status = error.http_status
        body = self._dialect.write_error(error, status=status, request_id=request_id)
        headers = [*self._settings.base_headers, *refusal_headers(error, request_id, self._error_type)]
        if grant is not None and "X-RateLimit-Limit" not in error.headers:
            headers += grant.headers()
        await send_whole(send, status, headers, body)
        return status
