"""A stream under way: opened with its first content, carried on until either side ends it, accounted for exactly once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Protocol, TypeAlias

from samovar.domains.gateway.errors import GuardBlocked
from samovar.domains.gateway.model import Attempt, CallStatus, GatewaySettings, Plan
from samovar.domains.gateway.model.screening import ScreenedStream
from samovar.domains.gateway.service.estimate import settled
from samovar.domains.gateway.service.guarding import beside
from samovar.domains.gateway.service.outbound import LARGE_BYTES, noted, prepared, read_error, upstream_request
from samovar.domains.gateway.service.pipe import Translation
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import SamovarError
from samovar.kernel.money import credits_text
from samovar.ports.asgi import CLIENT_GONE
from samovar.ports.clock import Clock
from samovar.ports.dialect import Relay
from samovar.ports.llm import Stop
from samovar.ports.pins import maker_of
from samovar.ports.transport import Exchange, HttpAnswer, Transport

Conclude: TypeAlias = Callable[[Trail], Awaitable[None] | None]
"""Settles what a call cost (:meth:`samovar.domains.gateway.service.payments.Payments.conclude`)."""


class Finish(Protocol):
    """Takes the end of a call."""

    async def __call__(self, trail: Trail, status: CallStatus, http_status: int, error_code: str | None) -> None: ...


class LiveStream:
    """``first`` is to be sent first, then what :meth:`blocks` gives. :meth:`close` in every case."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        source: AsyncIterator[bytes],
        pipe: Relay,
        first: bytes,
        ended: bool,
        trail: Trail,
        planned: Plan,
        finish: Finish,
        conclude: Conclude,
    ) -> None:
        self.first = first
        self.trail = trail
        self.plan = planned
        self._exchange = exchange
        self._source = source
        self._pipe = pipe
        self._ended = ended
        self._finish = finish
        self._conclude = conclude
        self._status = CallStatus.CANCELLED
        self._error_code: str | None = "client_gone"
        self._closed = False

    @property
    def stop(self) -> Stop | None:
        """Why it stopped, once known."""
        return self._pipe.stop

    @property
    def ended_well(self) -> bool:
        """Whether it came to its end, and told of no failure."""
        return self._status is CallStatus.OK

    async def blocks(self) -> AsyncIterator[bytes]:
        """What is left of the stream, in the caller's dialect. Never raises for the vendor's faults: they become the
        dialect's error event, since the status is long sent."""
        pipe = self._pipe
        try:
            if not self._ended:
                feed, slow = pipe.feed, is_slow(self.trail)
                async for block in self._source:
                    out = await beside(partial(feed, block)) if slow else feed(block)
                    if out:
                        yield out
            if not self._ended:
                yield await self._end()
            self._settle()
        except SamovarError as error:
            failed = self.fail(error)
            await self._paid()
            yield failed

    async def close(self) -> None:
        """End the exchange (cancelling what the vendor still does) and account for the call."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._exchange.__aexit__(None, None, None)
        finally:
            self._account()
            self.trail.unknown_events = self._pipe.unknown_events
            self.trail.answered_by(self._pipe.model)
            http_status = CLIENT_GONE if self._status is CallStatus.CANCELLED else 200
            await self._finish(self.trail, self._status, http_status, self._error_code)

    def fail(self, error: SamovarError) -> bytes:
        """The dialect's error event, for a stream that cannot go on; it counts as broken."""
        self._status, self._error_code = CallStatus.BROKEN, error.code
        return self._pipe.fail(error)

    async def _end(self) -> bytes:
        if self.trail.call.wants_cost:
            self._account()
            told = _told(self.trail)
        else:
            told = None
        if is_slow(self.trail):
            last = await beside(partial(self._pipe.end, told))
        else:
            last = self._pipe.end(told)
        await self._paid()
        return last

    async def _paid(self) -> None:
        """The end may go out only when its cost is noted: whoever has the whole answer has paid for it."""
        if self.trail.hold is not None:
            self._account()
            noting = self._conclude(self.trail)
            if noting is not None:
                await noting

    def _account(self) -> None:
        pipe = self._pipe
        ended = pipe.stop is not None
        usage = settled(pipe.usage, call=self.trail.call, output_chars=pipe.output_chars, ended=ended)
        self.trail.used(usage, pipe.stop)

    def _settle(self) -> None:
        failed = self._pipe.failed
        if failed is None:
            self._status, self._error_code = CallStatus.OK, None
        else:
            self._status, self._error_code = CallStatus.BROKEN, failed.code


