"""What the log says while the database is away: that it is, and when it is back, and not the same again and again."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.e2e.apart import until
from tests.e2e.conftest import Samovar, start_samovar
from tests.support.sockets import Wire

AWAY_S = 10.0
"""Longer than everything that looks every few seconds."""


@pytest.fixture
def wire(empty_postgres_url: str) -> Iterator[Wire]:
    """What stands between Samovar and its database."""
    place = urlsplit(empty_postgres_url)
    made = Wire((place.hostname or "", place.port or 5432))
    Thread(target=made.serve, daemon=True).start()
    yield made
    made.close()


def lines(running: Samovar) -> list[dict[str, str]]:
    """What it has logged."""
    found = [line for line in running.output.read_text().splitlines() if line.startswith("{")]
    return [json.loads(line) for line in found]


def test_a_database_that_is_away_is_told_once_by_each_who_misses_it(
    tmp_path: Path, wire: Wire, empty_postgres_url: str
) -> None:
    place = urlsplit(empty_postgres_url)
    url = place._replace(netloc=f"{place.username}@127.0.0.1:{wire.port}").geturl()
    running = start_samovar(tmp_path, {"SAMOVAR_DATABASE_URL": url, "SAMOVAR_LOG_FORMAT": "json"})
    try:
        key = {"Authorization": f"Bearer {running.key}"}
        call = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}
        assert running.request("POST", "/v1/chat/completions", call, key)[0] == 200
        before = len(lines(running))
        wire.cut()
        ends = time.monotonic() + AWAY_S
        while time.monotonic() < ends:
            running.request("POST", "/v1/chat/completions", call, key)
            time.sleep(0.5)
        away = [one for one in lines(running)[before:] if one["event"] != "request"]
        wire.mend()
        until(lambda: running.request("GET", "/ready")[0] == 200)
    finally:
        running.stop()
    assert away
    assert [one for one in away if "exception" in one] == []
    told = Counter(one["event"] for one in away)
    assert {event: count for event, count in told.items() if count > 1} == {}
