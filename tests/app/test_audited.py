"""Each route that changes something is in the audit table, or says why not; and what stands in a record of one."""

import asyncio
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from samovar.app.application import control_of, data_plane, edge_of
from samovar.app.audited import ACTS, EXEMPT, table
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.domains.usage.service import UsageUpkeep
from tests.app.conftest import ADMIN, Served, listening

MUTATING = {"post", "put", "patch", "delete"}
# Every call of a model is a usage event, and what it costs stands in the ledger.
CALLS = ("/v1/chat/", "/v1/messages", "/v1/responses", "/v1/embeddings", "/v1/vision/", "/anthropic/", "/gemini/")


def changing(services: Services) -> set[tuple[str, str]]:
    """Method and path of all routes that may change something."""
    document = control_of(services, list(data_plane(services))).openapi()
    found = {
        (method.upper(), path) for path, ways in document["paths"].items() for method in ways if method in MUTATING
    }
    return {(method, path) for method, path in found if not path.startswith(CALLS)}


async def test_every_route_that_changes_something_is_recorded_or_says_why_not(served: Served) -> None:
    known = {key for key, _ in table()} | EXEMPT.keys()
    missing = changing(served.services) - known
    assert not missing, f"add rows to app/audited.py, or exemptions with their reason, for {sorted(missing)}"


async def test_no_row_of_the_table_is_for_a_route_that_is_not_there(served: Served) -> None:
    document = control_of(served.services, list(data_plane(served.services))).openapi()
    there = {(method.upper(), path) for path, ways in document["paths"].items() for method in ways}
    assert {key for key, _ in table()} <= there
    assert EXEMPT.keys() <= there
    assert len({(act.method, act.path) for act in ACTS}) == len(ACTS)


async def say(served: Served, method: str, path: str, body: Any = None, headers: dict[str, str] = ADMIN) -> Any:
    return await served.ask(method, path, body=None if body is None else json.dumps(body).encode(), headers=headers)


async def records(served: Served, query: str = "") -> list[Any]:
    answer = await served.ask("GET", f"/api/audit{query}", headers=ADMIN)
    assert answer.status == 200, answer.body
    found: list[Any] = answer.json["items"]
    return found


async def test_white_space_hides_nothing_that_was_asked_for(served: Served) -> None:
    padding = b" \r\n\t" * 300_000
    body = padding + b'{"name": "hidden", "scopes": ["gateway"]}' + padding
    assert (await served.ask("POST", "/api/keys", body=body, headers=ADMIN)).status == 201
    (record,) = await records(served)
    assert record["metadata"]["asked_name"] == "hidden"


async def test_a_key_that_is_made_stands_in_the_chain_before_its_answer_is_out(served: Served) -> None:
    made = await say(served, "POST", "/api/keys", {"name": "notebook", "scopes": ["gateway", "models"]})
    (record,) = await records(served)
    assert (record["action"], record["resource"]) == ("key:create", f"key:{made.json['id']}")
    assert (record["user_id"], record["result"], record["team_id"]) == ("admin", "success", "default")
    assert record["request_id"] == made.headers["x-request-id"]
    facts = {"asked_name": "notebook", "asked_scopes": "gateway, models", "status": 201, "by": "admin"}
    assert facts.items() <= record["metadata"].items()
    assert made.json["key"] not in json.dumps(record)


async def test_who_may_not_is_recorded_as_denied_with_who_it_was(served: Served) -> None:
    key = (await say(served, "POST", "/api/keys", {"name": "weak"})).json
    answer = await say(served, "POST", "/api/wallets", {"name": "x"}, {"Authorization": f"Bearer {key['key']}"})
    assert answer.status == 403
    (record,) = await records(served, "?action=wallet:create")
    assert (record["result"], record["user_id"], record["resource"]) == ("denied", key["id"], "wallet")
    assert (record["metadata"]["status"], record["metadata"]["code"]) == (403, "forbidden")


async def test_what_fails_is_recorded_as_a_failure(served: Served) -> None:
    assert (await say(served, "DELETE", "/api/keys/key_nobody")).status == 404
    assert (await say(served, "POST", "/api/keys", {"nme": "x"})).status == 422
    assert [(one["result"], one["resource"]) for one in await records(served)] == [
        ("failure", "key"),
        ("failure", "key:key_nobody"),
    ]


async def test_no_secret_of_a_request_stands_in_its_record(served: Served) -> None:
    secret = "sk-secret-of-the-vendor-0123456789"
    body = {
        "name": f"x {secret}",
        "vendor": "openai",
        "api_key": secret,
        "base_url": "https://u:hunter22@example.org/v1",
    }
    await say(served, "POST", "/api/providers", body)
    await say(served, "DELETE", f"/api/providers/{secret}")
    told = json.dumps(await records(served))
    assert "api_key" in told
    assert "hunter22" not in told
    assert secret not in told


