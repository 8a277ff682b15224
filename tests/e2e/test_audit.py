"""What is done over HTTP stands in the audit chain, and an export of it proves itself."""

import json
from typing import Any

from samovar.domains.audit.model import verify_lines
from tests.app.conftest import ADMIN, Serve, Served, serve, served

__all__ = ["serve", "served"]


async def say(served: Served, method: str, path: str, body: Any = None, headers: dict[str, str] = ADMIN) -> Any:
    answer = await served.ask(method, path, body=None if body is None else json.dumps(body).encode(), headers=headers)
    return answer


async def records(served: Served, query: str = "") -> list[Any]:
    answer = await served.ask("GET", f"/api/audit{query}", headers=ADMIN)
    assert answer.status == 200, answer.body
    found: list[Any] = answer.json["items"]
    return found


async def test_a_key_that_is_made_stands_in_the_chain_before_its_answer_is_out(served: Served) -> None:
    made = await say(served, "POST", "/api/keys", {"name": "notebook", "scopes": ["gateway"]})
    assert made.status == 201
    (record,) = await records(served)
    assert (record["action"], record["resource"]) == ("key:create", f"key:{made.json['id']}")
    assert (record["user_id"], record["result"], record["team_id"]) == ("admin", "success", "default")
    assert record["request_id"] == made.headers["x-request-id"]
    assert record["metadata"]["asked_scopes"] == "gateway"
    assert made.json["key"] not in json.dumps(record)


async def test_an_export_of_the_chain_proves_itself_and_a_changed_one_does_not(served: Served) -> None:
    for name in ("a", "b", "c"):
        await say(served, "POST", "/api/keys", {"name": name})
    file = (await served.ask("GET", "/api/audit/export", headers=ADMIN)).body
    report = verify_lines(file.splitlines(keepends=True))
    assert (report.is_good, report.records, report.checkpoints, report.unsealed) == (True, 3, 1, 0)
    changed = verify_lines(file.replace(b'"asked_name":"b"', b'"asked_name":"x"').splitlines(keepends=True))
    assert (changed.is_good, changed.sequence) == (False, 2)
    verdict = (await served.ask("GET", "/api/audit/verify", headers=ADMIN)).json
    assert verdict["good"] is True, verdict
