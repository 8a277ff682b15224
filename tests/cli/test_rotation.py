"""Keys that soon end are rotated together, by the command and by the script."""

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Terminal
from tests.cli.test_administering import beside, may_call
from tests.e2e.conftest import ADMIN_TOKEN, Samovar
from tests.support.typed import Done, environment_with

SCRIPT = Path(__file__).parents[2] / "scripts" / "rotate_api_keys.py"


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    """One where an installation is, without keys."""
    return terminal.begun()


def made(terminal: Terminal, name: str, *options: str) -> Any:
    """A new key, as the command shows it."""
    return terminal.type("keys", "create", name, *options, "--json").json()


def listed(terminal: Terminal) -> dict[str, Any]:
    """Every key of the installation, by its id."""
    return {key["id"]: key for key in terminal.type("keys", "list", "--json").json()}


def instant(text: str) -> datetime:
    """An RFC 3339 instant."""
    return datetime.fromisoformat(text)


def test_every_key_that_soon_ends_is_rotated_and_no_other(terminal: Terminal) -> None:
    soon = made(terminal, "soon", "--expires", "5d", "--model", "sandbox/*", "--max-tokens", "50")
    sooner = made(terminal, "sooner", "--expires", "1d")
    later, never = made(terminal, "later", "--expires", "30d"), made(terminal, "never")
    order = ("keys", "rotate-expiring", "--within", "6d", "--grace", "2d", "--json")
    rotated = terminal.type(*order).json()
    assert [one["replaces"] for one in rotated] == [sooner["id"], soon["id"]]
    now = listed(terminal)
    assert [now[one["id"]]["state"] for one in (soon, sooner, later, never)] == ["replaced"] * 2 + ["active"] * 2
    heir = rotated[1]
    assert heir["key"] != soon["key"]
    assert (heir["name"], heir["allowed_models"], heir["guard"]) == ("soon", ["sandbox/*"], soon["guard"])
    # As long as the old one was made for, counted from now; the old one has its grace, within its own end.
    assert instant(heir["expires_at"]) - instant(heir["created_at"]) == pytest.approx(
        timedelta(days=5), abs=timedelta(minutes=1)
    )
    grace = instant(now[soon["id"]]["grace_until"]) - instant(heir["created_at"])
    assert grace == pytest.approx(timedelta(days=2), abs=timedelta(minutes=1))
    assert now[sooner["id"]]["expires_at"] == sooner["expires_at"]


def test_a_key_that_was_replaced_is_not_rotated_again_but_its_heir_is(terminal: Terminal) -> None:
    old = made(terminal, "old", "--expires", "3h")
    (first,) = terminal.type("keys", "rotate-expiring", "--within", "4h", "--json").json()
    (second,) = terminal.type("keys", "rotate-expiring", "--within", "4h", "--json").json()
    assert (first["replaces"], second["replaces"]) == (old["id"], first["id"])
    none = terminal.type("keys", "rotate-expiring", "--within", "1h")
    assert (none.status, none.out, none.err.strip()) == (0, "", "No active key ends within 1h.")


def test_a_dry_run_shows_the_keys_and_changes_nothing(terminal: Terminal) -> None:
    old = made(terminal, "old", "--expires", "2d")
    shown = terminal.type("keys", "rotate-expiring", "--dry-run")
    assert old["id"] in shown.out
    assert "sk-samovar-" not in shown.out + shown.err
    assert [one["id"] for one in terminal.type("keys", "rotate-expiring", "--dry-run", "--json").json()] == [old["id"]]
    assert listed(terminal)[old["id"]]["state"] == "active"


def run_script(terminal: Terminal, settings: dict[str, str]) -> Done:
    """The script, as a timer runs it."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "rotate-expiring", "--within", "10m", "--grace", "0s"],
        cwd=terminal.folder,
        env=environment_with(settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_the_script_rotates_on_a_running_server_and_shows_each_secret_once(server: Samovar, terminal: Terminal) -> None:
    old = made(beside(server), "old", "--expires", "9m")
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    done = run_script(terminal, far)
    assert done.status == 0, done.err
    (new,) = re.findall(rf"^{old['id']}\t(sk-samovar-\S+)$", done.out, re.MULTILINE)
    assert may_call(server, new)
    assert not may_call(server, old["key"])
    assert "sk-samovar-" not in done.err
    shown = terminal.type("keys", "list", "--json", settings=far)
    assert new not in json.dumps(shown.json())


def test_the_script_says_what_is_wrong_in_a_sentence(terminal: Terminal) -> None:
    done = run_script(terminal, {"SAMOVAR_URL": "http://127.0.0.1:9", "ADMIN_TOKEN": "an-admin-token-of-some-length"})
    assert (done.status, "Traceback" in done.err) == (1, False)
    assert "no Samovar answers" in done.err
