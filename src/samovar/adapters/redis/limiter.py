"""Buckets in Redis, by Redis' own clock: one script call a hit."""

from typing import Final

from samovar.adapters.redis.link import RedisLink, awaited
from samovar.ports.limits import Held, Limit, Verdict

_MICRO: Final = 1_000_000

# samovar.ports.limits.spend, line by line. Numbers travel as text with 17 digits, so that no bit of a double is lost.
# KEYS[1]: the bucket. ARGV: amount, window in us, capacity, cost.
_SPEND: Final = """
local amount, window_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local capacity, cost = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stored = redis.call('HMGET', KEYS[1], 'used', 'at_us')
local used, at_us = tonumber(stored[1] or '0'), tonumber(stored[2] or '0')
local rate = amount / window_us
if now_us < at_us then now_us = at_us end
used = math.max(0, used - (now_us - at_us) * rate)
local allowed = 0
if used + cost <= capacity then
  allowed = 1
  used = used + cost
end
local reset_us = math.ceil(used / rate)
local wait_us = 0
if allowed == 0 then
  wait_us = math.min(reset_us, math.ceil((used + cost - capacity) / rate)) + 1
end
if allowed == 1 and cost > 0 then
  redis.call('HSET', KEYS[1], 'used', string.format('%.17g', used), 'at_us', string.format('%.17g', now_us))
  redis.call('PEXPIRE', KEYS[1], math.ceil(reset_us / 1000) + 1000)
end
return {allowed, math.max(0, math.floor(capacity - used)), string.format('%.17g', wait_us), string.format('%.17g', reset_us)}
"""

# samovar.ports.limits.correct. KEYS[1]: the bucket. ARGV: amount, window in us, by how much.
_CORRECT: Final = """
local rate, by = tonumber(ARGV[1]) / tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stored = redis.call('HMGET', KEYS[1], 'used', 'at_us')
local used, at_us = tonumber(stored[1] or '0'), tonumber(stored[2] or '0')
if now_us < at_us then now_us = at_us end
used = math.max(0, math.max(0, used - (now_us - at_us) * rate) + by)
redis.call('HSET', KEYS[1], 'used', string.format('%.17g', used), 'at_us', string.format('%.17g', now_us))
redis.call('PEXPIRE', KEYS[1], math.ceil(used / rate / 1000) + 1000)
"""

# KEYS[1]: a hash of owner to "places:until in us". ARGV: owner, wanted, most, life in us.
_HOLD: Final = """
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local all = redis.call('HGETALL', KEYS[1])
local others, owners = 0, 0
for i = 1, #all, 2 do
  local places, until_us = string.match(all[i + 1], '^(%d+):(%d+)$')
  if tonumber(until_us) <= now_us then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    others, owners = others + tonumber(places), owners + 1
  end
end
local granted = math.max(0, math.min(tonumber(ARGV[2]), tonumber(ARGV[3]) - others))
if granted > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d:%d', granted, now_us + tonumber(ARGV[4])))
  redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[4]) / 1000) + 1000)
  owners = owners + 1
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return {granted, owners}
"""


class RedisLimiter:
    """A :class:`samovar.ports.limits.SharedLimits`, exact over all processes that share the Redis and the ``prefix``."""

    def __init__(self, *, link: RedisLink, prefix: str = "samovar:limit:") -> None:
        self._link = link
        self._prefix = prefix
        self._script = link.client.register_script(_SPEND)
        self._correct = link.client.register_script(_CORRECT)
        self._hold = link.client.register_script(_HOLD)

    async def hit(self, key: str, limit: Limit, *, cost: int = 1) -> Verdict:
        """See the port."""
        if cost < 0:
            raise ValueError("a cost cannot be negative")
        keys = [self._name(key, limit)]
        numbers = [limit.amount, limit.window_s * _MICRO, limit.capacity, cost]
        allowed, remaining, wait_us, reset_us = await self._link.run(
            "hit", lambda: awaited(self._script(keys=keys, args=numbers))
        )
        return Verdict(bool(allowed), int(remaining), float(wait_us) / _MICRO, float(reset_us) / _MICRO)

    async def correct(self, key: str, limit: Limit, *, by: int) -> None:
        """See the port."""
        keys, numbers = [self._name(key, limit)], [limit.amount, limit.window_s * _MICRO, by]
        await self._link.run("correct", lambda: awaited(self._correct(keys=keys, args=numbers)))

    async def hold(self, key: str, *, owner: str, wanted: int, most: int, ttl_s: float) -> Held:
        """See the port."""
        if wanted < 0:
            raise ValueError("places cannot be negative")
        keys = [f"{self._prefix}held:{key}"]
        words = [owner, str(wanted), str(most), str(int(ttl_s * _MICRO))]
        granted, owners = await self._link.run("hold", lambda: awaited(self._hold(keys=keys, args=words)))
        return Held(int(granted), int(owners))

    async def close(self) -> None:
        """See the port."""
        await self._link.close()

    def _name(self, key: str, limit: Limit) -> str:
        return f"{self._prefix}{key}|{limit.amount}/{limit.window_s}/{limit.capacity}"
