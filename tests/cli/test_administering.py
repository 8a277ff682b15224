"""Keys, providers and models: on this installation's database, and on a server far away."""

import json

from tests.cli.conftest import Terminal
from tests.e2e.conftest import ADMIN_TOKEN, Samovar


def beside(server: Samovar) -> Terminal:
    """A terminal in the directory that the server was started in."""
    return Terminal(server.data_dir.parent)


def may_call(server: Samovar, key: str) -> bool:
    """Whether the key is good for a call."""
    status, _, _ = server.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
    return status == 200


def test_a_key_made_beside_a_running_server_works_there(server: Samovar) -> None:
    made = beside(server).start("keys", "create", "laptop")
    assert made.status == 0, made.err
    assert may_call(server, made.out.strip())


def test_a_key_is_made_listed_rotated_and_revoked_on_a_server_far_away(server: Samovar, terminal: Terminal) -> None:
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    order = ("keys", "create", "far", "--model", "sandbox/*", "--expires", "30d", "--json")
    made = terminal.type(*order, settings=far).json()
    assert may_call(server, made["key"])
    rotated = terminal.type("keys", "rotate", made["id"], "--grace", "0s", "--json", settings=far).json()
    assert may_call(server, rotated["key"])
    assert not may_call(server, made["key"])
    assert terminal.type("keys", "revoke", rotated["id"], settings=far).status == 0
    assert not may_call(server, rotated["key"])
    listed = {key["id"]: key for key in terminal.type("keys", "list", "--json", settings=far).json()}
    assert listed[rotated["id"]]["state"] == "revoked"
    assert listed[rotated["id"]]["allowed_models"] == ["sandbox/*"]
    assert not (terminal.folder / "data").exists()


def test_a_server_far_away_refuses_a_wrong_token_and_the_command_says_so(server: Samovar, terminal: Terminal) -> None:
    done = terminal.type("keys", "list", "--url", server.url, "--admin-token", "not-the-token")
    assert done.status == 1
    assert "not the admin token of this installation" in done.err


def test_where_no_server_answers_the_command_says_how_to_start_one(terminal: Terminal) -> None:
    done = terminal.start("keys", "list", "--url", "http://127.0.0.1:9", "--admin-token", "any-token")
    assert done.status == 1
    assert "`samovar serve`" in done.err


def test_the_first_command_on_a_new_installation_shows_its_first_key(terminal: Terminal) -> None:
    done = terminal.type("keys", "list", "--json")
    assert [key["name"] for key in done.json()] == ["first key"]
    assert "sk-samovar-" in done.err
    assert "sk-samovar-" not in terminal.type("keys", "list").err


def test_what_is_asked_of_a_key_that_there_is_not_is_refused_in_a_sentence(terminal: Terminal) -> None:
    done = terminal.type("keys", "revoke", "key_none")
    assert (done.status, done.out) == (1, "")
    assert "no key with this id" in done.err
    assert "'soon' is no span of time" in terminal.type("keys", "rotate", "key_none", "--grace", "soon").err


def test_a_provider_is_added_with_its_key_from_standard_input_and_removed_by_name(terminal: Terminal) -> None:
    secret = "sk-or-a-secret-of-some-length"
    added = terminal.type("providers", "add", "work", "--vendor", "openrouter", "--api-key", "-", given=secret + "\n")
    assert added.status == 0, added.err
    listed = terminal.type("providers", "list", "--json").json()
    assert [(one["name"], one["vendor"]) for one in listed] == [("sandbox", "sandbox"), ("work", "openrouter")]
    assert secret not in json.dumps(listed)
    assert terminal.type("providers", "remove", "work").status == 0
    gone = terminal.type("providers", "remove", "work")
    assert gone.status == 1
    assert "there is no provider 'work'" in gone.err


def test_a_vendor_that_there_is_not_is_refused_with_those_there_are(terminal: Terminal) -> None:
    done = terminal.type("providers", "add", "mine")
    assert done.status == 1
    assert "anthropic, " in done.err


def test_a_provider_is_asked_for_its_models(terminal: Terminal) -> None:
    assert "echo" in terminal.type("providers", "discover", "sandbox").out


def test_models_are_searched_and_priced_in_credits(server: Samovar, terminal: Terminal) -> None:
    found = terminal.type(
        "models", "--search", "ECHO", "--json", settings={"SAMOVAR_URL": server.url, "SAMOVAR_KEY": server.key}
    )
    (echo,) = found.json()
    assert echo["id"] == "sandbox/echo"
    # One and two dollars a million tokens; a hundred credits are a dollar.
    assert echo["credits_per_million_tokens"] == {"input": "100", "output": "200"}
    assert "sandbox/echo" in beside(server).type("models").out


def test_guard_rails_are_put_on_a_key_changed_and_taken_off(server: Samovar, terminal: Terminal) -> None:
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    rule = {"name": "keys", "pattern": "sk-[a-z]{8}", "on": "both", "action": "block", "replacement": "[redacted]"}
    guard = terminal.folder / "guard.json"
    guard.write_text(json.dumps({"rules": [rule]}))
    order = ("keys", "create", "guarded", "--max-tokens", "500", "--guard-file", str(guard), "--drop-params", "--json")
    made = terminal.type(*order, settings=far).json()
    assert made["guard"] == {"max_output_tokens": 500, "max_input_tokens": None, "rules": [rule]}
    assert made["drop_params"] is True
    edit = ("keys", "edit", made["id"], "--json")
    order = (*edit, "--max-tokens", "100", "--name", "less", "--model", "sandbox/*")
    changed = terminal.type(*order, settings=far).json()
    assert changed["guard"] == {**made["guard"], "max_output_tokens": 100}
    assert (changed["name"], changed["allowed_models"], changed["drop_params"]) == ("less", ["sandbox/*"], True)
    order = (*edit, "--no-guard", "--no-drop-params", "--model", "*")
    changed = terminal.type(*order, settings=far).json()
    assert (changed["guard"], changed["drop_params"], changed["allowed_models"]) == (None, False, None)
    guard.write_text("{")
    assert "cannot be read as JSON" in terminal.type(*edit, "--guard-file", str(guard), settings=far).err
    assert "say what to change" in terminal.type("keys", "edit", made["id"], settings=far).err


def test_a_key_is_made_for_a_project_and_a_person_and_given_to_others(server: Samovar, terminal: Terminal) -> None:
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    order = ("keys", "create", "owned", "--project", "site", "--user", "ann@example.org", "--json")
    made = terminal.type(*order, settings=far).json()
    assert (made["project_id"], made["user_id"]) == ("site", "ann@example.org")
    assert "ann@example.org" in terminal.type("keys", "list", settings=far).out
    edit = ("keys", "edit", made["id"], "--json")
    changed = terminal.type(*edit, "--project", "garden", settings=far).json()
    assert (changed["project_id"], changed["user_id"]) == ("garden", "ann@example.org")
    changed = terminal.type(*edit, "--user", "", settings=far).json()
    assert (changed["project_id"], changed["user_id"]) == ("garden", None)
    rotated = terminal.type("keys", "rotate", made["id"], "--json", settings=far).json()
    assert rotated["project_id"] == "garden"
    assert "user_id" in terminal.type("keys", "create", "odd", "--user", "a b", settings=far).err
