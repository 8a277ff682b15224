"""Backups on the command line."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal
from tests.support.typed import environment_with


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of an installation that has a wallet, to be copied."""
    terminal = Terminal(tmp_path_factory.mktemp("installed"))
    terminal.type("wallets", "create", "lab", "--credits", "12.5")
    return terminal.folder / "data"


@pytest.fixture
def full(installed: Path, terminal: Terminal) -> Terminal:
    """A terminal whose installation has a wallet."""
    shutil.copytree(installed, terminal.folder / "data")
    return terminal


def beside(terminal: Terminal, name: str, *, with_key: bool = True) -> Terminal:
    """Another, empty installation, which may have the same master key."""
    folder = terminal.folder / name
    (folder / "data").mkdir(parents=True)
    if with_key:
        (folder / "data" / "master.key").write_bytes((terminal.folder / "data" / "master.key").read_bytes())
        (folder / "data" / "master.key").chmod(0o600)
    return Terminal(folder)


def wallets(terminal: Terminal) -> list[str]:
    return [one["name"] for one in terminal.type("wallets", "list", "--json").json()]


def test_a_backup_is_made_listed_verified_and_restored(full: Terminal) -> None:
    name = full.type("backup", "create").out.strip()
    assert [one["name"] for one in full.type("backup", "list", "--json").json()] == [name]
    assert "is whole" in full.type("backup", "verify", name).err
    verdict = full.type("backup", "verify", name, "--json").json()
    assert (verdict["good"], verdict["rows"]["wallets"]) == (True, 1)
    other = beside(full, "other")
    done = other.type("backup", "restore", str(full.folder / "data" / "backups" / name))
    assert done.status == 0, done.err
    assert wallets(other) == ["lab"]
    again = other.type("backup", "restore", str(full.folder / "data" / "backups" / name))
    assert again.status == 1
    assert "--replace" in again.err


def test_a_damaged_backup_is_told_and_not_restored(full: Terminal) -> None:
    full.type("backup", "create", "--output", "one.tar")
    content = bytearray((full.folder / "one.tar").read_bytes())
    content[len(content) // 2] ^= 4
    (full.folder / "one.tar").write_bytes(content)
    verdict = full.type("backup", "verify", "one.tar")
    assert verdict.status == 1
    assert verdict.out
    other = beside(full, "other")
    assert other.type("backup", "restore", "../one.tar").status == 1
    assert other.type("backup", "verify", "nowhere.tar").status == 1


def test_a_backup_goes_through_pipes_and_under_a_passphrase(full: Terminal) -> None:
    (full.folder / "phrase").write_text("correct horse battery\n")
    words = [sys.executable, "-m", "samovar", "backup", "create", "-o", "-", "--passphrase-file", "phrase"]
    made = subprocess.run(words, cwd=full.folder, env=environment_with({}), capture_output=True, timeout=60)
    assert made.stdout.startswith(b"age-encryption.org/v1\n-> scrypt ")
    sealed = full.folder / "sealed"
    sealed.write_bytes(made.stdout)
    assert "encrypted with age" in full.type("backup", "verify", "sealed").err
    assert full.type("backup", "verify", "sealed", "--passphrase-file", "phrase").status == 0
    other = beside(full, "other")
    assert other.type("backup", "restore", "../sealed", "--passphrase-file", "../phrase").status == 0
    assert wallets(other) == ["lab"]


def test_what_is_no_file_is_not_written_over(full: Terminal) -> None:
    os.mkfifo(full.folder / "pipe")
    refused = full.type("backup", "create", "--output", "pipe")
    assert refused.status == 1
    assert "-o -" in refused.err
    assert (full.folder / "pipe").is_fifo()


def test_the_recovery_phrase_brings_the_master_key_back(full: Terminal) -> None:
    before = full.type("backup", "create", "-o", "before.tar")
    assert before.status == 0
    phrase = full.type("backup", "recovery").out.strip()
    full.type("backup", "create", "-o", "after.tar")
    other = beside(full, "other", with_key=False)
    lost = other.type("backup", "restore", "../after.tar")
    assert lost.status == 1
    assert "no master key" in lost.err
    assert not (other.folder / "data" / "master.key").exists()
    (other.folder / "phrase").write_text(phrase.upper())
    none = other.type("backup", "master-key", "../before.tar", "--phrase-file", "phrase")
    assert "holds no copy" in none.err
    (other.folder / "wrong").write_text("0000-0000-0000-0000-0000-0000-0000")
    assert other.type("backup", "master-key", "../after.tar", "--phrase-file", "wrong").status == 1
    assert other.type("backup", "master-key", "../after.tar", "--phrase-file", "phrase").status == 0
    key = (other.folder / "data" / "master.key").read_bytes()
    assert key == (full.folder / "data" / "master.key").read_bytes()
    assert other.type("backup", "restore", "../after.tar").status == 0
    assert wallets(other) == ["lab"]
    assert other.type("backup", "master-key", "../after.tar", "--phrase-file", "phrase").status == 1


def test_another_master_key_is_refused(full: Terminal) -> None:
    full.type("backup", "create", "-o", "one.tar")
    other = beside(full, "other", with_key=False)
    other.type("wallets", "list")
    refused = other.type("backup", "restore", "--replace", "../one.tar")
    assert refused.status == 1
    assert "another master key" in refused.err


def holds_the_lock(database: Path) -> bool:
    """Whether somebody writes to it now."""
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return "locked" in str(error)
        connection.execute("ROLLBACK")
        return False


def test_a_restore_that_is_killed_leaves_what_was_there(full: Terminal) -> None:
    full.type("backup", "create", "-o", "one.tar")
    full.type("wallets", "create", "later")
    words = [sys.executable, "-m", "samovar", "backup", "restore", "--replace", "-"]
    content = (full.folder / "one.tar").read_bytes()
    with subprocess.Popen(words, cwd=full.folder, env=environment_with({}), stdin=subprocess.PIPE) as restoring:
        assert restoring.stdin is not None
        # All but the end: it fills the tables, and waits for the proof.
        restoring.stdin.write(content[:-2048])
        restoring.stdin.flush()
        deadline = time.monotonic() + 60
        while not holds_the_lock(full.folder / "data" / "samovar.db"):
            assert restoring.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        restoring.kill()
    assert sorted(wallets(full)) == ["lab", "later"]


def test_settings_that_cannot_be_are_told_each_with_what_is_wrong(terminal: Terminal) -> None:
    wrong = [
        ("SAMOVAR_BACKUP_URL", "ftp://somewhere", "s3://bucket/prefix"),
        ("SAMOVAR_BACKUP_SCHEDULE", "every day", "no schedule"),
        ("SAMOVAR_BACKUP_AGE_RECIPIENTS", "age1nobody", "age1"),
        ("SAMOVAR_BACKUP_KEEP_DAYS", "0", "greater than"),
        ("SAMOVAR_BACKUP_ENDPOINT", "somewhere", "http"),
    ]
    done = terminal.type("backup", "list", settings={name: value for name, value, _ in wrong})
    assert done.status == 2
    told = [line for line in done.err.splitlines() if "SAMOVAR_BACKUP_" in line]
    for name, _, words in wrong:
        assert any(name in line and words in line for line in told), name


def test_backups_go_where_the_settings_say(full: Terminal) -> None:
    settings = {"SAMOVAR_BACKUP_URL": (full.folder / "elsewhere").as_uri()}
    made = full.type("backup", "create", "--json", settings=settings)
    assert (
        json.loads(made.out)["size_bytes"] == (full.folder / "elsewhere" / json.loads(made.out)["name"]).stat().st_size
    )