async def test_an_answer_that_is_given_again_is_recorded_as_such(served: Served) -> None:
    headers = {**ADMIN, "Idempotency-Key": "once"}
    for _ in range(2):
        assert (await say(served, "POST", "/api/keys", {"name": "one"}, headers)).status == 201
    assert [one["metadata"].get("replayed", False) for one in await records(served)] == [True, False]


async def test_a_model_with_slashes_in_its_name_is_named_whole(served: Served) -> None:
    await say(served, "PUT", "/api/models/sandbox/echo/override", {"context_window": 9000})
    (record,) = await records(served)
    assert (record["action"], record["resource"]) == ("price:set", "model:sandbox/echo")
    assert record["metadata"]["asked_context_window"] == 9000


async def test_a_backup_that_is_taken_away_is_recorded_when_it_begins(served: Served) -> None:
    assert (await say(served, "POST", "/admin/backup", {})).status == 200
    assert [one["action"] for one in await records(served)] == ["backup:download"]


async def test_a_file_that_is_taken_in_is_recorded_with_its_id(served: Served) -> None:
    answer = await served.ask("POST", "/api/files/upload", body=b"tea", headers={**ADMIN, "X-Filename": "tea.txt"})
    assert answer.status == 201, answer.body
    # Its answer does not wait for its record; what is recorded next is in the chain behind it.
    await say(served, "DELETE", "/api/keys/key_nobody")
    (record,) = await records(served, "?action=file:upload")
    assert (record["resource"], record["user_id"]) == (f"file:{answer.json['file_id']}", "admin")


async def test_of_several_files_each_is_recorded_though_the_last_is_refused(served: Served) -> None:
    head = b'--edge\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    parts = [head % (b"file", b'; filename="%d.txt"' % number, b"tea") for number in range(2)]
    headers = {**ADMIN, "Content-Type": "multipart/form-data; boundary=edge"}
    whole = await served.ask("POST", "/api/files/upload", body=b"".join(parts) + b"--edge--\r\n", headers=headers)
    wanted = {f"file:{one['file_id']}" for one in whole.json["items"]}
    parts.append(parts[0])
    parts.append(head % (b"checksum", b"", b"0" * 64))
    parts.append(head % (b"file", b'; filename="wrong.txt"', b"water"))
    half = await served.ask("POST", "/api/files/upload", body=b"".join(parts) + b"--edge--\r\n", headers=headers)
    assert half.status == 400
    stored = {f"file:{one['what'].rsplit(' ', 1)[1]}" for one in half.json["errors"]}
    assert (len(wanted), len(stored)) == (2, 2)
    await say(served, "DELETE", "/api/keys/key_nobody")
    found = [(one["resource"], one["result"]) for one in await records(served, "?action=file:upload")]
    assert sorted(found) == sorted([("file", "failure"), *((one, "success") for one in wanted | stored)])


async def test_a_file_that_ends_by_itself_is_recorded_with_the_reason(served: Served) -> None:
    headers = {**ADMIN, "X-Filename": "tea.txt"}
    made = await served.ask("POST", "/api/files/upload?ttl_days=1", body=b"tea", headers=headers)
    files = served.services.files.service
    file = await files.reads.stored("default", made.json["file_id"])
    assert file is not None
    await files.changes.forget(file.attributes, because="expired")
    async with asyncio.timeout(10):
        while not (found := await records(served, "?action=file:end")):  # noqa: ASYNC110 - told by the outbox's own loop
            await asyncio.sleep(0.02)
    (record,) = found
    assert (record["resource"], record["user_id"]) == (f"file:{made.json['file_id']}", "samovar")
    assert record["metadata"] == {"because": "expired", "owner": "admin", "size_bytes": 3}


async def _found(served: Served, action: str) -> list[Any]:
    """Records of what nobody waits for."""
    # What is recorded next, and waited for, is in the chain behind them.
    await say(served, "DELETE", "/api/keys/key_nobody")
    return await records(served, f"?action={action}")


async def test_each_key_that_signs_tokens_is_recorded(served: Served) -> None:
    keys = served.services.identity.signing_keys
    await keys.advance()
    await keys.advance()
    (record,) = await _found(served, "signing-key:create")
    key, _ = await keys.signing()
    assert (record["service"], record["resource"]) == ("upkeep", f"signing-key:{key.kid}")
    assert record["metadata"].keys() == {"active_from", "retires_at"}