async def open_live(
    attempt: Attempt,
    trail: Trail,
    *,
    planned: Plan,
    transport: Transport,
    clock: Clock,
    settings: GatewaySettings,
    finish: Finish,
    conclude: Conclude,
    heard: Callable[[Attempt, HttpAnswer], None],
) -> LiveStream:
    """Send, and wait for the first content. Raises a ``SamovarError`` while nothing has been promised to the caller."""
    is_large = len(trail.call.body) >= LARGE_BYTES
    request = await prepared(attempt, trail) if is_large else upstream_request(attempt, trail)
    pipe = _pipe(attempt, trail, clock)
    exchange = transport.send(request, timeouts=settings.stream_timeouts)
    noting = noted(trail)
    if noting is not None:
        await noting
    sent = trail.sent()
    answer = None
    try:
        answer = await exchange.__aenter__()
        if answer.status >= 300:
            raise await read_error(attempt, answer)
        heard(attempt, answer)
        source = answer.blocks()
        first, ended = await _until_content(source, pipe, slow=is_slow(trail))
        live = LiveStream(
            exchange=exchange,
            source=source,
            pipe=pipe,
            first=first,
            ended=ended,
            trail=trail,
            planned=planned,
            finish=finish,
            conclude=conclude,
        )
        if ended:
            live.first += await live._end()
    except BaseException as error:
        trail.waited_since(sent)
        if isinstance(error, GuardBlocked):
            # The provider answered and is to be paid, though nobody gets to read it.
            ended = pipe.stop is not None
            usage = settled(pipe.usage, call=trail.call, output_chars=pipe.output_chars, ended=ended)
            trail.used(usage, pipe.stop)
        if answer is not None:
            await exchange.__aexit__(None, None, None)
        raise
    trail.waited_since(sent)
    trail.first_content_s = clock.monotonic()
    return live


def _pipe(attempt: Attempt, trail: Trail, clock: Clock) -> Relay:
    call = trail.call
    if attempt.native:
        maker = maker_of(attempt.target.provider.id)
        return attempt.dialect.relay(vendor=attempt.vendor, wants_usage=call.head.wants_usage, maker=maker)
    return Translation(
        reader=attempt.dialect.stream_reader(vendor=attempt.vendor),
        writer=call.surface.stream_writer(trail.request()),
        estimate=lambda chars: settled(None, call=call, output_chars=chars, ended=True),
        now=clock.now,
        screen=None if trail.screen is None else ScreenedStream(trail.screen),
    )


def is_slow(trail: Trail) -> bool:
    """Whether pieces of the answer belong in a thread: patterns are held against them."""
    return trail.call.is_slow or trail.screen is not None


async def _until_content(source: AsyncIterator[bytes], pipe: Relay, *, slow: bool) -> tuple[bytes, bool]:
    """Bytes up to the first content, and whether the stream ended before there was any."""
    held: list[bytes] = []
    async for block in source:
        held.append(await beside(partial(pipe.feed, block)) if slow else pipe.feed(block))
        if pipe.started:
            return b"".join(held), False
    return b"".join(held), True


def _told(trail: Trail) -> dict[str, object]:
    """The ``samovar`` field of a stream's last event."""
    assert trail.attempt is not None
    cost = trail.cost_nano_usd
    return {
        "call_id": trail.call.id,
        "model": trail.attempt.target.model.id,
        "provider": trail.attempt.target.provider.name,
        "cost_credits": None if cost is None else credits_text(cost),
        "overhead_ms": round(trail.overhead_ms(), 3),
    }
