"""Several workers behind one port: what a scrape shows is the sum of them, whoever answers it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Samovar, start_samovar

CALLS = 40
CHAT = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Samovar]:
    """Two workers that share a Redis; what they keep beside the data is in ``tmp``. The last test here ends them."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "tmp").mkdir()
    settings = {"SAMOVAR_WORKERS": "2", "SAMOVAR_REDIS_URL": redis_server, "TMPDIR": str(folder / "tmp")}
    running = start_samovar(folder, settings)
    yield running
    running.stop()


def _value(samovar: Samovar, series: str) -> float:
    _, text, _ = samovar.request("GET", "/metrics")
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def _becomes(samovar: Samovar, series: str, value: float) -> bool:
    """Whether it is so soon: a worker hands its counts on every few seconds."""
    deadline = time.monotonic() + 60
    while _value(samovar, series) != value and time.monotonic() < deadline:
        time.sleep(0.2)
    return _value(samovar, series) == value


def test_a_scrape_sums_the_workers_whoever_answers_it(pair: Samovar) -> None:
    assert _becomes(pair, "samovar_workers", 2)
    for _ in range(CALLS):
        status, answer, _ = pair.request(
            "POST", "/v1/chat/completions", CHAT, {"Authorization": f"Bearer {pair.key}", "Connection": "close"}
        )
        assert status == 200, answer
    series = 'http_requests_total{method="POST",route="/v1/chat/completions",status="200"}'
    assert _becomes(pair, series, CALLS)
    model = 'gen_ai_operation_name="chat",gen_ai_provider_name="sandbox",gen_ai_request_model="sandbox/echo"'
    assert _becomes(pair, f'gen_ai_client_operation_duration_seconds_count{{{model},outcome="ok"}}', CALLS)
    assert _value(pair, "process_resident_memory_bytes") > 80e6
    # Scraped again and again, by one worker and by the other, it stays so.
    assert {_value(pair, series) for _ in range(10)} == {CALLS}


def test_a_worker_that_is_gone_takes_its_gauges_with_it(pair: Samovar) -> None:
    children = subprocess.run(
        ["pgrep", "-P", str(pair.process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    # The supervisor starts another in its place, and the dead one is counted no more.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        now = subprocess.run(["pgrep", "-P", str(pair.process.pid)], capture_output=True, text=True, check=True)
        if str(workers[0]) not in now.stdout.split() and len(now.stdout.split()) >= len(children):
            break
        time.sleep(0.2)
    assert _becomes(pair, "samovar_workers", 2)


def test_what_the_workers_counted_is_cleared_away_with_them(pair: Samovar) -> None:
    kept = pair.output.parent / "tmp"
    assert list(kept.glob("samovar-metrics-*/*.db"))
    pair.stop()
    assert not list(kept.glob("samovar-metrics-*"))
