"""The command as users type it: a process of its own, in a directory of its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Samovar, start_samovar


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed, parsed."""
        assert self.status == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """Where commands are typed: its directory holds ``data``."""

    folder: Path

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        """This process's environment without what would configure a Samovar, and with ``settings``."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("SAMOVAR_") and not re.search(r"_(API_KEY|BASE_URL)$|^ADMIN_TOKEN$", name)
        }
        return {**inherited, "SAMOVAR_PORT": "0", **settings}

    def type(self, *words: str, settings: dict[str, str] | None = None, given: str = "") -> Done:
        """Run ``samovar`` with these words, and wait; ``given`` stands on its standard input."""
        done = subprocess.run(
            [sys.executable, "-m", "samovar", *words],
            cwd=self.folder,
            env=self.environment(settings or {}),
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal in an empty directory."""
    return Terminal(tmp_path)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar that runs, with nothing but its sandbox. Its directory's parent is where its owner's terminal stands."""
    running = start_samovar(tmp_path_factory.mktemp("server"), {})
    yield running
    running.stop()
