"""``samovar audit``: export, tail, and a verifier that needs nothing but the file."""

import json
import re
import subprocess
import sys

import pytest

from tests.cli.conftest import Terminal
from tests.e2e.conftest import ADMIN_TOKEN, Samovar


@pytest.fixture
def filled(terminal: Terminal) -> Terminal:
    """An installation with something in its chain."""
    for name in ("one", "two"):
        assert terminal.type("wallets", "create", name, "--credits", "5").status == 0
    return terminal


def test_an_export_is_verified_and_a_change_in_it_named(filled: Terminal) -> None:
    assert filled.type("audit", "export", "audit.jsonl").status == 0
    good = filled.type("audit", "verify", "audit.jsonl")
    assert (good.status, good.out[:20]) == (0, "Good: records 1 to 3")
    file = filled.folder / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"asked_name":"two"', b'"asked_name":"too"'))
    bad = filled.type("audit", "verify", "audit.jsonl")
    assert bad.status == 1
    assert "NOT GOOD: Record 2 was changed" in bad.out
    told = filled.type("audit", "verify", "audit.jsonl", "--json")
    assert told.status == 1
    assert {"good": False, "sequence": 2}.items() <= json.loads(told.out).items()


def test_an_old_export_is_found_by_checkpoints_that_were_copied(filled: Terminal) -> None:
    copies = {"SAMOVAR_AUDIT_COPY_URL": (filled.folder / "copies").as_uri()}
    assert filled.type("audit", "export", "old.jsonl").status == 0
    assert filled.type("audit", "verify", "old.jsonl").status == 0
    assert filled.type("wallets", "create", "three", settings=copies).status == 0
    cut_off = filled.type("audit", "verify", "old.jsonl", "--checkpoint", "copies")
    assert (cut_off.status, "was cut off: it ends with record 3" in cut_off.out) == (1, True)
    assert filled.type("audit", "export", "new.jsonl").status == 0
    assert filled.type("audit", "verify", "new.jsonl", "--checkpoint", "copies").status == 0


def test_only_the_keys_that_are_trusted_count(filled: Terminal) -> None:
    filled.type("audit", "export", "audit.jsonl")
    lines = (filled.folder / "audit.jsonl").read_text().splitlines()
    (key,) = [json.loads(line)["public_key"] for line in lines if '"kind":"key"' in line]
    assert filled.type("audit", "verify", "audit.jsonl", "--public-key", key).status == 0
    (filled.folder / "key.pub").write_text(key + "\n")
    assert filled.type("audit", "verify", "audit.jsonl", "--public-key", "key.pub").status == 0
    other = filled.type("audit", "verify", "audit.jsonl", "--public-key", "A" * 43 + "=")
    assert (other.status, "none of those that count" in other.out) == (1, True)
    none = filled.type("audit", "verify", "audit.jsonl", "--public-key", "nonsense")
    assert (none.status, "is no Ed25519 public key" in none.err) == (1, True)


def test_the_verifier_loads_neither_the_app_nor_a_database(filled: Terminal) -> None:
    filled.type("audit", "export", "audit.jsonl")
    words = [sys.executable, "-X", "importtime", "-m", "samovar", "audit", "verify", "audit.jsonl"]
    done = subprocess.run(words, cwd=filled.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.M))
    assert "samovar.domains.audit.model" in loaded
    for name in ("samovar.app", "sqlalchemy", "fastapi", "uvicorn", "pydantic_settings"):
        assert name not in loaded


def test_what_the_shell_does_past_http_is_recorded(filled: Terminal) -> None:
    made = filled.type("backup", "create", "-o", "all.tar")
    assert made.status == 0, made.err
    assert filled.type("backup", "restore", "all.tar", "--replace").status == 0
    shown = filled.type("audit", "tail", "--json")
    actions = [json.loads(line)["action"] for line in shown.out.splitlines()]
    assert actions == ["wallet:create", "wallet:create", "backup:download", "backup:restore"]


def test_a_server_is_asked_for_its_chain(server: Samovar, terminal: Terminal) -> None:
    at = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    assert terminal.type("keys", "create", "far", settings=at).status == 0
    assert terminal.type("audit", "export", "far.jsonl", settings=at).status == 0
    assert terminal.type("audit", "verify", "far.jsonl").status == 0
    shown = terminal.type("audit", "tail", "-n", "1", "--action", "key:create", settings=at)
    assert "key:create" in shown.out
    refused = terminal.type("audit", "export", "no.jsonl", settings={**at, "ADMIN_TOKEN": "wrong-token"})
    assert refused.status == 1
    assert not (terminal.folder / "no.jsonl").exists()
