"""What a process remembers of the keys and tokens it has seen: bounded maps and no input or output.

An entry answers at once until it is stale; from some age on it says that it wants to be read again. So a key that is in
use is re-read in the background, and a call waits for the database only with a key that this process does not know.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from samovar.domains.identity.errors import SignInFailed
from samovar.domains.identity.model import Verified
from samovar.kernel.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInBounds:
    """Bounds on what is remembered and on what is asked. Times in seconds.

    ``stale_after_s`` is how long a revoked key may still work in a process that the bus does not reach (10 s is
    promised), counted from before the read, so the read's own length does not add to it.
    """

    refresh_after_s: float = 5.0
    stale_after_s: float = 10.0
    missing_for_s: float = 5.0
    max_keys: int = 20_000
    max_misses: int = 20_000
    lookups_at_once: int = 4
    """A flood of keys nobody knows must not take every connection of the pool."""
    lookups_waiting: int = 2_000


class Warm:
    """One key or token that was found good. Mutable: it is renewed in place and notes its last use. Its ``repr`` shows no
    hash. ``token`` is what a token says, ``None`` for a key."""

    __slots__ = ("digest", "ends_at", "principal", "refresh_at", "stale_at", "token", "used_at")

    def __init__(self, digest: bytes, principal: Principal, token: Verified | None) -> None:
        self.digest = digest
        self.token = token
        self.principal = principal
        self.ends_at: datetime | None = principal.expires_at
        self.refresh_at = 0.0
        self.stale_at = 0.0
        self.used_at: float | None = None

    def __repr__(self) -> str:
        return f"Warm({self.principal.id})"


class WarmKeys:
    """The good keys and tokens by their SHA-256, the least recently used going first when there are too many."""

    def __init__(self, bounds: SignInBounds) -> None:
        self._bounds = bounds
        self._by_digest: OrderedDict[bytes, Warm] = OrderedDict()
        # A key is one secret; of a service account there may be many tokens.
        self._by_id: dict[str, dict[bytes, Warm]] = {}
        # Uses of entries that were dropped before their use was written.
        self._max_parting = 2 * bounds.max_keys
        self._parting_uses: dict[str, tuple[str, float]] = {}
        self.changes = 0
        """Counts what was forgotten, so that a read that began before a revocation is not remembered after it."""

    def __len__(self) -> int:
        return len(self._by_digest)

    def get(self, digest: bytes) -> Warm | None:
        """The entry, now the most recently used one."""
        found = self._by_digest.get(digest)
        if found is not None:
            self._by_digest.move_to_end(digest)
        return found

    def put(self, digest: bytes, principal: Principal, *, read_at: float, token: Verified | None = None) -> Warm:
        """Remember, or renew what is remembered. ``read_at`` is the monotonic time before the read."""
        entry = self._by_digest.get(digest)
        if entry is None:
            entry = self._by_digest[digest] = Warm(digest, principal, token)
            self._by_id.setdefault(principal.id, {})[digest] = entry
        self.renew(entry, principal, read_at=read_at)
        while len(self._by_digest) > self._bounds.max_keys:
            self._part(self._by_digest.popitem(last=False)[1])
        return entry

    def renew(self, entry: Warm, principal: Principal, *, read_at: float) -> None:
        """Put a fresh reading into an entry. Harmless where the entry was forgotten meanwhile: nobody finds it."""
        entry.principal = principal
        entry.ends_at = principal.expires_at
        entry.refresh_at = read_at + self._bounds.refresh_after_s
        entry.stale_at = read_at + self._bounds.stale_after_s

    def forget(self, entry: Warm) -> None:
        """This key is good no more."""
        if self._by_digest.get(entry.digest) is entry:
            del self._by_digest[entry.digest]
            self._part(entry)

    def forget_id(self, key_id: str) -> None:
        """Somebody says that this key or service account changed."""
        self.changes += 1
        for entry in list(self._by_id.get(key_id, {}).values()):
            self.forget(entry)

    def forget_all(self) -> None:
        """We may have missed such news."""
        self.changes += 1
        for entry in list(self._by_digest.values()):
            self.forget(entry)

    def take_uses(self) -> dict[str, tuple[str, float]]:
        """Key id to (team id, monotonic time of the last use) for every key used since the last time this was asked."""
        uses, self._parting_uses = self._parting_uses, {}
        for entry in self._by_digest.values():
            if entry.used_at is not None:
                _later(uses, entry.principal.id, entry.principal.team_id, entry.used_at)
                entry.used_at = None
        return uses

    def note_use(self, id_: str, team_id: str, at: float) -> None:
        """A use that is none of an entry; ``at`` is monotonic."""
        if id_ in self._parting_uses or len(self._parting_uses) < self._max_parting:
            _later(self._parting_uses, id_, team_id, at)

    def give_back_uses(self, uses: dict[str, tuple[str, float]]) -> None:
        """They could not be written: keep them for the next time, as many as the bound allows."""
        for key_id, use in uses.items():
            if len(self._parting_uses) >= self._max_parting:
                return
            self._parting_uses.setdefault(key_id, use)

    def _part(self, entry: Warm) -> None:
        others = self._by_id.get(entry.principal.id, {})
        others.pop(entry.digest, None)
        if not others:
            self._by_id.pop(entry.principal.id, None)
        if entry.used_at is not None:
            self.note_use(entry.principal.id, entry.principal.team_id, entry.used_at)


def _later(uses: dict[str, tuple[str, float]], id_: str, team_id: str, at: float) -> None:
    known = uses.get(id_)
    uses[id_] = (team_id, at if known is None else max(at, known[1]))


class Misses:
    """Credentials that were refused a moment ago, so that a client in a loop does not ask the database each time."""

    def __init__(self, bounds: SignInBounds) -> None:
        self._bounds = bounds
        self._by_digest: OrderedDict[bytes, tuple[float, type[SignInFailed], str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_digest)

    def put(self, digest: bytes, refusal: SignInFailed, *, now: float) -> None:
        """Remember for a few seconds; the oldest go first when there are too many."""
        self._by_digest[digest] = (now + self._bounds.missing_for_s, type(refusal), refusal.detail)
        self._by_digest.move_to_end(digest)
        while len(self._by_digest) > self._bounds.max_misses:
            self._by_digest.popitem(last=False)

    def get(self, digest: bytes, *, now: float) -> SignInFailed | None:
        """A new error like the one remembered (a raised one drags its traceback along)."""
        found = self._by_digest.get(digest)
        if found is None:
            return None
        until, refusal, detail = found
        if now >= until:
            del self._by_digest[digest]
            return None
        return refusal(detail)
