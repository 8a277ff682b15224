"""A Samovar as users run it: its own process, its own data directory, a sandbox process as the vendors."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import tables_ready

ADMIN_TOKEN = "admin-token-of-the-tests"
START_S = 30.0


@dataclass
class Running:
    """A server under test."""

    url: str
    process: subprocess.Popen[str]
    output: Path

    def stop(self) -> int:
        """Ask it to stop, as a service manager does, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@dataclass
class Samovar(Running):
    """One with a key."""

    key: str = ""
    data_dir: Path = Path()

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """A plain HTTP call as the administrator: status, parsed JSON (or text), headers in lower case."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"X-Admin-Token": ADMIN_TOKEN, "Content-Type": "application/json", **(headers or {})}
        call = urllib.request.Request(self.url + path, data, sent, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(call, timeout=30) as answer:  # noqa: S310
                status, raw, found = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                status, raw, found = error.code, error.read(), error.headers
        text = raw.decode("utf-8", "replace")
        is_json = "json" in found.get("content-type", "")
        return status, json.loads(text) if is_json and text else text, {k.lower(): v for k, v in found.items()}


def start_sandbox(folder: Path) -> Running:
    """A sandbox process on a free port."""
    output = folder / "sandbox.out"
    process = start_program(["sandbox", "--port", "0"], output, {})
    url = wait_for(output, process, r"sandbox on (http://\S+)")
    return Running(url, process, output)


def start_samovar(folder: Path, environment: dict[str, str]) -> Samovar:
    """A Samovar process on a free port, ready, with a key."""
    output = folder / "samovar.out"
    data_dir = folder / "data"
    settings = {"SAMOVAR_PORT": "0", "SAMOVAR_DATA_DIR": str(data_dir), "ADMIN_TOKEN": ADMIN_TOKEN, **environment}
    database_url = settings.get("SAMOVAR_DATABASE_URL") or f"sqlite:///{data_dir / 'samovar.db'}"
    if database_url.startswith("sqlite:///"):
        tables_ready.at_path(Path(database_url.removeprefix("sqlite:///")))
    process = start_program(["serve"], output, settings)
    url = wait_for(output, process, r"Samovar on (http://\S+)")
    wait_until_ready(url, process, output)
    samovar = Samovar(url, process, output, data_dir=data_dir)
    status, made, _ = samovar.request("POST", "/api/keys", {"name": "tests"})
    assert status == 201, made
    samovar.key = made["key"]
    return samovar


def start_program(arguments: list[str], output: Path, settings: dict[str, str]) -> subprocess.Popen[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SAMOVAR_") and not re.search(r"_(API_KEY|BASE_URL)$", name)
    }
    # In a folder of its own, so that no .env of the checkout speaks.
    with output.open("w") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "samovar", *arguments],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**inherited, "COLUMNS": "200", **settings},
            cwd=output.parent,
            text=True,
        )


def wait_for(output: Path, process: subprocess.Popen[str], pattern: str) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = re.search(pattern, output.read_text())
        if found:
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.02)
    pytest.fail(f"it did not start:\n{output.read_text()}")


def wait_until_ready(url: str, process: subprocess.Popen[str], output: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"it did not become ready:\n{output.read_text()}")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The vendors of all tests: a sandbox process."""
    running = start_sandbox(tmp_path_factory.mktemp("sandbox"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def samovar(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar whose OpenAI, Anthropic, OpenRouter, xAI and BigModel are the sandbox."""
    vendors = {
        "OPENAI_API_KEY": "sk-vendor-openai",
        "OPENAI_BASE_URL": f"{sandbox.url}/v1",
        "ANTHROPIC_API_KEY": "sk-vendor-anthropic",
        "ANTHROPIC_BASE_URL": sandbox.url,
        "OPENROUTER_API_KEY": "sk-vendor-openrouter",
        "OPENROUTER_BASE_URL": f"{sandbox.url}/openrouter/v1",
        "XAI_API_KEY": "xai-vendor-key",
        "XAI_BASE_URL": f"{sandbox.url}/xai/v1",
        "BIGMODEL_API_KEY": "sk-vendor-bigmodel",
        "BIGMODEL_BASE_URL": f"{sandbox.url}/bigmodel/api/paas/v4",
        "GEMINI_API_KEY": "vendor-gemini",
        "GEMINI_BASE_URL": f"{sandbox.url}/v1beta",
        "DEEPSEEK_API_KEY": "sk-vendor-deepseek",
        "DEEPSEEK_BASE_URL": f"{sandbox.url}/deepseek/v1",
        "SAMOVAR_SANDBOX": "on",
    }
    running = start_samovar(tmp_path_factory.mktemp("samovar"), vendors)
    yield running
    # Uvicorn ends in good order and then dies of the signal it was sent, as shells expect.
    assert running.stop() in (0, -signal.SIGTERM), running.output.read_text()


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar as it first starts: nothing configured but the port."""
    running = start_samovar(tmp_path_factory.mktemp("bare"), {})
    yield running
    running.stop()
