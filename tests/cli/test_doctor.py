"""The doctor finds a planted fault of each kind, and leaves a healthy installation alone."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from tests.cli.conftest import Terminal
from tests.support.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedS3
from tests.support.sockets import closed_port


def findings(terminal: Terminal, settings: dict[str, str]) -> tuple[int, dict[str, list[Any]]]:
    """The exit status, and each check with its level, message and remedy."""
    done = terminal.type("doctor", "--json", settings=settings)
    return done.status, {one["check"]: [one["level"], one["message"], one["remedy"]] for one in json.loads(done.out)}


def listing(folder: Path) -> list[tuple[str, int]]:
    """All files below, with their sizes."""
    return sorted((str(path), path.stat().st_size) for path in folder.rglob("*"))


@contextmanager
def stranger() -> Iterator[int]:
    """The port of a server that is no Samovar: it hangs up on whoever calls."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            caller, _ = listening.accept()
            caller.close()

        thread = Thread(target=hang_up)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def test_an_empty_place_is_well_and_stays_empty(terminal: Terminal) -> None:
    status, found = findings(terminal, {})
    assert status == 0, found
    assert "nothing leaves this machine" in found["providers"][1]
    assert listing(terminal.folder) == []


def test_a_healthy_installation_is_well_and_shown_line_by_line(terminal: Terminal) -> None:
    assert terminal.type("keys", "list").status == 0
    done = terminal.start("doctor")
    assert done.status == 0, done.out
    for line in ("ok   python", "ok   master key", "ok   database", "ok   secrets", "ok   clock", ", 0 wrong"):
        assert line in done.out


def test_wrong_settings_are_findings_too(terminal: Terminal) -> None:
    status, found = findings(terminal, {"SAMOVAR_PORT": "http"})
    assert status == 1
    assert found["settings"][0] == "fail"
    assert "SAMOVAR_PORT" in found["settings"][1]


def test_a_master_key_that_others_can_read_is_found(terminal: Terminal) -> None:
    terminal.type("keys", "list")
    (terminal.folder / "data" / "master.key").chmod(0o644)
    status, found = findings(terminal, {})
    assert (status, found["master key"][0]) == (1, "fail")
    assert "chmod 600" in found["master key"][2]


def test_a_master_key_of_another_installation_is_found(terminal: Terminal) -> None:
    terminal.type("keys", "list")
    status, found = findings(terminal, {"SAMOVAR_MASTER_KEY": "ab" * 32})
    assert (status, found["master key"][0]) == (1, "fail")
    assert "not the one that this database was installed with" in found["master key"][1]


def test_a_data_directory_that_cannot_be_written_is_found(terminal: Terminal) -> None:
    # Nobody can write there, not even root.
    status, found = findings(terminal, {"SAMOVAR_DATA_DIR": f"/proc/{os.getpid()}/task"})
    assert (status, found["data directory"][0]) == (1, "fail")
    assert "SAMOVAR_DATA_DIR" in found["data directory"][2]


def test_faults_of_the_network_are_found_all_at_once(terminal: Terminal) -> None:
    closed = closed_port()
    with stranger() as port:
        settings = {
            "SAMOVAR_REDIS_URL": f"redis://127.0.0.1:{closed}/0",
            "SAMOVAR_PORT": str(port),
            "OPENAI_API_KEY": "sk-unused",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{closed}/v1",
            "XAI_BASE_URL": f"http://127.0.0.1:{closed}/v1",
        }
        status, found = findings(terminal, settings)
    assert status == 1
    assert found["redis"][0] == "fail"
    assert "SAMOVAR_REDIS_URL" in found["redis"][2]
    assert found["port"][0] == "fail"
    assert "something else listens" in found["port"][1]
    assert found["provider openai"][0] == "fail"
    assert "no connection" in found["provider openai"][1]
    assert found["provider xai"] == ["fail", "has no key", "Set XAI_API_KEY, or add it with `samovar providers add`."]


def test_a_database_that_is_not_migrated_is_found(terminal: Terminal) -> None:
    (terminal.folder / "data").mkdir()
    (terminal.folder / "data" / "samovar.db").touch()
    assert findings(terminal, {})[1]["database"][0] == "ok"
    status, found = findings(terminal, {"SAMOVAR_AUTO_MIGRATE": "false"})
    assert (status, found["database"][0]) == (1, "fail")
    assert found["database"][2] == "Run: samovar migrate"


def test_a_file_that_is_no_database_is_found(terminal: Terminal) -> None:
    (terminal.folder / "data").mkdir()
    (terminal.folder / "data" / "samovar.db").write_text("not a database at all, but long enough to look like one" * 50)
    status, found = findings(terminal, {})
    assert (status, found["database"][0]) == (1, "fail")


def test_more_workers_than_cores_are_remarked(terminal: Terminal) -> None:
    many = str(len(os.sched_getaffinity(0)) + 1)
    status, found = findings(terminal, {"SAMOVAR_WORKERS": many, "SAMOVAR_REDIS_URL": "redis://127.0.0.1:9"})
    assert found["roles, workers"][0] == "warn"
    assert status == 1


def test_workers_that_would_share_a_folder_are_remarked(terminal: Terminal) -> None:
    two = {"SAMOVAR_WORKERS": "2", "SAMOVAR_REDIS_URL": "redis://127.0.0.1:9"}
    assert findings(terminal, two)[1]["files, workers"][0] == "ok"
    assert "files, workers" not in findings(terminal, {**two, "SAMOVAR_BLOB_URL": "s3://bucket/files"})[1]
    assert "files, workers" not in findings(terminal, {})[1]


def test_the_bucket_of_audit_copies_is_asked_and_nothing_written(terminal: Terminal, seaweed: SeaweedS3) -> None:
    own = {
        "SAMOVAR_AUDIT_COPY_URL": f"s3://{BUCKET}/doctor",
        "SAMOVAR_AUDIT_COPY_ENDPOINT": seaweed.access.endpoint,
        "SAMOVAR_AUDIT_COPY_REGION": seaweed.access.region,
        "SAMOVAR_AUDIT_COPY_ACCESS_KEY_ID": ACCESS_KEY,
        "SAMOVAR_AUDIT_COPY_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    assert findings(terminal, own)[1]["audit copies"][:2] == ["ok", f"s3://{BUCKET}/doctor answers"]
    wrong = findings(terminal, {**own, "SAMOVAR_AUDIT_COPY_SECRET_ACCESS_KEY": "another"})
    assert (wrong[0], wrong[1]["audit copies"][0]) == (1, "fail")
    away = findings(terminal, {**own, "SAMOVAR_AUDIT_COPY_ENDPOINT": f"http://127.0.0.1:{closed_port()}"})
    assert (away[0], away[1]["audit copies"][0]) == (1, "fail")
    shared = {"SAMOVAR_BACKUP_ACCESS_KEY_ID": ACCESS_KEY, "SAMOVAR_BACKUP_SECRET_ACCESS_KEY": SECRET_KEY}
    told = findings(terminal, {**own, **shared})
    assert (told[0], told[1]["audit copies"][0]) == (0, "warn")
    assert "also deletes old backups" in told[1]["audit copies"][1]
    assert findings(terminal, {})[1]["audit copies"][0] == "ok"
