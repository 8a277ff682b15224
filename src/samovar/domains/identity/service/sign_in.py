"""From a credential to a principal: at once from memory, or by asking the database."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from samovar.domains.identity import store
from samovar.domains.identity.errors import (
    ExpiredKey,
    RevokedKey,
    SignInFailed,
    UnknownKey,
)
from samovar.domains.identity.model import (
    ACCOUNT_PREFIX,
    Key,
    KeyState,
    Verified,
    administrator,
    digest_of,
    has_key_shape,
    has_token_shape,
)
from samovar.domains.identity.service.granting import TokenSignIn
from samovar.domains.identity.service.tries import Tries
from samovar.domains.identity.service.warm import Misses, SignInBounds, Warm, WarmKeys
from samovar.kernel.errors import Unavailable
from samovar.kernel.principal import Principal
from samovar.kernel.tasks import background
from samovar.kernel.time import rfc3339
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.limits import Limit, Limiter
from samovar.ports.outages import Outage

_REFRESH_BATCH: Final = 200
_REFRESH_RETRY_S: Final = 1.0
_REFRESH_TIMEOUT_S: Final = 5.0
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
        tokens: TokenSignIn,
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = clock.monotonic
        self._tokens = tokens
        self._tries = Tries("wrong-credential", clock=clock, limiter=limiter, limit=wrong_limit)
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
        self._group: asyncio.TaskGroup | None = None
        self._unread = Outage("gateway keys not re-read; they work until they are stale", logger="samovar.identity")
        self._unwritten = Outage("last uses of keys not written; trying again later", logger="samovar.identity")

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
        if self._group is None:
            return
        entry.refresh_at = entry.stale_at  # Asked for once: the refresher sets the next time.
        self._due[entry.digest] = entry
        if self._refresher is None:
            self._refresher = self._group.create_task(self._refresh_due(), name="identity-refresh")

    async def _refresh_due(self) -> None:
        try:
            while self._due:
                batch = [self._due.popitem()[1] for _ in range(min(len(self._due), _REFRESH_BATCH))]
                try:
                    async with asyncio.timeout(_REFRESH_TIMEOUT_S):
                        await self._refresh(batch)
                    self._unread.over()
                except Exception as error:  # noqa: BLE001 - the loop outlives a database that is away; entries go stale anyway
                    self._unread.tell(error)
                    for entry in batch:
                        entry.refresh_at = self._monotonic() + _REFRESH_RETRY_S
        finally:
            self._refresher = None

    async def _refresh(self, batch: list[Warm]) -> None:
        with_tokens = [entry for entry in batch if entry.token is not None]
        if with_tokens:
            await self._refresh_tokens(with_tokens)
        batch = [entry for entry in batch if entry.token is None]
        if not batch:
            return
        read_at = self._monotonic()
        async with self._database.reading() as tx:
            found = await store.keys_by_hash(tx, [entry.digest.hex() for entry in batch])
        for entry in batch:
            key = found.get(entry.digest.hex())
            if key is None or self._refusal(key) is not None:
                self._warm.forget(entry)
            else:
                self._warm.renew(entry, key.principal(), read_at=read_at)

    async def _refresh_tokens(self, batch: Sequence[Warm]) -> None:
        read_at = self._monotonic()
        known = [(entry, entry.token) for entry in batch if entry.token is not None]
        accounts = await self._tokens.accounts([token for _, token in known])
        for entry, token in known:
            try:
                principal = self._tokens.principal(token, accounts.get(token.claims.sub))
            except SignInFailed:
                self._warm.forget(entry)
            else:
                self._warm.renew(entry, principal, read_at=read_at)

    # --- the cold path ----------------------------------------------------------------------------------------------

    async def authenticate(self, secret: str, *, address: str | None = None) -> Principal:
        """Whom ``secret`` (a gateway key, a service account's token or the admin token) stands for.

        ``address`` is the client's, for the limit on wrong credentials: an address over it must wait before a credential
        that this process does not know is looked at. That limit fails open: with the limiter away, wrong credentials are
        still refused, only not counted, because a guess at 256 random bits needs no help to fail.

        Raises ``SignInFailed`` of every kind, ``TooManyWrongCredentials``, ``Unavailable``.
        """
        principal = self.recall(secret)
        if principal is not None:
            return principal
        self._tries.check(address)
        digest = digest_of(secret)
        if self._is_admin(digest):
            return self._admin
        try:
            return await self._by_secret(secret, digest)
        except UnknownKey:
            await self._tries.count(address)
            raise

    async def authenticate_admin(self, secret: str, *, address: str | None = None) -> Principal:
        """The administrator, if ``secret`` is the admin token; a gateway key is refused here like any other text."""
        self._tries.check(address)
        if self._is_admin(digest_of(secret)):
            return self._admin
        await self._tries.count(address)
        raise UnknownKey("This is not the admin token of this installation.")

    def trust_admin(self, digest: bytes) -> None:
        """From now on the admin token is the one with this SHA-256."""
        self._admin_digest = digest

    def _is_admin(self, digest: bytes) -> bool:
        return self._admin_digest is not None and hmac.compare_digest(digest, self._admin_digest)

    async def _by_secret(self, secret: str, digest: bytes) -> Principal:
        if not (has_key_shape(secret) or has_token_shape(secret)):
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
                return self.recall(secret) or await self._look_up(secret, digest)
        finally:
            self._waiting -= 1

    async def _look_up(self, secret: str, digest: bytes) -> Principal:
        missed = self._misses.get(digest, now=self._monotonic())
        if missed is not None:
            raise missed
        read_at, changes = self._monotonic(), self._warm.changes
        try:
            principal, token = await self._found(secret, digest)
        except SignInFailed as refusal:
            self._misses.put(digest, refusal, now=self._monotonic())
            known = self._warm.get(digest)
            if known is not None:
                self._warm.forget(known)
            raise
        if changes == self._warm.changes:
            self._warm.put(digest, principal, read_at=read_at, token=token).used_at = read_at
        return principal

    async def _found(self, secret: str, digest: bytes) -> tuple[Principal, Verified | None]:
        if has_token_shape(secret):
            token = await self._tokens.verified(secret)
            accounts = await self._tokens.accounts([token])
            return self._tokens.principal(token, accounts.get(token.claims.sub)), token
        async with self._database.reading() as tx:
            key = (await store.keys_by_hash(tx, [digest.hex()])).get(digest.hex())
        refusal = UnknownKey(_UNKNOWN) if key is None else self._refusal(key)
        if key is None or refusal is not None:
            assert refusal is not None
            raise refusal
        return key.principal(), None

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

    def forget(self, id_: str) -> None:
        """This key or service account was changed here: do not wait for the bus to say so."""
        self._warm.forget_id(id_)

    def note_use(self, id_: str, team_id: str) -> None:
        """This one was used in another way than by a credential that is remembered."""
        self._warm.note_use(id_, team_id, self._monotonic())

    async def on_key_changed(self, message: bytes) -> None:
        """Bus handler: the message is the id of a key or of a service account."""
        self._warm.forget_id(message.decode("utf-8", "replace"))

    async def on_gap(self) -> None:
        """Bus handler: news may have been missed."""
        self._warm.forget_all()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is open, keys are re-read in the background and their last uses written every half minute."""
        try:
            async with background(self._write_uses_for_ever()) as tasks:
                self._group = tasks
                try:
                    yield
                finally:
                    self._group = None
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
                await store.note_uses(tx, [row for row in rows if not _is_account(row[1])])
                await store.note_account_uses(tx, [row for row in rows if _is_account(row[1])])
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
            self._unwritten.over()
        except Exception as error:  # noqa: BLE001 - the edge of a loop that must go on
            self._unwritten.tell(error)


def _is_account(id_: str) -> bool:
    return id_.startswith(f"{ACCOUNT_PREFIX}_")
