"""Whose turn it is among a provider's keys, for all providers of this process."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from samovar.domains.catalog.model import ApiKey, Provider
from samovar.domains.gateway.model.key_pool import KeyHealth, KeyPool
from samovar.kernel.errors import SamovarError
from samovar.ports.clock import Clock
from samovar.ports.dialect import UpstreamError

_LIMITED: Final = 429
_REFUSED: Final = frozenset({401, 402, 403})
_MAX_POOLS: Final = 1024


class _Pool(NamedTuple):
    provider: str
    keys: tuple[ApiKey, ...]
    turns: KeyPool

    @property
    def hints(self) -> tuple[str, ...]:
        return tuple(key.hint for key in self.keys)


class KeyPools:
    """A provider with one key has no pool, and pays nothing for those that have. A pool begins anew when its provider's keys
    change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pools: dict[str, _Pool] = {}

    def take(self, provider: Provider) -> ApiKey | None:
        """The key for one attempt; ``None`` where the provider has none."""
        if not provider.spare_keys:
            return provider.api_key
        keys = provider.api_keys
        return keys[self._pool(provider, keys).take(self._clock.monotonic())]

    def answered(self, provider: Provider, key: ApiKey | None) -> None:
        """The vendor took the key."""
        if provider.spare_keys and key in provider.api_keys:
            self._pool(provider, provider.api_keys).answered(provider.api_keys.index(key))

    def failed(self, provider: Provider, key: ApiKey | None, error: SamovarError) -> bool:
        """An attempt failed. Whether the fault was the key's and another key is well: then the same target is worth another
        try at once."""
        keys = provider.api_keys
        if not provider.spare_keys or key not in keys or not isinstance(error, UpstreamError):
            return False
        pool, place, now = self._pool(provider, keys), keys.index(key), self._clock.monotonic()
        if error.upstream_status == _LIMITED:
            pool.limited(place, now, for_s=error.retry_after_s)
        elif error.upstream_status in _REFUSED:
            pool.refused(place, now)
        else:
            return False
        return pool.has_other(place, now)

    def health(self, provider_id: str, hints: Sequence[str]) -> tuple[KeyHealth, ...]:
        """Of each of a provider's keys, whose ends are ``hints``, as this process knows them; none for a provider with fewer
        than two."""
        if len(hints) < 2:
            return ()
        known = self._pools.get(provider_id)
        turns = known.turns if known is not None and known.hints == tuple(hints) else KeyPool(len(hints))
        return turns.health(hints, self._clock.monotonic())

    def resting(self) -> dict[str, int]:
        """Provider's name to how many of its keys rest, for those whose keys take turns. Names that several teams use are
        summed."""
        now, found = self._clock.monotonic(), dict[str, int]()
        for pool in self._pools.values():
            count = sum(key.rests_for_s > 0 for key in pool.turns.health(pool.hints, now))
            found[pool.provider] = found.get(pool.provider, 0) + count
        return found

    def _pool(self, provider: Provider, keys: tuple[ApiKey, ...]) -> KeyPool:
        known = self._pools.get(provider.id)
        if known is None or known.keys != keys:
            if len(self._pools) >= _MAX_POOLS:
                self._pools.pop(next(iter(self._pools)))
            known = self._pools[provider.id] = _Pool(provider.name, keys, KeyPool(len(keys)))
        return known.turns
