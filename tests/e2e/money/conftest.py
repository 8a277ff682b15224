"""Samovars whose vendors are a sandbox that remembers all that reached it."""

import asyncio
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.conftest import Running, Samovar, start_samovar, wait_for
from tests.support import tables_ready
from tests.support.own_redis import OwnRedis
from tests.support.servers import POSTGRES_URL, missing, on_postgres

ROOT = Path(__file__).parents[3]


class Witness(Running):
    """A sandbox with a long memory."""

    def seen(self) -> dict[str, Any]:
        """Call id to what the vendor knows of it, for the vendors that are sent one."""
        with urllib.request.urlopen(f"{self.url}/sandbox/requests", timeout=60) as answer:  # noqa: S310
            requests = msgspec.json.decode(answer.read())["requests"]
        found: dict[str, Any] = {}
        for request in requests:
            call_id = request["headers"].get("idempotency-key")
            if call_id is not None:
                found[call_id] = request
        return found

    def vendors(self) -> dict[str, str]:
        """The environment of a Samovar whose vendors this is."""
        return {
            "OPENAI_API_KEY": "sk-vendor-openai",
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "ANTHROPIC_API_KEY": "sk-vendor-anthropic",
            "ANTHROPIC_BASE_URL": self.url,
            "GEMINI_API_KEY": "vendor-gemini",
            "GEMINI_BASE_URL": f"{self.url}/v1beta",
            "SAMOVAR_LEASE_IDLE_S": "1",
        }


@pytest.fixture(scope="session")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """The vendors."""
    output = tmp_path_factory.mktemp("witness") / "out"
    with output.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.witness"],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            text=True,
        )
    yield Witness(wait_for(output, process, r"sandbox on (http://\S+)"), process, output)
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="session")
def shop(witness: Witness, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """One Samovar for the tests that break nothing. Unused leases go back within seconds."""
    running = start_samovar(tmp_path_factory.mktemp("shop"), witness.vendors())
    yield running
    running.stop()


@contextmanager
def new_postgres() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped afterwards."""
    name = f"samovar_money_{os.getpid()}_{os.urandom(4).hex()}"
    try:
        tables_ready.on_server(name)
    except OSError as error:
        missing("PostgreSQL", error)
    yield f"{POSTGRES_URL}/{name}"
    on_postgres(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def own_postgres() -> Iterator[str]:
    """A PostgreSQL database of the test's own, empty."""
    with new_postgres() as url:
        yield url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis of the test's own, which runs."""
    redis = OwnRedis(tmp_path)
    redis.start()
    yield redis
    redis.stop()


def end(samovar: Samovar) -> None:
    """Stop what may be stopped already."""
    with suppress(subprocess.TimeoutExpired):
        samovar.stop()
    samovar.process.kill()


async def started(folder: Path, environment: dict[str, str]) -> Samovar:
    """Start a Samovar while the loop goes on."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    return await asyncio.to_thread(start_samovar, folder, environment)


def first_number(pattern: str, text: str) -> float:
    """The first group of the first match."""
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1])
