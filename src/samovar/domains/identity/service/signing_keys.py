"""The keys that sign tokens: made ahead of their use, by one process of those that try, and published until they retire."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from samovar.domains.identity import store
from samovar.domains.identity.model import Rotation, SigningKey, next_key, signing_key
from samovar.domains.identity.service import jose
from samovar.kernel.errors import Unavailable
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database
from samovar.ports.outages import Outage
from samovar.ports.secrets import SecretBox

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

_UNKNOWN_EVERY_S: Final = 1.0
_LOOK_EVERY_S: Final = 60.0
_KEPT_FOR: Final = timedelta(days=7)
_LONGEST_CACHED_S: Final = 300


class Published(NamedTuple):
    """The JWKS as it is answered."""

    body: bytes
    etag: str
    max_age_s: int


class VerifyingKey(NamedTuple):
    """The public half of a key, and its times."""

    key: "RSAKey"
    about: SigningKey


OnSigningKey = Callable[[SigningKey], None]
"""Hears of each key that this process made."""


class SigningKeys:
    """One for a process, over the table that all share."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        ids: Ids,
        box: SecretBox,
        rotation: Rotation,
        made: OnSigningKey = lambda _: None,
    ) -> None:
        self._log = structlog.get_logger("samovar.identity")
        self._database = database
        self._clock = clock
        self._ids = ids
        self._box = box
        self._rotation = rotation
        self._made = made
        self._turn = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._rows: tuple[SigningKey, ...] = ()
        self._read_at: float | None = None
        self._looked_at: float | None = None
        self._public: dict[str, VerifyingKey] = {}
        self._private: tuple[str, RSAKey] | None = None

    async def signing(self) -> tuple[SigningKey, "RSAKey"]:
        """The key that signs now, with its private half; made, where there is none. Raises ``Unavailable``."""
        found = signing_key(self._rows, self._clock.now())
        if found is None:
            await self.advance()
            found = signing_key(self._rows, self._clock.now())
        if found is None:
            raise Unavailable("There is no key to sign with. Try again.", headers={"Retry-After": "1"})
        if self._private is None or self._private[0] != found.kid:
            self._private = (found.kid, await self._opened(found.kid))
        return found, self._private[1]

    async def verifying(self, kid: str) -> VerifyingKey | None:
        """The key of this name, retired or not. One that is not known here is looked for, once a second at most: it may be the
        very first, which no process has seen before its first token."""
        known = self._public.get(kid)
        if known is not None:
            return known
        # Who comes while somebody looks waits for what is found.
        async with self._looking:
            now = self._clock.monotonic()
            is_due = self._looked_at is None or now - self._looked_at >= _UNKNOWN_EVERY_S
            if kid not in self._public and is_due:
                await self._read()
                self._looked_at = now
            return self._public.get(kid)

    async def published(self) -> Published:
        """All keys that are good now, the next one among them, as a JWKS (RFC 7517). Whoever remembers it for ``max_age_s`` knows
        a key before it is used."""
        ahead_s = self._rotation.ahead.total_seconds()
        # A third of the time for us to see what another process made, a third for those who remember our answer.
        if not self._is_read_within(min(30.0, ahead_s / 3)):
            await self._read()
        now = self._clock.now()
        if next_key(self._rows, now, self._rotation) is not None:
            await self.advance()
        keys = [key.published() for key in self._rows if now < key.retires_at]
        body = msgspec.json.encode({"keys": keys})
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return Published(body, etag, max(1, min(_LONGEST_CACHED_S, int(ahead_s / 3))))

    async def advance(self) -> None:
        """Make the key that is missing, if one is. Of processes that do so at once, one does; the others see its key."""
        async with self._turn:
            await self._read()
            now = self._clock.now()
            wanted = next_key(self._rows, now, self._rotation)
            if wanted is None:
                return
            kid = self._ids.token(12)
            private = await asyncio.to_thread(jose.new_private_jwk, kid)
            until = wanted.active_from + self._rotation.every
            made = SigningKey(
                generation=wanted.generation,
                kid=kid,
                public=jose.public_jwk(private),
                created_at=now,
                active_from=wanted.active_from,
                active_until=until,
                retires_at=until + self._rotation.grace,
            )
            sealed = self._box.seal(msgspec.json.encode(private), bound_to=_place(kid))
            async with self._database.transaction() as tx:
                is_ours = await store.add_signing_key(tx, made, sealed=sealed)
                await store.delete_retired(tx, now - _KEPT_FOR)
            if is_ours:
                self._log.info("a new key signs tokens", kid=kid, since=made.active_from.isoformat())
                self._made(made)
            await self._read()

    async def watch(self) -> None:
        """Make each next key in time, for ever. Nothing happens where no token was ever asked for."""
        pause_s = min(_LOOK_EVERY_S, self._rotation.ahead.total_seconds() / 3)
        outage = Outage("keys that sign tokens not looked after; trying again later", logger="samovar.identity")
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._read()
                if self._rows:
                    await self.advance()
                outage.over()
            except Exception as error:  # noqa: BLE001 - the edge of a loop that must go on; whoever asks for a token tries too
                outage.tell(error)

    def _is_read_within(self, span_s: float) -> bool:
        return self._read_at is not None and self._clock.monotonic() - self._read_at < span_s

    async def _read(self) -> None:
        read_at = self._clock.monotonic()
        async with self._database.reading() as tx:
            rows = await store.all_signing_keys(tx)
        new = [row for row in rows if row.kid not in self._public]
        # In a thread, for the first time loads the library.
        keys = await asyncio.to_thread(_imported, new) if new else {}
        known = {**self._public, **keys}
        self._public = {row.kid: known[row.kid] for row in rows}
        self._rows, self._read_at = rows, read_at

    async def _opened(self, kid: str) -> "RSAKey":
        async with self._database.reading() as tx:
            sealed = await store.sealed_signing_key(tx, kid)
        if sealed is None:
            raise Unavailable("The key that signs was taken away. Try again.", headers={"Retry-After": "1"})
        private: Mapping[str, object] = msgspec.json.decode(self._box.open(sealed, bound_to=_place(kid)))
        return jose.imported(private)


def _imported(rows: Sequence[SigningKey]) -> dict[str, VerifyingKey]:
    return {row.kid: VerifyingKey(jose.imported(row.public), row) for row in rows}


def _place(kid: str) -> str:
    return f"signing_keys:{kid}:sealed"
