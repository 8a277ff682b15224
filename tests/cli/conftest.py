"""Commands as users type them, in a directory of its own: in this process, or as a process of their own."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Samovar, start_samovar
from tests.support import tables_ready
from tests.support.typed import Done, environment_with, typed


@dataclass(frozen=True)
class Terminal:
    """Where commands are typed: its directory holds ``data``."""

    folder: Path

    def begun(self) -> "Terminal":
        """With an installation that has nothing in it but its tables. To make those takes longer than most commands."""
        tables_ready.in_folder(self.folder / "data")
        return self

    def type(self, *words: str, settings: dict[str, str] | None = None, given: str = "") -> Done:
        """Run ``samovar`` with these words, and wait; ``given`` stands on its standard input. It runs in this process: a start
        of Python takes longer than most commands."""
        return typed(words, folder=self.folder, environment=environment_with(settings or {}), given=given)

    def start(self, *words: str, settings: dict[str, str] | None = None, given: str = "") -> Done:
        """As :meth:`type`, as a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "samovar", *words],
            cwd=self.folder,
            env=environment_with(settings or {}),
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
