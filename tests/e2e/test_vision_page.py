"""Every command of docs/vision.md does what the page says."""

import json
import re
import subprocess
from pathlib import Path

import pytest

import samovar.app.application  # noqa: F401  # so that every error there is is known
from samovar.kernel.errors import SamovarError
from tests.e2e.conftest import ADMIN_TOKEN, Samovar
from tests.e2e.pictures import chunks_of, picture

PAGE = Path(__file__).parents[2] / "docs" / "vision.md"
COMMANDS = [block for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)]


def test_the_page_has_the_commands_that_are_run_here() -> None:
    assert len(COMMANDS) == 5


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_answered(samovar: Samovar, command: str, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(picture(kind="JPEG"))
    secrets = f"export KEY={samovar.key} ADMIN_TOKEN={ADMIN_TOKEN}\n"
    script = secrets + command.replace("http://127.0.0.1:8080", samovar.url).replace(
        "curl -s", "curl --fail-with-body -s"
    )
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "/stream" in command:
        assert chunks_of(done.stdout)[-1]["samovar"]["cost_credits"]
    elif "/analyze" in command:
        said = json.loads(done.stdout)
        assert "pixels" in said["text"]
        assert {"id", "model", "provider", "text", "usage", "cost_credits", "finish_reason", "cleanup_applied"} == set(
            said
        )
    else:
        said = re.findall(r'"source":"(\w+)"', done.stdout)
        assert said == ["default", "database", "default"]


def test_the_codes_of_the_page_are_codes_that_there_are() -> None:
    known: set[str] = set()
    waiting: list[type[SamovarError]] = [SamovarError]
    while waiting:
        one = waiting.pop()
        known.add(one.code)
        waiting += one.__subclasses__()
    named = set(re.findall(r"`(\w+)`", PAGE.read_text().split("## When it fails")[1])) - {"code", "detail", "errors"}
    assert len(named) > 10
    assert named <= known, named - known
