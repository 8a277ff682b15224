"""The audit chain of a server as it runs, and of one that is killed."""

import json
import os
import signal
from pathlib import Path

from samovar.domains.audit.model import verify_lines
from tests.cli.conftest import Terminal
from tests.e2e.conftest import start_samovar


def test_what_was_answered_before_a_kill_is_in_the_chain_after_it(tmp_path: Path) -> None:
    server = start_samovar(tmp_path, {})
    made = [server.request("POST", "/api/keys", {"name": f"key {number}"})[1]["id"] for number in range(5)]
    status, _, _ = server.request("DELETE", f"/api/keys/{made[0]}")
    assert status == 204
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(30)

    terminal = Terminal(server.data_dir.parent)
    assert terminal.start("audit", "export", "audit.jsonl").status == 0
    lines = (terminal.folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
    report = verify_lines(lines)
    assert (report.why, report.unsealed) == (None, 0)
    records = [json.loads(line) for line in lines if b'"kind":"record"' in line]
    done = [(record["action"], record["resource"]) for record in records if record["service"] == "control-plane"]
    # The first is the key that every server of these tests is given.
    assert done[1:] == [*(("key:create", f"key:{one}") for one in made), ("key:revoke", f"key:{made[0]}")]
