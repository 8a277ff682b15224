"""The commands a newcomer types are there, and say what they do."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DAILY = {
    "run", "dev", "test", "check", "lint", "format", "install-dev", "bench", "soak", "chaos", "db-migrate", "openapi",
    "clean", "help",
}  # fmt: skip


def make(folder: Path, *words: str) -> str:
    """What make prints, as if it were called by nobody else's make."""
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", *words], cwd=folder, env=alone, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_make_alone_lists_every_daily_command() -> None:
    listed = dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", make(ROOT), re.MULTILINE))
    assert set(listed) == DAILY


def test_a_command_that_is_set_up_already_does_no_setup(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for name in (".uv/bin/uv", ".venv/.with-dev"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert "Setting up" not in make(tmp_path, "install-dev")
    os.utime(tmp_path / ".venv" / ".with-dev", (0, 0))
    assert "sync --frozen" in make(tmp_path, "-n", "install-dev")


def test_the_ci_script_is_sound_and_may_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=60)
