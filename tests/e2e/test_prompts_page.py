"""Every command of ``docs/prompts.md`` works as it is printed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ADMIN_TOKEN, Samovar, start_samovar

PAGE = Path(__file__).parents[2] / "docs" / "prompts.md"
# What a reader's shell has; a refusal ends the script.
PREAMBLE = """set -euo pipefail
curl() { command curl --fail-with-body "$@"; }
samovar() { "$PYTHON" -m samovar "$@"; }
"""


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Samovar]:
    """A Samovar that was just started."""
    running = start_samovar(tmp_path, {})
    yield running
    running.stop()


def run(script: str, registry: Samovar, folder: Path) -> str:
    """What bash says of a script for the server that the page calls 127.0.0.1:8080."""
    done = subprocess.run(
        ["bash", "-c", PREAMBLE + script.replace("http://127.0.0.1:8080", registry.url)],
        cwd=folder,
        env={**os.environ, "ADMIN_TOKEN": ADMIN_TOKEN, "PYTHON": sys.executable, "SAMOVAR_URL": registry.url},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_page_s_commands_work_one_after_another(fresh: Samovar, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    first, versions, filled, lists, nonce, files, git = re.findall(
        r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )

    made = _answers(run(first, fresh, folder))
    assert [(one["id"], one["is_default"]) for one in made] == [(1, True)] * 3

    told = _answers(run(versions, fresh, folder))
    assert [one.get("version") for one in told[:2]] == [2, 2]
    assert told[1]["text"].startswith("In at most")
    assert (told[5]["text"], told[5]["revision"]) == (told[0]["text"], 4)
    assert (told[7]["labels"], told[7]["is_default"]) == (["production", "staging"], True)
    assert [one["version"] for one in told[8]["items"]] == [2, 1]

    assert _answers(run(filled, fresh, folder))[0]["text"].startswith("In 50 words at most, poetic: what")
    assert [len(page["items"]) for page in _answers(run(lists, fresh, folder))] == [2, 2, 1]
    assert _answers(run(nonce, fresh, folder))[0]["priority"] == 5

    tried, taken = _answers(run(files, fresh, folder))
    assert (tried["dry_run"], tried["counts"]["unchanged"], taken["counts"]["unchanged"]) == (True, 2, 1)
    assert json.loads((folder / "prompts.json").read_text())["count"] == 2
    assert "text: " in (folder / "prompts.yaml").read_text()

    said = run(git, fresh, folder)
    assert "+In {{words}} words at most, {{style}}: what exactly does the picture show?" in said
    _, newest, _ = fresh.request("GET", "/v1/prompts/3")
    assert (newest["version"], newest["labels"], newest["is_default"]) == (3, ["production", "staging"], True)


def _answers(said: str) -> list[Any]:
    """The JSON values that stand one behind the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(said.rstrip()):
        value, at = decoder.raw_decode(said, at)
        found.append(value)
        at += len(said[at:]) - len(said[at:].lstrip())
    return found
