"""What a key's owner wants remembered of its answers, as data."""

from typing import Final

import msgspec

DEFAULT_CACHE_TTL_S: Final = 3_600
MAX_CACHE_TTL_S: Final = 7 * 86_400


class KeyCache(msgspec.Struct, frozen=True, kw_only=True):
    """``ttl_s`` is how long an answer is remembered; with ``own`` the key shares it with none of its team."""

    ttl_s: int = DEFAULT_CACHE_TTL_S
    own: bool = False
