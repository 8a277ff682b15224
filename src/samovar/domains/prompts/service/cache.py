"""What a process remembers of prompts: bounded in number and in bytes, dropped exactly where something was written.

A reading that began before a write is not remembered after it: whoever reads takes the cache's ``generation`` first, and each
write anywhere moves it on.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import structlog

from samovar.domains.prompts.model.prompt import Prompt, PromptPage

Key = tuple[Hashable, ...]
"""The team, what is kept (``id``, or a kind of answer that a namespace's writes end), the namespace or id, and the rest."""

OF_ID: Final = "id"
_ENTRY_BYTES: Final = 600
# Of a prompt in memory beside its answer's bytes: the text again, and the rest.
_AS_OBJECT: Final = 2


class CacheBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How long an answer is remembered, in seconds (0: not at all), and how many and how large they may be together."""

    prompt_s: float = 300.0
    list_s: float = 60.0
    max_entries: int = 20_000
    max_bytes: int = 128 * 1024 * 1024


class Kept:
    """An answer: ``found`` is ``None`` where there is nothing (remembered as well); ``body`` is its JSON, ``etag`` the
    header's value: of a version its revision, of what leads to one version or another (:func:`leading`) its id as well."""

    __slots__ = ("body", "etag", "expires_at", "found", "was_hit")

    def __init__(self, found: Prompt | PromptPage | None, *, etag: bytes | None = None) -> None:
        self.found = found
        self.body = b"" if found is None else msgspec.json.encode(found)
        self.etag = etag or (b'"%d"' % found.revision if isinstance(found, Prompt) else _digest(self.body))
        self.expires_at = 0.0
        self.was_hit = False


def leading(found: Prompt | None) -> Kept:
    """An answer under an address that leads to another version when the default moves."""
    # Two versions often stand at the same revision: by that alone a reader would be told that nothing changed.
    return Kept(found, etag=None if found is None else b'"%d.%d"' % (found.id, found.revision))


class Change(msgspec.Struct, frozen=True):
    """News of a write: which rows of a team, in which namespaces. Without ids any of the team's may have changed.
    ``number`` counts the team's writes."""

    team_id: str
    number: int
    namespaces: tuple[str, ...]
    ids: tuple[int, ...] | None


class Tally(NamedTuple):
    """Since the process began."""

    hits: int
    misses: int


class PromptCache:
    """One for a process. ``monotonic`` gives seconds."""

    def __init__(self, bounds: CacheBounds, *, monotonic: Callable[[], float]) -> None:
        self._bounds = bounds
        self._monotonic = monotonic
        self._log = structlog.get_logger("samovar.prompts")
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._of_namespace: dict[tuple[Hashable, Hashable], set[Key]] = {}
        self._seen: dict[str, int] = {}
        self._size_bytes = 0
        self._hits = 0
        self._misses = 0
        self.generation = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size_bytes(self) -> int:
        """What the entries take, by estimate."""
        return self._size_bytes

    @property
    def tally(self) -> Tally:
        """How often it answered."""
        return Tally(self._hits, self._misses)

    @property
    def teams(self) -> Sequence[str]:
        """Of whom something is remembered."""
        return sorted({str(key[0]) for key in self._kept})

    def get(self, key: Key) -> Kept | None:
        """The answer, if its time is not over. About a microsecond."""
        kept = self._kept.get(key)
        if kept is None or kept.expires_at <= self._monotonic():
            self._misses += 1
            self._log.info("prompt cache", outcome="MISS", key=key)
            return None
        self._hits += 1
        # The first hit of each answer is worth a line, as its miss was; thousands a second are not.
        if kept.was_hit:
            self._log.debug("prompt cache", outcome="HIT", key=key)
        else:
            kept.was_hit = True
            self._log.info("prompt cache", outcome="HIT", key=key)
        self._kept.move_to_end(key)
        return kept

    def put(self, key: Key, kept: Kept, *, generation: int) -> None:
        """Remember, unless something was written since ``generation``."""
        ttl_s = self._bounds.list_s if isinstance(kept.found, PromptPage) else self._bounds.prompt_s
        size = _size(kept)
        if generation != self.generation or ttl_s <= 0 or size > self._bounds.max_bytes:
            return
        self._drop(key)
        kept.expires_at = self._monotonic() + ttl_s
        self._kept[key] = kept
        self._size_bytes += size
        if key[1] != OF_ID:
            self._of_namespace.setdefault((key[0], key[2]), set()).add(key)
        while len(self._kept) > self._bounds.max_entries or self._size_bytes > self._bounds.max_bytes:
            self._drop(next(iter(self._kept)))

    def note(self, change: Change) -> None:
        """Somebody wrote: forget what that ends."""
        self.generation += 1
        seen = self._seen.get(change.team_id)
        self._seen[change.team_id] = max(change.number, seen or 0)
        # A number left out is a write whose news was lost, or is still to come.
        if change.ids is None or seen is None or change.number > seen + 1:
            self._forget_team(change.team_id)
            return
        for prompt_id in change.ids:
            self._drop((change.team_id, OF_ID, prompt_id))
        for namespace in change.namespaces:
            self._drop_all(self._of_namespace.get((change.team_id, namespace), ()))

    def compare(self, numbers: dict[str, int]) -> None:
        """How often teams' prompts were written, as the database says: forget those of whom we missed something."""
        for team_id, number in numbers.items():
            if self._seen.get(team_id) != number:
                self._seen[team_id] = number
                self.generation += 1
                self._forget_team(team_id)

    def clear(self) -> None:
        """Forget everything: news may have been missed."""
        self.generation += 1
        self._kept.clear()
        self._of_namespace.clear()
        self._size_bytes = 0

    def _forget_team(self, team_id: str) -> None:
        self._drop_all([key for key in self._kept if key[0] == team_id])

    def _drop_all(self, keys: Iterable[Key]) -> None:
        for key in [*keys]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self._size_bytes -= _size(kept)
        if key[1] != OF_ID:
            place = (key[0], key[2])
            keys = self._of_namespace[place]
            keys.discard(key)
            if not keys:
                del self._of_namespace[place]


def _digest(body: bytes) -> bytes:
    return b'"%s"' % hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def _size(kept: Kept) -> int:
    return _ENTRY_BYTES + _AS_OBJECT * len(kept.body)
