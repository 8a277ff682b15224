"""Cache, limits and events inside one process. Start-up refuses them where several processes must agree."""

from samovar.adapters.memory.bus import MemoryBus
from samovar.adapters.memory.cache import MemoryCache
from samovar.adapters.memory.limiter import MemoryLimiter

__all__ = ["MemoryBus", "MemoryCache", "MemoryLimiter"]
