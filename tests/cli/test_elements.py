"""A storage element that was begun does not begin again in a folder that is not it: what its disk was mounted over, say."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal
from tests.e2e.apart import until
from tests.e2e.conftest import start_samovar
from tests.e2e.storing import ADMIN, ask, upload


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    """One where an installation is whose elements were never begun."""
    return terminal.begun()


def folder_of(terminal: Terminal, element_id: str = "edit") -> Path:
    return terminal.folder / "data" / "files" / element_id


def unmounted(terminal: Terminal, element_id: str = "edit") -> Path:
    """The element's disk is taken away. An empty folder stays, as a mount leaves it."""
    folder, disk = folder_of(terminal, element_id), terminal.folder / f"disk-of-{element_id}"
    folder.rename(disk)
    folder.mkdir()
    return disk


def mounted(terminal: Terminal, disk: Path, element_id: str = "edit") -> None:
    """And is back."""
    folder_of(terminal, element_id).rmdir()
    disk.rename(folder_of(terminal, element_id))


def put(terminal: Terminal, name: str) -> str:
    (terminal.folder / name).write_text(name)
    (made,) = terminal.type("files", "put", name, "--json").json()
    file_id: str = made["file_id"]
    return file_id


def doctor(terminal: Terminal) -> tuple[str, str, str]:
    found = json.loads(terminal.type("doctor", "--json").out)
    [one] = [one for one in found if one["check"] == "storage elements"]
    return one["level"], one["message"], one["remedy"]


def test_it_waits_for_its_disk_and_the_doctor_says_so(terminal: Terminal) -> None:
    made = put(terminal, "tea")
    assert doctor(terminal)[0] == "ok"
    disk = unmounted(terminal)
    refused = terminal.type("files", "put", "tea")
    assert refused.status == 1
    assert [*folder_of(terminal).iterdir()] == []
    level, message, remedy = doctor(terminal)
    assert (level, str(folder_of(terminal)) in message) == ("fail", True)
    assert "samovar files begin edit" in remedy
    mounted(terminal, disk)
    assert doctor(terminal)[0] == "ok"
    assert terminal.type("files", "get", made, "-o", "-").out == "tea"


def test_it_is_begun_anew_where_somebody_says_so(terminal: Terminal) -> None:
    # Before anything is there it is begun as by a first start.
    assert terminal.type("files", "begin", "edit").status == 0
    gone = put(terminal, "tea")
    shutil.rmtree(unmounted(terminal))
    begun = terminal.type("files", "begin", "edit")
    assert (begun.status, str(folder_of(terminal)) in begun.err) == (0, True)
    assert doctor(terminal)[0] == "ok"
    again = put(terminal, "tea")
    assert terminal.type("files", "get", again, "-o", "-").out == "tea"
    assert terminal.type("files", "get", gone, "-o", "-").status == 1
    assert "storage-element:begin" in terminal.type("audit", "tail").out
    for words, why in ((("begin", "edit"), "begun in"), (("begin", "nowhere"), "there is no storage element")):
        refused = terminal.type("files", *words)
        assert (refused.status, why in refused.err) == (1, True), refused.err


def test_a_new_database_takes_old_files_and_may_begin_what_was_never_begun(terminal: Terminal) -> None:
    made = put(terminal, "tea")
    for path in (terminal.folder / "data").glob("samovar.db*"):
        path.unlink()
    shutil.rmtree(folder_of(terminal, "rw"))
    assert terminal.type("files", "rebuild").status == 0
    assert terminal.type("files", "get", made, "-o", "-").out == "tea"
    assert (folder_of(terminal, "rw") / ".element" / "element.json").exists()


def test_a_restored_installation_begins_where_it_stands_now(terminal: Terminal) -> None:
    put(terminal, "tea")
    terminal.type("backup", "create", "--output", "one.tar")
    other = Terminal(terminal.folder / "other")
    (other.folder / "data").mkdir(parents=True)
    shutil.copy(terminal.folder / "data" / "master.key", other.folder / "data")
    assert other.type("backup", "restore", "../one.tar").status == 0
    again = put(other, "coffee")
    assert other.type("files", "get", again, "-o", "-").out == "coffee"


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_a_server_without_its_disk_says_so_and_serves_when_it_is_back(
    terminal: Terminal, workers: int, redis_server: str
) -> None:
    settings = {"SAMOVAR_WORKERS": str(workers), "SAMOVAR_REDIS_URL": redis_server if workers > 1 else ""}
    made = put(terminal, "tea")
    disk = unmounted(terminal)
    running = start_samovar(terminal.folder, settings)
    try:
        asked = ask(running, "GET", f"/api/files/{made}/content", **ADMIN)
        assert (asked.status, "retry-after" in asked.headers) == (503, True)
        # The other element serves.
        assert upload(running, query="?retention=permanent").status == 201
        assert [*folder_of(terminal).iterdir()] == []
        mounted(terminal, disk)
        until(lambda: ask(running, "GET", f"/api/files/{made}/content", **ADMIN).body == b"tea")
    finally:
        running.stop()
    said = running.output.read_text()
    assert said.count("has no mark of it (.element/element.json): is its disk mounted?") == 1
    assert "samovar files begin edit" in said