async def test_usage_that_goes_by_retention_is_recorded_and_no_round_that_took_nothing(served: Served) -> None:
    services = served.services
    made = (await say(served, "POST", "/api/keys", {"name": "caller"})).json
    body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "tea"}]}
    called = await say(served, "POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {made['key']}"})
    assert called.status == 200
    await services.usage.flush()
    upkeep = UsageUpkeep(
        database=services.database,
        clock=services.clock,
        retention=timedelta(0),
        pruned=services.audit.usage_pruned,
        report=lambda *_: None,
    )
    assert [await upkeep.prune(), await upkeep.prune()] == [1, 0]
    (record,) = await _found(served, "usage:prune")
    assert (record["resource"], record["metadata"]["events"]) == ("usage", 1)
    assert record["metadata"]["before"] <= record["timestamp"]


async def test_what_came_of_a_backup_is_recorded_beside_who_ordered_it(served: Served) -> None:
    async def run_and_found(count: int) -> list[Any]:
        assert (await say(served, "POST", "/api/backups")).status == 202
        async with asyncio.timeout(20):
            while len(found := await records(served, "?action=backup:write")) < count:  # noqa: ASYNC110 - a job's own time
                await asyncio.sleep(0.05)
        return found

    (good,) = await run_and_found(1)
    (there,) = (await say(served, "GET", "/api/backups")).json["items"]
    assert (good["result"], good["resource"]) == ("success", f"backup:{there['name']}")
    assert good["metadata"]["size_bytes"] == there["size_bytes"]
    assert len(await records(served, "?action=backup:create")) == 1
    place = served.services.settings.data_dir / "backups"
    place.rename(place.with_name("before"))
    place.write_text("no folder")
    bad, _ = await run_and_found(2)
    assert (bad["result"], bad["resource"]) == ("failure", "backup")
    assert bad["metadata"]["code"]


async def test_an_element_that_the_settings_changed_is_recorded_at_the_start(
    tmp_path: Path, sqlite_template: Path
) -> None:
    shutil.copyfile(sqlite_template, tmp_path / "samovar.db")
    for mode in ("rw", "ar", "ar", "rw"):
        cold = {"id": "cold", "url": (tmp_path / "cold").as_uri(), "mode": mode}
        given: dict[str, Any] = {"data_dir": tmp_path, "admin_token": ADMIN["X-Admin-Token"], "_env_file": None}
        services = Services(Settings(**given, storage_elements=(cold,)))
        async with services.running(), listening(edge_of(services)) as port:
            found = await _found(Served(port, services), "storage-element:configure")
    assert [one["resource"] for one in found] == ["storage-element:cold"] * 2
    assert found[0]["metadata"] == {"changed": "mode", "mode": "rw", "mode_before": "ar"}
    assert found[1]["metadata"] == {"changed": "mode", "mode": "ar", "mode_before": "rw"}


async def test_wrong_credentials_are_recorded_once_a_minute_and_counted(served: Served) -> None:
    wrong = {"Authorization": "Bearer sk-samovar-" + "x" * 43}
    for path in ("/api/keys", "/v1/models", "/api/usage"):
        assert (await served.ask("GET", path, headers=wrong)).status == 401
    assert (await served.ask("GET", "/api/keys")).status == 401
    served.services.audit.strangers.sweep()
    # What is recorded next is in the chain behind them.
    await say(served, "DELETE", "/api/keys/key_nobody")
    found = await records(served, "?action=sign-in")
    assert [one["metadata"]["tries"] for one in found] == [2, 1]
    assert {(one["result"], one["user_id"], one["resource"]) for one in found} == {
        ("denied", "anonymous", "address:127.0.0.1")
    }
    assert "x" * 43 not in json.dumps(found)


async def test_reading_the_chain_takes_the_right_to(shared: Served) -> None:
    key = (await say(shared, "POST", "/api/keys", {"name": "weak"})).json["key"]
    for path in ("", "/export", "/verify", "/checkpoints", "/keys"):
        assert (await shared.ask("GET", f"/api/audit{path}")).status == 401
        assert (await shared.ask("GET", f"/api/audit{path}", headers={"Authorization": f"Bearer {key}"})).status == 403


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=101", "?result=great", "?cursor=x", "?from=noon", "/export?from=0"]
)
async def test_a_wrong_question_of_the_chain_is_refused(shared: Served, query: str) -> None:
    assert (await shared.ask("GET", f"/api/audit{query}", headers=ADMIN)).status == 422


async def test_metrics_tell_of_the_chain(served: Served) -> None:
    await say(served, "POST", "/api/keys", {"name": "one"})
    text = (await served.ask("GET", "/metrics")).body.decode()
    assert 'samovar_audit_records_total{result="success"} 1.0' in text
    assert "samovar_audit_unwritten_total 0.0" in text
    assert "samovar_audit_sequence 1.0" in text
