"""Answers that are remembered and given again to who asks exactly the same (``docs/idempotency-and-cache.md``).

Only calls that ask for it come here. The key's guard rails and permissions are held against each of them before anything is
looked up; one that is answered from memory goes to no provider, holds no money and costs nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from samovar.domains.gateway.model import Call, CallStatus, Plan
from samovar.domains.gateway.model.answer_cache import Entry, answer_name, cache_key, is_whole
from samovar.domains.gateway.service.gateway import Answer, GatewayService
from samovar.domains.gateway.service.live import LiveStream
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import SamovarError, Unavailable
from samovar.ports.cache import Cache

MAX_ENTRY_BYTES: Final = 1024 * 1024
HIT: Final = "HIT"
MISS: Final = "MISS"
PRICE_SOURCE: Final = "cache"
"""What the usage log names as the source of the price (0) of an answer from memory."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Entry).decode


class _Found(msgspec.Struct, frozen=True):
    """What looking a call up brought: ``name`` is ``None`` where its answer is not to be remembered."""

    name: bytes | None
    trail: Trail | None = None
    plan: Plan | None = None
    entry: Entry | None = None


class RememberedStream:
    """A stream from memory, as :class:`LiveStream` is one from a provider."""

    def __init__(self, entry: Entry, trail: Trail, plan: Plan, finish: Callable[[Trail, CallStatus], None]) -> None:
        self.first = entry.blocks[0]
        self.trail = trail
        self.plan = plan
        self._rest = entry.blocks[1:]
        self._finish = finish
        self._is_open = True
        self.ended_well = False

    async def blocks(self) -> AsyncIterator[bytes]:
        """What is left of it."""
        for block in self._rest:
            yield block
        self.ended_well = True

    def fail(self, error: SamovarError) -> bytes:
        """Nothing can be said any more, but that it ends here."""
        return b""

    async def close(self) -> None:
        """Account for it."""
        if self._is_open:
            self._is_open = False
            self._finish(self.trail, CallStatus.OK if self.ended_well else CallStatus.CANCELLED)


class NotedStream:
    """A stream from a provider that is noted while it passes, and remembered when it came to its end."""

    def __init__(self, live: LiveStream, remember: Callable[[Trail, tuple[bytes, ...]], Awaitable[None]]) -> None:
        self.first = live.first
        self.trail = live.trail
        self.plan = live.plan
        self._live = live
        self._remember = remember

    @property
    def ended_well(self) -> bool:
        """See :class:`LiveStream`."""
        return self._live.ended_well

    async def blocks(self) -> AsyncIterator[bytes]:
        """See :class:`LiveStream`."""
        noted = [self.first]
        size = len(self.first)
        async for block in self._live.blocks():
            size += len(block)
            if size <= MAX_ENTRY_BYTES:
                noted.append(block)
            yield block
        if self._live.ended_well and size <= MAX_ENTRY_BYTES and is_whole(self.trail.call, self._live.stop):
            await self._remember(self.trail, tuple(noted))

    def fail(self, error: SamovarError) -> bytes:
        """See :class:`LiveStream`."""
        return self._live.fail(error)

    async def close(self) -> None:
        """See :class:`LiveStream`."""
        await self._live.close()


OpenStream: TypeAlias = LiveStream | RememberedStream | NotedStream


class AnswerCache:
    """Stands before a :class:`GatewayService` for the calls whose ``cache`` is set. A cache that is away knows nothing, and
    is no error."""

    def __init__(self, *, service: GatewayService, cache: Cache) -> None:
        self._service = service
        self._cache = cache

    async def whole(self, call: Call, answer: Callable[[Call], Awaitable[Answer]]) -> Answer:
        """As ``answer``, the service's own method for the call. Raises as that."""
        found = await self._found(call)
        if found.entry is not None and found.trail is not None and found.plan is not None:
            self._service.remembered(found.trail, CallStatus.OK)
            return Answer(found.entry.blocks[0], found.trail, found.plan)
        made = await answer(call)
        made.trail.cache = MISS
        if len(made.body) <= MAX_ENTRY_BYTES and is_whole(call, made.trail.stop):
            await self._remember(call, found.name, made.trail, (made.body,))
        return made

    async def stream(self, call: Call) -> OpenStream:
        """As the service's. Raises as that."""
        found = await self._found(call)
        if found.entry is not None and found.trail is not None and found.plan is not None:
            return RememberedStream(found.entry, found.trail, found.plan, self._service.remembered)
        live = await self._service.stream(call)
        live.trail.cache = MISS
        if found.name is None:
            return live
        return NotedStream(live, lambda trail, blocks: self._remember(call, found.name, trail, blocks))

    async def _found(self, call: Call) -> _Found:
        assert call.cache is not None
        name = answer_name(call, call.cache)
        if name is None:
            return _Found(None)
        try:
            trail, plan = await self._service.preview(call)
        except SamovarError:
            # The service refuses it again, and accounts for that.
            return _Found(None)
        entry = await self._read(cache_key(call.principal.team_id, name, plan.attempts[0]))
        if entry is None:
            return _Found(name)
        trail.from_memory(plan.attempts[0], source=PRICE_SOURCE)
        trail.cache = HIT
        return _Found(name, trail, plan, entry)

    async def _read(self, key: str) -> Entry | None:
        try:
            value = await self._cache.get(key)
            entry = None if value is None else _unpack(value)
        except (Unavailable, msgspec.MsgspecError):
            return None
        return entry if entry is not None and entry.blocks else None

    async def _remember(self, call: Call, name: bytes | None, trail: Trail, blocks: tuple[bytes, ...]) -> None:
        if name is None or call.cache is None or trail.attempt is None:
            return
        # Under the target that answered, which may be another than the first of the plan.
        key = cache_key(call.principal.team_id, name, trail.attempt)
        try:
            await self._cache.put(key, _pack(Entry(blocks)), ttl_s=call.cache.ttl_s)
        except Unavailable:
            return
