"""Files from the command line."""

import hashlib
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal
from tests.e2e.conftest import ADMIN_TOKEN, Samovar, start_samovar
from tests.support.typed import environment_with

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar that runs."""
    running = start_samovar(tmp_path_factory.mktemp("files"), {})
    yield running
    running.stop()


@pytest.fixture
def far(store: Samovar) -> dict[str, str]:
    """Its key's owner."""
    return {"SAMOVAR_URL": store.url, "SAMOVAR_KEY": store.key}


def laid(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_txt", ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_a_folder_goes_there_and_comes_back(terminal: Terminal, far: dict[str, str]) -> None:
    laid(terminal.folder, photos__one_txt=b"one", photos__deep__two_txt=b"two" * 1000, photos__none_txt=b"")
    made = terminal.type("files", "put", "photos", "--tag", "trip", "--json", settings=far).json()
    assert {one["filename"] for one in made} == {"photos/one.txt", "photos/deep/two.txt", "photos/none.txt"}
    assert {tuple(one["tags"]) for one in made} == {("trip",)}
    back = terminal.folder / "back"
    back.mkdir()
    ids = [one["file_id"] for one in made]
    got = terminal.type("files", "get", *ids, "--output", "back", settings=far)
    assert got.status == 0, got.err
    assert {path.name: path.read_bytes() for path in back.iterdir()} == {
        "one.txt": b"one",
        "two.txt": b"two" * 1000,
        "none.txt": b"",
    }
    assert got.err == ""


def test_files_are_listed_found_verified_and_removed(terminal: Terminal, far: dict[str, str]) -> None:
    laid(terminal.folder, samovar_txt=b"boils", other_txt=b"not there")
    (made,) = terminal.type("files", "put", "samovar.txt", "--tag", "copper", "--json", settings=far).json()
    file_id = made["file_id"]
    assert file_id in terminal.type("files", "ls", settings=far).out
    assert [one["file_id"] for one in terminal.type("files", "search", "samov", "--json", settings=far).json()] == [
        file_id
    ]
    assert terminal.type("files", "search", "--tag", "nobody", "--json", settings=far).json() == []
    assert terminal.type("files", "verify", "samovar.txt", file_id, settings=far).status == 0
    wrong = terminal.type("files", "verify", "samovar.txt", "other.txt", settings=far)
    assert wrong.status == 1
    assert "other.txt: the store has no such file" in wrong.err
    assert file_id in wrong.out
    assert terminal.type("files", "get", file_id, "-o", "-", settings=far).out == "boils"
    assert terminal.type("files", "rm", file_id, settings=far).status == 0
    again = terminal.type("files", "rm", file_id, settings=far)
    assert again.status == 1
    assert file_id in again.err


def test_a_large_file_goes_on_where_it_was_broken_off_both_ways(
    terminal: Terminal, store: Samovar, far: dict[str, str]
) -> None:
    content = os.urandom(8 * MIB) * 8
    (terminal.folder / "large.bin").write_bytes(content)
    uploads = store.data_dir / "files" / "edit" / ".element" / "uploads"
    words = [sys.executable, "-m", "samovar", "files", "put", "large.bin"]
    with subprocess.Popen(words, cwd=terminal.folder, env=environment_with(far)) as putting:
        while not (begun := [one for one in uploads.glob("*.data") if one.stat().st_size >= 8 * MIB]):
            assert putting.poll() is None
            time.sleep(0.002)
        putting.kill()
    (made,) = terminal.type("files", "put", "large.bin", "--json", settings=far).json()
    assert made["file_id"] == begun[0].name.removesuffix(".data")
    assert made["checksum"] == hashlib.sha256(content).hexdigest()
    back = terminal.folder / "back.bin"
    part = terminal.folder / f"back.bin.{made['file_id']}.part"
    # What came is gone on with; what was damaged on the way is fetched anew.
    for there in (content[: 9 * MIB], b"damaged" * 1000):
        part.write_bytes(there)
        assert terminal.type("files", "get", made["file_id"], "-o", "back.bin", settings=far).status == 0
        assert back.read_bytes() == content
        assert not part.exists()
        back.unlink()


def test_without_a_server_the_installation_s_own_files_are_reached(terminal: Terminal) -> None:
    (terminal.folder / "one.bin").write_bytes(b"one" * 3 * MIB)
    made = terminal.type("files", "put", "one.bin", "--retention", "permanent", "--json")
    assert made.status == 0, made.err
    (file,) = made.json()
    assert file["retention"] == "permanent"
    assert terminal.type("files", "verify", "one.bin", file["file_id"]).status == 0


def test_what_cannot_be_done_is_said_of_each_and_the_rest_is_done(terminal: Terminal, far: dict[str, str]) -> None:
    laid(terminal.folder, tea_txt=b"tea")
    (made,) = terminal.type("files", "put", "tea.txt", "--json", settings=far).json()
    unknown = "00000000-0000-7000-8000-000000000000"
    got = terminal.type("files", "get", made["file_id"], unknown, "nonsense", settings=far)
    assert got.status == 1
    # Here is one of that name, with that content.
    assert got.out == "tea.txt\n"
    assert unknown in got.err
    assert "nonsense is no id of a file" in got.err
    assert terminal.type("files", "put", "nowhere", settings=far).status == 1
    assert terminal.type("files", "put", "tea.txt", "--retention", "someday", settings=far).status == 1
    assert terminal.type("files", "ls", "--limit", "0", settings=far).status == 2


def test_whoever_watches_sees_bars(terminal: Terminal, far: dict[str, str]) -> None:
    laid(terminal.folder, tea_txt=b"tea")
    outer, inner = pty.openpty()
    words = [sys.executable, "-m", "samovar", "files", "put", "tea.txt", "--json"]
    environment = {**environment_with(far), "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(words, cwd=terminal.folder, env=environment, stdout=subprocess.PIPE, stderr=inner, timeout=60)
    os.close(inner)
    drawn = os.read(outer, 100_000).decode()
    os.close(outer)
    assert done.returncode == 0
    assert "tea.txt" in drawn
    assert json.loads(done.stdout)[0]["filename"] == "tea.txt"


def test_after_the_database_is_gone_one_command_finds_all_files_again(terminal: Terminal) -> None:
    laid(terminal.folder, one_txt=b"one", two_txt=b"two")
    made = [
        *terminal.type("files", "put", "one.txt", "--tag", "tea", "--json").json(),
        *terminal.type("files", "put", "two.txt", "--retention", "permanent", "--json").json(),
    ]
    for path in (terminal.folder / "data").glob("*.db*"):
        path.unlink()
    assert terminal.type("files", "ls", "--json").json() == []
    # What is behind on an element is found before it is mended, and by its exit status.
    found = terminal.type("files", "check", "--json")
    assert found.status == 1
    assert "edit: 1 things are wrong there" in found.err
    rebuilt = terminal.type("files", "rebuild", "--json")
    assert rebuilt.status == 0, rebuilt.err
    assert [(one["element_id"], one["met"], one["faults"], one["outcomes"]) for one in rebuilt.json()] == [
        (element_id, 1, {"row_missing": 1}, {"mended": 1}) for element_id in ("edit", "rw")
    ]
    assert terminal.type("files", "ls", "--sort", "oldest", "--json").json() == made
    whole = terminal.type("files", "check", "--contents")
    assert (whole.status, whole.err) == (0, "")
    assert re.search(r"edit +1 +nothing", whole.out)


def test_a_check_of_a_server_says_what_is_wrong_where(terminal: Terminal, store: Samovar, far: dict[str, str]) -> None:
    admin = {"SAMOVAR_URL": store.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    (terminal.folder / "cup.bin").write_bytes(b"whole")
    (made,) = terminal.type("files", "put", "cup.bin", "--retention", "permanent", "--json", settings=far).json()
    (content,) = (store.data_dir / "files" / "rw").rglob(f"*{made['file_id']}.bin")
    content.write_bytes(b"whale")
    assert terminal.type("files", "check", "rw", settings=admin).status == 0
    wrong = terminal.type("files", "check", "rw", "--contents", settings=admin)
    assert wrong.status == 1
    assert f"{content.name}: content_differs, reported." in wrong.err
    content.write_bytes(b"whole")
    assert terminal.type("files", "check", "rw", "--contents", settings=admin).status == 0
    assert terminal.type("files", "rebuild", "--full", settings=admin).status == 0
    nowhere = terminal.type("files", "rebuild", "rw", "nowhere", settings=admin)
    assert nowhere.status == 1
    assert "nowhere: There is no storage element" in nowhere.err
    assert "rw" in nowhere.out
    assert terminal.type("files", "rebuild", settings=far).status == 1


def test_cold_files_are_restored_by_one_command(terminal: Terminal, store: Samovar, far: dict[str, str]) -> None:
    admin = {"SAMOVAR_URL": store.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    element = {"id": "cold", "url": (terminal.folder / "cold").as_uri(), "mode": "rw", "priority": 1}
    assert store.request("POST", "/api/storage-elements", element)[0] == 201
    (terminal.folder / "ice.bin").write_bytes(b"ice")
    (made,) = terminal.type("files", "put", "ice.bin", "--retention", "permanent", "--json", settings=far).json()
    assert made["storage_element_id"] == "cold"
    for mode in ("ro", "ar"):
        assert store.request("POST", "/api/storage-elements/cold/mode", {"mode": mode, "confirm": "cold"})[0] == 200
    cold = terminal.type("files", "get", made["file_id"], "-o", "-", settings=far)
    assert f"/api/files/{made['file_id']}/restore" in cold.err
    none = "01a1fdfa-4600-75c2-9970-a99c39661a9c"
    done = terminal.type("files", "restore", made["file_id"], none, "--wait", "30", "--json", settings=far)
    assert done.status == 1
    assert none in done.err
    assert [(one["file_id"], one["is_back"], one["storage_element_id"]) for one in json.loads(done.out)] == [
        (made["file_id"], True, "rw")
    ]
    assert terminal.type("files", "get", made["file_id"], "-o", "-", settings=far).out == "ice"
    again = terminal.type("files", "restore", made["file_id"], settings=admin)
    assert (again.status, again.err.strip()) == (0, "Back: 1 of 1; on their way: 0.")


def test_the_commands_of_the_guide_do_what_it_says(terminal: Terminal, far: dict[str, str]) -> None:
    guide = (Path(__file__).parents[2] / "docs/files.md").read_text("utf-8")
    (block,) = re.findall(r"```sh\n(samovar files put.*?)```", guide, re.DOTALL)
    laid(terminal.folder, **{"report.pdf": os.urandom(100), "photos__one_txt": os.urandom(100)})
    known: dict[str, str] = {}
    for line in block.splitlines():
        words = [known.get(word, word) for word in shlex.split(line, comments=True)]
        done = terminal.type(*words[1:], settings=far)
        assert done.status == 0, (line, done.err)
        if words[2] == "put":
            known["$ID"], known["$OTHER"] = re.findall(r"^[0-9a-f-]{36}", done.out, re.MULTILINE)
        if words[2] == "search":
            assert [one["file_id"] for one in json.loads(done.out)] == [known["$ID"]]
    assert (terminal.folder / "copy.pdf").read_bytes() == (terminal.folder / "report.pdf").read_bytes()
    left = terminal.type("files", "ls", "--json", settings=far).json()
    assert known["$OTHER"] not in {one["file_id"] for one in left}
