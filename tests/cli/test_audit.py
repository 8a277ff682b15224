"""``samovar audit``: export, tail, and a verifier that needs nothing but the file."""

import asyncio
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pytest

from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.app.upkeep import migrated
from tests.cli.conftest import Terminal
from tests.e2e.conftest import ADMIN_TOKEN, Samovar
from tests.support.clock import ManualClock


class LongAgo(Services):
    """An installation of 2020."""

    @cached_property
    def clock(self) -> ManualClock:  # type: ignore[override]
        return ManualClock(datetime(2020, 1, 1, tzinfo=UTC))


async def record_long_ago(data_dir: Path, count: int) -> None:
    services = LongAgo(Settings(_env_file=None, data_dir=data_dir))
    await migrated(services.settings)
    for _ in range(count):
        await services.audit.note("wallet:create", "wallet:old")
    await services.database.close()


@pytest.fixture
def filled(terminal: Terminal) -> Terminal:
    """An installation with something in its chain."""
    terminal.begun()
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


def test_old_records_are_pruned_and_the_verifier_says_so(terminal: Terminal) -> None:
    asyncio.run(record_long_ago(terminal.folder / "data", 3))
    assert terminal.type("wallets", "create", "new").status == 0
    for_ever = terminal.type("audit", "prune")
    assert (for_ever.status, "kept for ever" in for_ever.err) == (1, True)
    copies = {"SAMOVAR_AUDIT_COPY_URL": (terminal.folder / "copies").as_uri(), "SAMOVAR_AUDIT_RETENTION_DAYS": "365"}
    done = terminal.type("audit", "prune", settings=copies)
    assert (done.status, done.out) == (0, "Pruned records 1 to 3.\n"), done.err
    again = json.loads(terminal.type("audit", "prune", "--keep-days", "365", "--json").out)
    assert again == {"pruned": False, "first": None, "last": None}
    beyond = terminal.type("audit", "prune", "--keep-days", "9999999999")
    assert (beyond.status, "36500" in beyond.err) == (2, True)
    assert terminal.type("audit", "export", "audit.jsonl").status == 0
    good = terminal.type("audit", "verify", "audit.jsonl", "--checkpoint", "copies")
    assert (good.status, good.out[:20]) == (0, "Good: records 4 to 6"), good.out
    assert "A signed anchor says that records up to 3 were pruned" in good.out
    assert len(list((terminal.folder / "copies").rglob("*.jsonl"))) == 3
    assert terminal.type("audit", "export", "part.jsonl", "--from", "5").status == 0
    assert terminal.type("audit", "verify", "part.jsonl").status == 1
    part = terminal.type("audit", "verify", "part.jsonl", "--part")
    assert (part.status, "nothing is said of the records before 5" in part.out) == (0, True)
