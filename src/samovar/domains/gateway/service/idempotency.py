"""One answer for each idempotency key, whichever process is asked (``docs/idempotency-and-cache.md``).

A key is claimed before the work and holds a lease while it goes on; what became of it is written before the last byte of
the answer goes out, so that whoever has an answer finds it again.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec

from samovar.domains.gateway import store
from samovar.domains.gateway.errors import IdempotencyInFlight, IdempotencyKeyReused, IdempotentAnswerNotKept
from samovar.domains.gateway.model.idempotency import (
    Found,
    IdempotencySettings,
    Recorded,
    checked_key,
    key_hash,
    request_hash,
)
from samovar.kernel.errors import Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.secrets import SecretBox

BATCH: Final = 100
"""Rows removed in one transaction: each may hold an answer of megabytes."""
_BETWEEN_BATCHES_S: Final = 0.1
_TRIES: Final = 3
_LARGE_BYTES: Final = 256 * 1024
_WRITE_S: Final = 10.0

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Recorded).decode


class Claim:
    """A key that is ours to work for. Call one of :meth:`keep` and :meth:`free`; again is harmless, and waits for the first.
    Neither raises: the answer has its price already, and goes out whether or not it could be kept. Nor can a caller who
    leaves in the middle stop them: what is begun is written."""

    __slots__ = ("_ending", "_service", "key_hash", "owner", "team_id")

    def __init__(self, service: "IdempotencyService", *, team_id: str, key_hash: str, owner: str) -> None:
        self._service = service
        self._ending: asyncio.Task[None] | None = None
        self.team_id = team_id
        self.key_hash = key_hash
        self.owner = owner

    @property
    def max_answer_bytes(self) -> int:
        """Of a larger answer it is only noted that there was one."""
        return self._service.settings.max_answer_bytes

    async def keep(self, answer: Recorded | None) -> None:
        """This is the answer from now on; ``None`` for one that was too large."""
        await self._end(answer, is_kept=True)

    async def free(self) -> None:
        """There is no answer to keep: the next try runs anew."""
        await self._end(None, is_kept=False)

    async def _end(self, answer: Recorded | None, *, is_kept: bool) -> None:
        if self._ending is None:
            # It ends by itself: the write has a deadline.
            self._ending = asyncio.create_task(self._service.close(self, answer, is_kept=is_kept))
        await asyncio.shield(self._ending)


class IdempotencyService:
    """Shared by all requests of one event loop. :meth:`run` renews leases and removes what is over. ``report`` takes
    failures, to log them."""

    def __init__(
        self,
        *,
        database: Database,
        box: SecretBox,
        clock: Clock,
        ids: Ids,
        settings: IdempotencySettings,
        report: Callable[[BaseException, str], None],
    ) -> None:
        self._database = database
        self._box = box
        self._clock = clock
        self._ids = ids
        self.settings = settings
        self._report = report
        self._held: dict[str, Claim] = {}

    async def claim(
        self, principal: Principal, *, path: str, query: bytes, key: bytes, body: bytes
    ) -> Claim | Recorded:
        """The key, to work for; or the answer that it has. Raises ``Malformed``, ``IdempotencyKeyReused``,
        ``IdempotencyInFlight``, ``IdempotentAnswerNotKept``, ``Unavailable``."""
        hashed = key_hash(principal, path, checked_key(key))
        if len(body) < _LARGE_BYTES:
            request = request_hash(hashed, query, body)
        else:
            request = await asyncio.to_thread(request_hash, hashed, query, body)
        mine = Claim(self, team_id=principal.team_id, key_hash=hashed, owner=self._ids.new("claim"))
        for _ in range(_TRIES):
            try:
                found = await self._claimed(mine, request)
            except asyncio.CancelledError:
                # It may be ours all the same, and who left may come again at once.
                await mine.free()
                raise
            if found is mine:
                self._held[mine.owner] = mine
                return mine
            if isinstance(found, Found):
                return self._answer_of(mine, found, request)
            # It was freed between the two statements: try for it again.
        raise self._in_flight()

    async def close(self, claim: Claim, answer: Recorded | None, *, is_kept: bool) -> None:
        """A claim's end. See :class:`Claim`."""
        try:
            async with asyncio.timeout(_WRITE_S):
                await self._written(claim, answer, is_kept=is_kept)
        except (Unavailable, TimeoutError) as error:
            # The lease frees the key.
            self._report(error, "an idempotent answer could not be kept")
        finally:
            self._held.pop(claim.owner, None)

    async def run(self) -> None:
        """Renew and remove until cancelled."""
        every_s = self.settings.lease_s / 3
        pause_s = every_s
        while True:
            await asyncio.sleep(pause_s)
            pause_s = every_s
            try:
                await self.renew()
                if await self.remove_over() == BATCH:
                    pause_s = _BETWEEN_BATCHES_S
            except Unavailable as error:
                self._report(error, "leases of idempotency keys could not be renewed")

    async def renew(self) -> None:
        """Lengthen the leases of what is under way here. Raises ``Unavailable``."""
        held = [(claim.key_hash, claim.owner) for claim in self._held.values()]
        if held:
            async with self._database.transaction() as tx:
                await store.renew(tx, held, until=self._clock.now() + timedelta(seconds=self.settings.lease_s))

    async def remove_over(self) -> int:
        """Remove a batch of what is over; how many there were. Raises ``Unavailable``."""
        async with self._database.transaction() as tx:
            return await store.remove_over(tx, now=self._clock.now(), limit=BATCH)

    async def _claimed(self, claim: Claim, request: str) -> Claim | Found | None:
        now = self._clock.now()
        until = now + timedelta(seconds=self.settings.lease_s)
        async with self._database.transaction() as tx:
            if await store.claim(
                tx, claim.team_id, claim.key_hash, request_hash=request, owner=claim.owner, now=now, until=until
            ):
                return claim
            return await store.find(tx, claim.team_id, claim.key_hash, now=now)

    def _answer_of(self, claim: Claim, found: Found, request: str) -> Recorded:
        if found.request_hash != request:
            raise IdempotencyKeyReused(
                "this Idempotency-Key came with another body before: send the same body again, or choose a new key"
            )
        if found.is_running:
            raise self._in_flight()
        if found.answer is None:
            raise IdempotentAnswerNotKept(
                "the request with this Idempotency-Key was done, but its answer was larger than the "
                f"{self.settings.max_answer_bytes} bytes that are kept; a new key does it again"
            )
        return _unpack(self._box.open(found.answer, bound_to=_bound_to(claim)))

    async def _written(self, claim: Claim, answer: Recorded | None, *, is_kept: bool) -> None:
        sealed = None if answer is None else self._box.seal(_pack(answer), bound_to=_bound_to(claim))
        async with self._database.transaction() as tx:
            if not is_kept:
                await store.free(tx, claim.team_id, claim.key_hash, owner=claim.owner)
                return
            until = self._clock.now() + timedelta(seconds=self.settings.keep_s)
            await store.keep(tx, claim.team_id, claim.key_hash, owner=claim.owner, answer=sealed, until=until)

    def _in_flight(self) -> IdempotencyInFlight:
        wait_s = self.settings.retry_after_s
        return IdempotencyInFlight(
            f"the first request with this Idempotency-Key has no answer yet; ask again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )


def _bound_to(claim: Claim) -> str:
    return f"idempotency/{claim.key_hash}/answer"
