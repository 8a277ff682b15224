"""Prompts in two processes that share a database and a Redis."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.conftest import Samovar, start_samovar

READS = 40
NEWS_S = 2.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Samovar]:
    """Two workers, alone in their Redis."""
    settings = {
        "SAMOVAR_WORKERS": "2",
        "SAMOVAR_REDIS_URL": redis_server,
        "SAMOVAR_REDIS_PREFIX": f"prompts-{os.urandom(6).hex()}",
    }
    running = start_samovar(tmp_path_factory.mktemp("pair"), settings)
    yield running
    running.stop()


def _many(work: Any, count: int) -> list[Any]:
    """At once, each on a connection of its own: the kernel gives them to either worker."""
    with ThreadPoolExecutor(8) as pool:
        return [*pool.map(lambda _: work(), range(count))]


def test_a_write_is_seen_by_every_worker_and_the_limit_and_nonces_are_shared(pair: Samovar) -> None:
    body = {"namespace": "default", "name": "p", "text": "old", "make_default": True}
    status, made, _ = pair.request("POST", "/v1/prompts", body)
    assert status == 201
    path = f"/v1/prompts/{made['id']}"
    hits = Counter(headers["x-cache"] for _, _, headers in _many(lambda: pair.request("GET", path), READS))
    assert hits["HIT"] >= READS - 16
    assert pair.request("PUT", path, {"text": "new"})[0] == 200
    deadline = time.monotonic() + NEWS_S
    while True:
        seen = {told["text"] for _, told, _ in _many(lambda: pair.request("GET", path), READS)}
        if seen == {"new"} or time.monotonic() > deadline:
            break
    assert seen == {"new"}
    nonce = {"X-Nonce": "once", "X-Timestamp": str(int(time.time()))}
    rivals = Counter(status for status, _, _ in _many(lambda: pair.request("PUT", path, {"priority": 1}, nonce), 8))
    assert rivals == {200: 1, 409: 7}
    rest = Counter(status for status, _, _ in _many(lambda: pair.request("PUT", path, {"priority": 2}), 25))
    # Ten writes were made of twenty; some come back while these run.
    assert 10 <= rest[200] <= 20
    assert rest[429] == 25 - rest[200]
