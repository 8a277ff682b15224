"""From a credential to a principal: at once from memory, or by asking the database."""

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network
from typing import Final

import structlog

from samovar.domains.identity import store
from samovar.domains.identity.errors import (
    ExpiredKey,
    RevokedKey,
    SignInFailed,
    TooManyWrongCredentials,
    UnknownKey,
)
from samovar.domains.identity.model import Key, KeyState, administrator, digest_of, has_key_shape
from samovar.domains.identity.service.warm import Misses, SignInBounds, Warm, WarmKeys
from samovar.kernel.errors import Unavailable
from samovar.kernel.principal import Principal
from samovar.kernel.tasks import background
from samovar.kernel.time import rfc3339
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.limits import Limit, Limiter

_REFRESH_BATCH: Final = 200
_REFRESH_RETRY_S: Final = 1.0
_REFRESH_TIMEOUT_S: Final = 5.0
_BLOCKED_ADDRESSES: Final = 10_000
_WRITE_USES_EVERY_S: Final = 30.0

_UNKNOWN: Final = "This key was never given out here. Check that it was copied whole (`sk-samovar-` and 43 characters)."


class SignIn:
    """Checks credentials. ``wrong_limit`` bounds unknown credentials of one client address; ``None`` switches that off."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        limiter: Limiter | None,
        wrong_limit: Limit | None,
        bounds: SignInBounds,
    ) -> None:
        self._log = structlog.get_logger("samovar.identity")
        self._database = database
        self._clock = clock
        self._monotonic = clock.monotonic
        self._guard = _Guard(clock=clock, limiter=limiter, limit=wrong_limit)
        self._warm = WarmKeys(bounds)
        self._warm_get = self._warm.get
        self._misses = Misses(bounds)
        self._admin = administrator()
        self._admin_digest: bytes | None = None
        self._lookups = asyncio.Semaphore(bounds.lookups_at_once)
        self._max_waiting = bounds.lookups_waiting
        self._waiting = 0
        self._due: dict[bytes, Warm] = {}
        self._refresher: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None

    # --- the warm path ----------------------------------------------------------------------------------------------

    def recall(self, secret: str) -> Principal | None:
        """The principal, if this process knows the key and knows it freshly enough; ``None`` means: ``authenticate``.

        Never waits and never raises; about a microsecond. A key that is getting old still answers, and is read again in
        the background (all such keys together, one query at a time).
        """
        entry = self._warm_get(hashlib.sha256(secret.encode("utf-8", "replace")).digest())
        if entry is None:
            return None
        now = self._monotonic()
        if now >= entry.refresh_at:
            if now >= entry.stale_at:
                return None
            self._refresh_soon(entry)
        if entry.ends_at is not None and self._clock.now() >= entry.ends_at:
            return None
        entry.used_at = now
        return entry.principal

    def _refresh_soon(self, entry: Warm) -> None:
        if self._tasks is None:
            return
        entry.refresh_at = entry.stale_at  # Asked for once: the refresher sets the next time.
        self._due[entry.digest] = entry
        if self._refresher is None:
            self._refresher = self._tasks.create_task(self._refresh_due(), name="identity-refresh")

    async def _refresh_due(self) -> None:
        try:
            while self._due:
                batch = [self._due.popitem()[1] for _ in range(min(len(self._due), _REFRESH_BATCH))]
                try:
                    async with asyncio.timeout(_REFRESH_TIMEOUT_S):
                        await self._refresh(batch)
                except Exception:  # noqa: BLE001 - the loop outlives a database that is away; entries go stale anyway
                    self._log.exception("gateway keys not re-read; they work until they are stale", keys=len(batch))
                    for entry in batch:
                        entry.refresh_at = self._monotonic() + _REFRESH_RETRY_S
        finally:
            self._refresher = None

    async def _refresh(self, batch: list[Warm]) -> None:
        read_at = self._monotonic()
        async with self._database.reading() as tx:
            found = await store.keys_by_hash(tx, [entry.digest.hex() for entry in batch])
        for entry in batch:
            key = found.get(entry.digest.hex())
            if key is None or self._refusal(key) is not None:
                self._warm.forget(entry)
            else:
                self._warm.renew(entry, key.principal(), read_at=read_at)

    # --- the cold path ----------------------------------------------------------------------------------------------

    async def authenticate(self, secret: str, *, address: str | None = None) -> Principal:
        """Whom ``secret`` (a gateway key or the admin token) stands for.

        ``address`` is the client's, for the limit on wrong credentials: an address over it must wait before a credential
        that this process does not know is looked at. That limit fails open: with the limiter away, wrong credentials are
        still refused, only not counted, because a guess at 256 random bits needs no help to fail.

        Raises ``UnknownKey``, ``RevokedKey``, ``ExpiredKey``, ``TooManyWrongCredentials``, ``Unavailable``.
        """
        principal = self.recall(secret)
        if principal is not None:
            return principal
        self._guard.check(address)
        digest = digest_of(secret)
        if self._is_admin(digest):
            return self._admin
        try:
            return await self._by_key(secret, digest)
        except UnknownKey:
            await self._guard.count(address)
            raise

    async def authenticate_admin(self, secret: str, *, address: str | None = None) -> Principal:
        """The administrator, if ``secret`` is the admin token; a gateway key is refused here like any other text."""
        self._guard.check(address)
        if self._is_admin(digest_of(secret)):
            return self._admin
        await self._guard.count(address)
        raise UnknownKey("This is not the admin token of this installation.")

    def trust_admin(self, digest: bytes) -> None:
        """From now on the admin token is the one with this SHA-256."""
        self._admin_digest = digest

    def _is_admin(self, digest: bytes) -> bool:
        return self._admin_digest is not None and hmac.compare_digest(digest, self._admin_digest)

    async def _by_key(self, secret: str, digest: bytes) -> Principal:
        if not has_key_shape(secret):
            raise UnknownKey(_UNKNOWN)
        missed = self._misses.get(digest, now=self._monotonic())
        if missed is not None:
            raise missed
        if self._waiting >= self._max_waiting:
            raise Unavailable("Too many unknown keys are being looked up. Try again.", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            async with self._lookups:
                # Many calls may have waited with the same key: the first of them has answered for all.
                return self.recall(secret) or await self._look_up(digest)
        finally:
            self._waiting -= 1

    async def _look_up(self, digest: bytes) -> Principal:
        missed = self._misses.get(digest, now=self._monotonic())
        if missed is not None:
            raise missed
        read_at, changes = self._monotonic(), self._warm.changes
        async with self._database.reading() as tx:
            found = (await store.keys_by_hash(tx, [digest.hex()])).get(digest.hex())
        refusal = UnknownKey(_UNKNOWN) if found is None else self._refusal(found)
        if found is None or refusal is not None:
            assert refusal is not None
            self._misses.put(digest, refusal, now=self._monotonic())
            known = self._warm.get(digest)
            if known is not None:
                self._warm.forget(known)
            raise refusal
        principal = found.principal()
        if changes == self._warm.changes:
            self._warm.put(digest, principal, read_at=read_at).used_at = read_at
        return principal

    def _refusal(self, key: Key) -> SignInFailed | None:
        state = key.state(self._clock.now())
        if state is KeyState.EXPIRED and key.expires_at is not None:
            return ExpiredKey(f"The key {key.name!r} ({key.id}) expired at {rfc3339(key.expires_at)}. Make a new one.")
        if state is KeyState.REVOKED and key.revoked_at is not None:
            return RevokedKey(f"The key {key.name!r} ({key.id}) was revoked at {rfc3339(key.revoked_at)}.")
        if state is KeyState.REVOKED and key.grace_until is not None:
            ended = rfc3339(key.grace_until)
            return RevokedKey(
                f"The key {key.name!r} ({key.id}) was replaced; its grace ended at {ended}. Use the new one."
            )
        return None

    # --- news, and last uses ----------------------------------------------------------------------------------------

    def forget(self, key_id: str) -> None:
        """This key was changed here: do not wait for the bus to say so."""
        self._warm.forget_id(key_id)

    async def on_key_changed(self, message: bytes) -> None:
        """Bus handler: the message is a key's id."""
        self._warm.forget_id(message.decode("utf-8", "replace"))

    async def on_gap(self) -> None:
        """Bus handler: news may have been missed."""
        self._warm.forget_all()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is open, keys are re-read in the background and their last uses written every half minute."""
        try:
            async with background(self._write_uses_for_ever()) as tasks:
                self._tasks = tasks
                try:
                    yield
                finally:
                    self._tasks = None
                    if self._refresher is not None:
                        self._refresher.cancel()
        finally:
            await self._try_to_write_uses()

    async def write_uses(self) -> None:
        """Write when each key was last used. Kept and tried again next time where the database is away."""
        uses = self._warm.take_uses()
        if not uses:
            return
        now, monotonic = self._clock.now(), self._monotonic()
        rows = [(team, id_, now - timedelta(seconds=monotonic - at)) for id_, (team, at) in sorted(uses.items())]
        written = False
        try:
            async with self._database.transaction() as tx:
                await store.note_uses(tx, rows)
            written = True
        finally:
            if not written:
                self._warm.give_back_uses(uses)

    async def _write_uses_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_USES_EVERY_S)
            await self._try_to_write_uses()

    async def _try_to_write_uses(self) -> None:
        try:
            async with asyncio.timeout(_WRITE_USES_EVERY_S):
                await self.write_uses()
        except Exception:  # noqa: BLE001 - the edge of a loop that must go on
            self._log.exception("last uses of keys not written; trying again later")


def network_of(address: str) -> str:
    """Whom an address stands for: itself, or of IPv6 its /64, for one subscriber has at least that many addresses
    (RFC 6177). An IPv4 address written as IPv6 is the IPv4 one."""
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or IPv6Network((int(found) >> 64 << 64, 64)))


class _Guard:
    """The limit on wrong credentials of one address (of IPv6 one /64). Fails open when the limiter is away."""

    def __init__(self, *, clock: Clock, limiter: Limiter | None, limit: Limit | None) -> None:
        self._clock = clock
        self._limiter = limiter
        self._limit = limit
        self._blocked_until: OrderedDict[str, float] = OrderedDict()

    def check(self, address: str | None) -> None:
        """Raises :class:`TooManyWrongCredentials` while the address must wait."""
        if not self._blocked_until or address is None:
            return
        address = network_of(address)
        until = self._blocked_until.get(address)
        if until is None:
            return
        left = until - self._clock.monotonic()
        if left > 0:
            raise _too_many(left)
        del self._blocked_until[address]

    async def count(self, address: str | None) -> None:
        """One more wrong one. Raises :class:`TooManyWrongCredentials` when it is one too many."""
        if self._limiter is None or self._limit is None or address is None:
            return
        address = network_of(address)
        with suppress(Unavailable):
            verdict = await self._limiter.hit(f"identity:wrong-credential:{address}", self._limit)
            if not verdict.allowed:
                self._blocked_until[address] = self._clock.monotonic() + verdict.retry_after_s
                self._blocked_until.move_to_end(address)
                if len(self._blocked_until) > _BLOCKED_ADDRESSES:
                    self._blocked_until.popitem(last=False)
                raise _too_many(verdict.retry_after_s)


def _too_many(wait_s: float) -> TooManyWrongCredentials:
    seconds = max(1, int(-(-wait_s // 1)))
    return TooManyWrongCredentials(
        f"Too many wrong credentials came from your address. Wait {seconds} s, then send the right one.",
        headers={"Retry-After": str(seconds)},
    )
