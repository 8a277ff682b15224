"""The first start, later ones, and starts that cannot be."""

import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal
from tests.e2e.conftest import start_program, wait_for, wait_until_ready


def first_output(folder: Path) -> tuple[str, str]:
    """Start without any setting but the port; what the first curl line answers, and all that was printed until then."""
    output = folder / "samovar.out"
    process = start_program(["serve"], output, {"SAMOVAR_PORT": "0"})
    try:
        wait_until_ready(wait_for(output, process, r"Samovar on (http://\S+)"), process, output)
        text = output.read_text()
        line = re.search(r"^ *(curl .*)$", text, re.MULTILINE)
        # In a shell, as a newcomer pastes it.
        answer = (
            subprocess.run(["bash", "-c", line[1]], capture_output=True, text=True, timeout=30).stdout if line else ""
        )
        return answer, text
    finally:
        process.terminate()
        process.wait(30)


def test_the_first_start_shows_its_secrets_once_and_a_curl_line_that_works(tmp_path: Path) -> None:
    answer, shown = first_output(tmp_path)
    assert "Hello, Samovar!" in answer
    secrets = [re.search(r"admin token +(\S{30,})", shown), re.search(r"first key +(sk-samovar-\S{43})", shown)]
    assert all(secrets)
    _, later = first_output(tmp_path)
    assert "Samovar on http://" in later
    assert "admin token" not in later
    assert "sk-samovar-" not in later
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert not any(found[1].encode() in kept for found in secrets if found)


def test_a_port_in_use_is_named_with_the_way_out(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = terminal.type("serve", settings={"SAMOVAR_PORT": str(port)})
    assert done.status == 1
    assert f"127.0.0.1:{port} cannot be listened on" in done.err
    assert "SAMOVAR_PORT" in done.err


@pytest.mark.parametrize("words", [("serve",), ("keys", "list")], ids=["serve", "keys"])
def test_a_wrong_master_key_is_refused_plainly(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.type("keys", "list").status == 0
    done = terminal.type(*words, settings={"SAMOVAR_MASTER_KEY": "ab" * 32})
    assert done.status == 1
    assert "The master key is not the one that this database was installed with" in done.err


def test_a_data_directory_that_cannot_be_made_is_named(terminal: Terminal) -> None:
    (terminal.folder / "file").touch()
    done = terminal.type("serve", settings={"SAMOVAR_DATA_DIR": "file/data"})
    assert done.status == 2
    assert "SAMOVAR_DATA_DIR: file/data cannot be made" in done.err
