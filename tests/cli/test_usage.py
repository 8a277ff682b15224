"""``samovar usage``, beside a server that was called."""

import csv
import io
import json
import time
from typing import Any

from tests.cli.conftest import Terminal
from tests.e2e.conftest import ADMIN_TOKEN, Samovar

# Nobody else on this server calls it, so that its figures stand still.
MODEL = "sandbox/tools"


def call(server: Samovar) -> None:
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    status, _, _ = server.request("POST", "/v1/chat/completions", headers=headers, body=body)
    assert status == 200


def test_usage_is_shown_as_a_table_as_csv_and_as_json(server: Samovar, terminal: Terminal) -> None:
    call(server)
    far = {"SAMOVAR_URL": server.url, "ADMIN_TOKEN": ADMIN_TOKEN}
    until = time.monotonic() + 20
    while not (mine := by_model(terminal, far).get(MODEL)):
        assert time.monotonic() < until
    assert mine["calls"] == 1
    assert MODEL in terminal.type("usage", "--by", "route", "--from", "1d", settings=far).out
    for by in ("project", "user"):
        assert "(none)" in terminal.type("usage", "--by", by, "--from", "1d", settings=far).out
    table = terminal.type("usage", "--by", "key", "--from", "1d", settings=far)
    assert "credits" in table.out
    assert "all" in table.out
    written = terminal.type("usage", "--csv", settings=far)
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(written.out))}
    assert rows[MODEL]["cost_credits"] == mine["cost_credits"]
    # Calls of other tests still come into the sums meanwhile.
    least = sum(one["calls"] for one in by_model(terminal, far).values())
    hours = terminal.type("usage", "--by", "hour", "--from", "2h", "--json", settings=far).json()
    most = sum(one["calls"] for one in by_model(terminal, far).values())
    assert 1 <= least <= sum(point["calls"] for point in hours["points"]) <= most


def by_model(terminal: Terminal, far: dict[str, str]) -> dict[str, Any]:
    found = terminal.type("usage", "--json", settings=far).json()["items"]
    return {one["name"]: one for one in found}


def test_what_cannot_be_read_is_refused_in_a_sentence(terminal: Terminal) -> None:
    assert "'soon' is no span of time" in terminal.type("usage", "--from", "soon").err
    assert "choose one" in terminal.type("usage", "--csv", "--json").err
