"""Wallets and the ledger on the command line, on this installation's database and beside a server."""

from tests.cli.conftest import Terminal
from tests.e2e.conftest import Samovar


def test_a_wallet_is_made_funded_listed_and_checked(terminal: Terminal) -> None:
    wallet = terminal.begun().type("wallets", "create", "lab", "--credits", "12.5").out.strip()
    assert terminal.type("wallets", "add", wallet, "0.5", "--json").json()["balance"] == "13"
    shown = terminal.type("wallets", "show", wallet, "--json").json()
    listed = terminal.type("wallets", "list", "--json").json()
    assert listed == [shown]
    assert (shown["balance"], shown["held"], shown["spent"]) == ("13", "0", "0")
    assert "lab" in terminal.type("wallets", "list").out
    assert terminal.type("ledger", "check").status == 0
    assert terminal.type("ledger", "check", "--json").json() == []


def test_a_key_is_tied_to_a_wallet_that_is_there(server: Samovar) -> None:
    beside = Terminal(server.data_dir.parent)
    wallet = beside.type("wallets", "create", "lab").out.strip()
    made = beside.type("keys", "create", "notebook", "--wallet", wallet, "--json").json()
    assert made["wallet_id"] == wallet
    refused = beside.type("keys", "create", "notebook", "--wallet", "wal_none")
    assert refused.status == 1
    assert "names no wallet of your team" in refused.err


def test_a_wallet_nobody_has_is_not_shown(terminal: Terminal) -> None:
    done = terminal.type("wallets", "show", "wal_none")
    assert done.status == 1
    assert "no wallet with this id" in done.err
