"""``samovar routes explain``, on this installation and at a server."""

import json
from pathlib import Path

from tests.cli.conftest import Terminal
from tests.e2e.conftest import Samovar


def test_a_request_is_explained_as_a_table_and_as_json(terminal: Terminal) -> None:
    shown = terminal.type("routes", "explain", "auto:cost", "How are you?")
    assert shown.status == 0, shown.err
    assert "sandbox/echo" in shown.out
    assert "cost: cheapest of" in shown.err
    found = terminal.type("routes", "explain", "auto:quality", "--json").json()
    assert found["attempts"][0] == found["targets"][0]["model"] != ""
    assert found["targets"][0]["quality"] == max(one["quality"] or 0 for one in found["targets"])
    assert found["strategy"] == "quality"


def test_a_server_explains_a_whole_request_to_a_key(server: Samovar, terminal: Terminal, tmp_path: Path) -> None:
    body = tmp_path / "request.json"
    body.write_text(json.dumps({"model": "x", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]}))
    settings = {"SAMOVAR_URL": server.url, "SAMOVAR_KEY": server.key}
    found = terminal.type(
        "routes",
        "explain",
        "sandbox/echo",
        "--request",
        str(body),
        "--json",
        "--surface",
        "messages",
        settings=settings,
    ).json()
    assert (found["why"], found["asked"]["max_output_tokens"]) == ("only target", 10)
    body.write_text("{")
    assert "is not JSON" in terminal.type("routes", "explain", "x", "--request", str(body), settings=settings).err
    wrong = terminal.type("routes", "explain", "auto:best", settings=settings)
    assert wrong.status == 1
    assert "auto:balanced" in wrong.err
