"""Service accounts from a terminal."""

from tests.cli.conftest import Terminal


def test_an_account_is_made_listed_rotated_disabled_and_deleted(terminal: Terminal) -> None:
    made = terminal.type("service-accounts", "create", "Nightly", "--role", "readonly", "--client-id", "nightly")
    assert made.status == 0, made.err
    assert made.out.startswith("sk-service-")
    assert "shown once" in made.err
    (listed,) = terminal.type("service-accounts", "list", "--json").json()
    assert (listed["client_id"], listed["role"], listed["state"]) == ("nightly", "READONLY", "active")
    rotated = terminal.type("service-accounts", "rotate-secret", listed["id"], "--grace", "12h", "--json").json()
    assert rotated["client_secret"] != made.out.strip()
    assert rotated["former_secret_until"] is not None
    for word, state in (("disable", "disabled"), ("enable", "active")):
        assert terminal.type("service-accounts", word, listed["id"]).status == 0
        assert terminal.type("service-accounts", "list", "--json").json()[0]["state"] == state
    assert "nightly" in terminal.type("service-accounts", "list").out
    assert terminal.type("service-accounts", "delete", listed["id"]).status == 0
    assert terminal.type("service-accounts", "list", "--json").json() == []
    gone = terminal.type("service-accounts", "disable", listed["id"])
    assert (gone.status, "no service account with this id" in gone.err) == (1, True)
