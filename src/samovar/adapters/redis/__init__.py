"""Cache, limits and events shared by many processes, over one Redis. It holds only what may be lost.

A slow Redis hurts more than a dead one, so every operation has a short deadline and a breaker stands before them all:
what cannot be had in time raises ``Unavailable``, at once while the breaker is open.
"""

from samovar.adapters.redis.bus import RedisBus
from samovar.adapters.redis.cache import RedisCache
from samovar.adapters.redis.limiter import RedisLimiter
from samovar.adapters.redis.link import RedisLink

__all__ = ["RedisBus", "RedisCache", "RedisLimiter", "RedisLink"]
