"""What happens once in an installation's life: its default team, admin token and first key; and the master key's check."""

import base64
import hmac
from dataclasses import dataclass, field
from typing import Final

from samovar.domains.identity import store
from samovar.domains.identity.errors import WrongMasterKey
from samovar.domains.identity.model import DEFAULT_TEAM_ID, KEY_ENTROPY_BYTES, IssuedKey, Team, digest_of
from samovar.domains.identity.service.keys import Keys
from samovar.ports.clock import Clock, Ids
from samovar.ports.database import Database, Tx
from samovar.ports.secrets import SealBroken, SecretBox

_INSTALLED: Final = "installed_by"
_ADMIN_DIGEST: Final = "admin_digest"
_MASTER_KEY_CHECK: Final = "master_key_check"
_CHECK_PLAIN: Final = b"samovar"
_CHECK_BOUND_TO: Final = "installation:master_key_check:value"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStart:
    """The secrets that the very first start made, to be shown once. ``admin_token`` is ``None`` where the environment
    gave one. A later start without ``ADMIN_TOKEN`` in an installation that never made one makes it then: such a
    ``FirstStart`` has no ``key``."""

    admin_token: str | None = field(repr=False)
    key: IssuedKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """``admin_digest`` is the SHA-256 of the admin token now in force."""

    first_start: FirstStart | None
    admin_digest: bytes = field(repr=False)


class Installation:
    """Sets a database up for use, exactly once, however many processes start together."""

    def __init__(self, *, database: Database, clock: Clock, ids: Ids, box: SecretBox, keys: Keys) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._box = box
        self._keys = keys

    async def ensure(self, admin_token: str | None) -> Installed:
        """Raises :class:`WrongMasterKey` before anything is written."""
        async with self._database.transaction() as tx:
            await self._check_master_key(tx)
            key = await self._first_key(tx)
            if admin_token:
                made, digest = None, digest_of(admin_token)
            else:
                made, digest = await self._stored_admin_token(tx)
        first = FirstStart(admin_token=made, key=key) if made is not None or key is not None else None
        return Installed(first_start=first, admin_digest=digest)

    async def _check_master_key(self, tx: Tx) -> None:
        sealed = base64.b64encode(self._box.seal(_CHECK_PLAIN, bound_to=_CHECK_BOUND_TO)).decode()
        standing = await store.settle_fact(tx, _MASTER_KEY_CHECK, sealed)
        try:
            plain = self._box.open(base64.b64decode(standing), bound_to=_CHECK_BOUND_TO)
        except SealBroken as error:
            raise WrongMasterKey(
                "The master key is not the one that this database was installed with, so the provider keys in it cannot "
                "be read. Give SAMOVAR_MASTER_KEY (or the master key's file) its former value, or use another database."
            ) from error
        assert hmac.compare_digest(plain, _CHECK_PLAIN)

    async def _first_key(self, tx: Tx) -> IssuedKey | None:
        mark = self._ids.new("start")
        if await store.settle_fact(tx, _INSTALLED, mark) != mark:
            return None
        await store.add_team(tx, Team(id=DEFAULT_TEAM_ID, name="Default team", created_at=self._clock.now()))
        issued = self._keys.draft(team_id=DEFAULT_TEAM_ID, created_by="installation", name="first key")
        await store.add_key(tx, issued.key, key_hash=digest_of(issued.secret).hex())
        return issued

    async def _stored_admin_token(self, tx: Tx) -> tuple[str | None, bytes]:
        """The token if this very call made it, and the SHA-256 of the one that stands."""
        token = self._ids.token(KEY_ENTROPY_BYTES)
        mine = digest_of(token).hex()
        standing = await store.settle_fact(tx, _ADMIN_DIGEST, mine)
        return (token if standing == mine else None), bytes.fromhex(standing)
