"""Two installations on one Redis database."""

import os
from pathlib import Path

import pytest

from samovar.adapters.system import SystemClock
from samovar.app import adapters
from samovar.app.settings import Settings
from samovar.ports.limits import parse_limits


def _shared(redis_server: str, prefix: str, folder: Path) -> adapters.Shared:
    settings = Settings(redis_url=redis_server, redis_prefix=prefix, data_dir=folder, _env_file=None)  # type: ignore[call-arg]
    return adapters.shared(settings, clock=SystemClock(), observe=lambda operation, outcome: None)


async def test_installations_of_different_prefixes_share_nothing(redis_server: str, tmp_path: Path) -> None:
    one, other = (f"test-{os.urandom(6).hex()}" for _ in range(2))
    first, twin, stranger = (_shared(redis_server, prefix, tmp_path) for prefix in (one, one, other))
    (limit,) = parse_limits("1/minute")
    try:
        await first.cache.put("answer", b"mine", ttl_s=5)
        assert await twin.cache.get("answer") == b"mine"
        assert await stranger.cache.get("answer") is None
        assert (await first.limiter.hit("k", limit)).allowed
        assert not (await twin.limiter.hit("k", limit)).allowed
        assert (await stranger.limiter.hit("k", limit)).allowed
    finally:
        for shared in (first, stranger):
            await shared.cache.drop_prefix("")
        for shared in (first, twin, stranger):
            if shared.close is not None:
                await shared.close()


@pytest.mark.parametrize("prefix", ["", "a:b", "a b", "x" * 65])
def test_a_prefix_is_one_plain_word(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="redis_prefix"):
        Settings(redis_prefix=prefix, data_dir=tmp_path, _env_file=None)  # type: ignore[call-arg]
