"""Limits, administered by command."""

from tests.cli.conftest import Terminal
from tests.e2e.conftest import ADMIN_TOKEN, Samovar


def test_a_quota_is_set_changed_listed_and_removed_on_a_server_and_holds_there(
    server: Samovar, terminal: Terminal
) -> None:
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    made = terminal.type("keys", "create", "limited", "--json", settings=far).json()
    one = terminal.type("quotas", "set", "key", made["id"], "--limits", "2/hour", "--json", settings=far).json()
    two = terminal.type("quotas", "set", "key", made["id"], "--concurrency", "4", "--json", settings=far).json()
    assert (one["id"], two["revision"]) == (two["id"], 2)
    assert (two["limits"], two["concurrency"]) == ("2/hour", 4)
    chat = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}
    bearer = {"Authorization": f"Bearer {made['key']}"}
    statuses = [server.request("POST", "/v1/chat/completions", chat, bearer)[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    listed = terminal.type("quotas", "list", settings=far)
    assert made["id"] in listed.out
    assert "2/hour" in listed.out
    assert terminal.type("quotas", "rm", "key", made["id"], settings=far).status == 0
    assert server.request("POST", "/v1/chat/completions", chat, bearer)[0] == 200
    again = terminal.type("quotas", "rm", "key", made["id"], settings=far)
    assert again.status == 1
    assert "samovar quotas list" in again.err


def test_what_is_no_limit_is_refused_in_words(terminal: Terminal) -> None:
    done = terminal.type("quotas", "set", "key", "*", "--limits", "many")
    assert done.status == 1
    assert "is not a limit" in done.err


def test_nobody_is_shut_out_at_first_and_who_is_not_cannot_be_let_in(terminal: Terminal) -> None:
    assert terminal.begun().type("quotas", "blocked", "--json").json() == []
    assert "is not blocked" in terminal.type("quotas", "unblock", "192.0.2.1").err
