"""``samovar usage``, beside a server that was called."""

import csv
import io
import json
import time

from tests.cli.conftest import Terminal
from tests.e2e.conftest import ADMIN_TOKEN, Samovar


def call(server: Samovar) -> None:
    body = json.dumps({"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    status, _, _ = server.request("POST", "/v1/chat/completions", headers=headers, body=body)
    assert status == 200


def test_usage_is_shown_as_a_table_as_csv_and_as_json(server: Samovar, terminal: Terminal) -> None:
    call(server)
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    until = time.monotonic() + 20
    while not (found := terminal.type("usage", "--json", settings=far).json())["items"]:
        assert time.monotonic() < until
    (item,) = [one for one in found["items"] if one["name"] == "sandbox/echo"]
    table = terminal.type("usage", "--by", "key", "--from", "1d", settings=far)
    assert "credits" in table.out
    assert "all" in table.out
    written = terminal.type("usage", "--csv", settings=far)
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(written.out))}
    assert rows["sandbox/echo"]["cost_credits"] == item["cost_credits"]
    hours = terminal.type("usage", "--by", "hour", "--from", "2h", "--json", settings=far).json()
    # Calls of other tests may still come into the sums.
    later = terminal.type("usage", "--json", settings=far).json()["items"]
    most = next(one["calls"] for one in later if one["name"] == "sandbox/echo")
    assert item["calls"] <= sum(point["calls"] for point in hours["points"]) <= most


def test_what_cannot_be_read_is_refused_in_a_sentence(terminal: Terminal) -> None:
    assert "'soon' is no span of time" in terminal.type("usage", "--from", "soon").err
    assert "choose one" in terminal.type("usage", "--csv", "--json").err
