"""A cache in Redis."""

from typing import Final

from samovar.adapters.redis.link import RedisLink, awaited

_SCAN: Final = 1000


class RedisCache:
    """A :class:`samovar.ports.cache.Cache`. Every key begins with ``prefix``."""

    def __init__(self, *, link: RedisLink, prefix: str = "samovar:cache:") -> None:
        self._link = link
        self._prefix = prefix

    async def get(self, key: str) -> bytes | None:
        """See the port."""
        value: bytes | None = await self._link.run("get", lambda: awaited(self._link.client.get(self._prefix + key)))
        return value

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """See the port."""
        ttl_ms = _milliseconds(ttl_s)
        await self._link.run("put", lambda: awaited(self._link.client.set(self._prefix + key, value, px=ttl_ms)))

    async def add(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        """See the port. When the answer is lost on its way the key may be there all the same: fail closed."""
        ttl_ms = _milliseconds(ttl_s)
        client = self._link.client
        return bool(
            await self._link.run("add", lambda: awaited(client.set(self._prefix + key, value, px=ttl_ms, nx=True)))
        )

    async def take(self, key: str) -> bytes | None:
        """See the port."""
        value: bytes | None = await self._link.run(
            "take", lambda: awaited(self._link.client.getdel(self._prefix + key))
        )
        return value

    async def drop(self, key: str) -> None:
        """See the port."""
        await self._link.run("drop", lambda: awaited(self._link.client.unlink(self._prefix + key)))

    async def drop_prefix(self, prefix: str) -> None:
        """See the port. Step by step, so that Redis is never held up: what others put meanwhile may stay."""
        pattern = _literal(self._prefix + prefix) + "*"
        client = self._link.client
        cursor = 0
        while True:
            at = cursor
            cursor, keys = await self._link.run(
                "scan",
                lambda at=at: awaited(client.scan(at, match=pattern, count=_SCAN)),  # type: ignore[misc]
            )
            if keys:
                await self._link.run("drop", lambda keys=keys: awaited(client.unlink(*keys)))  # type: ignore[misc]
            if cursor == 0:
                return

    async def close(self) -> None:
        """See the port."""
        await self._link.close()


def _milliseconds(ttl_s: float) -> int:
    if ttl_s <= 0:
        raise ValueError("a time to live must be positive")
    return max(1, round(ttl_s * 1000))


def _literal(text: str) -> str:
    """``text`` with what Redis takes for a pattern made plain."""
    return "".join("\\" + letter if letter in "*?[]\\^-" else letter for letter in text)
