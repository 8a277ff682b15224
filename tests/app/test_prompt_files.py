"""Prompts as files over HTTP: what comes out, what is taken in, and how refusals look."""

import io
import zipfile

import msgspec
import pytest

from tests.app.conftest import ADMIN, Answer, Serve, Served

TWO = msgspec.json.encode([{"name": "greet", "lang": "ru", "text": "Привет"}, {"name": "describe", "text": "x"}])


@pytest.fixture
async def served(serve: Serve) -> Served:
    """One that takes two writes a minute, and small bodies."""
    return await serve(prompt_writes="2/minute", max_body_bytes=100_000)


async def take(served: Served, raw: bytes, query: str = "", **headers: str) -> Answer:
    """An import as curl makes it."""
    sent = {**ADMIN, "Content-Type": "application/x-www-form-urlencoded"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await served.ask("POST", f"/v1/prompts/import{query}", body=raw, headers=sent)


@pytest.mark.parametrize(
    ("form", "kind", "name", "begins"),
    [
        ("json", "application/json", "prompts.json", b'{"exported_at":"20'),
        ("yaml", "application/yaml", "prompts.yaml", b"exported_at: '20"),
        ("markdown", "application/zip", "prompts.zip", b"PK"),
    ],
)
async def test_each_form_goes_out_under_its_name_and_comes_in_again(
    served: Served, form: str, kind: str, name: str, begins: bytes
) -> None:
    done = await take(served, TWO)
    assert (done.status, done.json["counts"]["created"]) == (200, 2)
    out = await served.ask("GET", f"/v1/prompts/export?format={form}", headers=ADMIN)
    assert (out.status, out.headers["content-type"].partition(";")[0]) == (200, kind)
    assert out.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert out.headers["cache-control"] == "no-store"
    assert out.body.startswith(begins)
    again = await take(served, out.body, f"?format={form}")
    assert again.json["counts"]["unchanged"] == 2
    assert again.json["items"][0].keys() == {"where", "namespace", "name", "lang", "version", "action", "fields"}


async def test_imports_do_not_count_as_writes_and_a_nonce_is_taken_once(served: Served) -> None:
    for _ in range(4):
        assert (await take(served, TWO)).status == 200
    assert (await take(served, TWO, X_Nonce="once")).status == 200
    replayed = await take(served, TWO, X_Nonce="once")
    assert (replayed.status, replayed.json["code"]) == (409, "nonce_replayed")


async def test_a_refusal_names_each_item_and_nothing_is_taken(served: Served) -> None:
    refused = await take(served, b'[{"name": "good", "text": "x"}, {"name": "a/b", "text": ""}, {"text": "x"}]')
    assert (refused.status, refused.json["code"]) == (422, "bad_import")
    assert [flaw["where"] for flaw in refused.json["errors"]] == ["prompts[1].name", "prompts[1].text", "prompts[2]"]
    assert (await served.ask("GET", "/v1/prompts", headers=ADMIN)).json["items"] == []
    late = await take(served, b'[{"name": "new", "text": "x", "base": "0123"}]')
    assert (late.status, late.json["code"]) == (409, "import_conflict")
    tried = await take(served, TWO, "?dry_run=true")
    assert (tried.json["dry_run"], tried.json["counts"]["created"]) == (True, 2)
    assert (await served.ask("GET", "/v1/prompts", headers=ADMIN)).json["items"] == []


async def test_what_cannot_be_read_is_a_problem(served: Served) -> None:
    for raw, query, status, code in [
        (b"{", "", 400, "malformed_request"),
        (b"", "", 400, "malformed_request"),
        (b"\xff", "?format=yaml", 400, "malformed_request"),
        (b"a: &a [*a]", "?format=yaml", 400, "malformed_request"),
        (b"no zip", "?format=markdown", 422, "bad_import"),
        (b"[]", "?format=xml", 422, "invalid_request"),
        (b"[]", "?mode=maybe", 422, "invalid_request"),
        (b"[" + b" " * 100_000 + b"]", "", 413, "PAYLOAD_TOO_LARGE"),
    ]:
        refused = await take(served, raw, query)
        assert (refused.status, refused.json["code"]) == (status, code), (raw[:20], query)


async def test_a_zip_of_strange_paths_is_refused_whole(served: Served) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("default/good.en.md", "---\n---\ntext")
        archive.writestr("../../etc/cron.d/bad.en.md", "---\n---\ntext")
    refused = await take(served, sink.getvalue(), "?format=markdown")
    assert (refused.status, refused.json["errors"][0]["where"]) == (422, "../../etc/cron.d/bad.en.md")


async def test_reading_and_writing_files_need_their_permissions(served: Served) -> None:
    keys = {}
    for scope in ("gateway", "prompts", "models"):
        body = msgspec.json.encode({"name": scope, "scopes": [scope]})
        made = await served.ask("POST", "/api/keys", body=body, headers=ADMIN)
        keys[scope] = {"Authorization": f"Bearer {made.json['key']}"}
    for scope, status in (("gateway", 200), ("prompts", 200), ("models", 403)):
        assert (await served.ask("GET", "/v1/prompts/export", headers=keys[scope])).status == status
    for scope, status in (("gateway", 403), ("prompts", 200), ("models", 403)):
        assert (await served.ask("POST", "/v1/prompts/import", body=TWO, headers=keys[scope])).status == status
    assert (await served.ask("POST", "/v1/prompts/import", body=TWO)).status == 401


async def test_an_export_of_what_is_not_there_is_empty(served: Served) -> None:
    for form in ("json", "yaml", "markdown"):
        out = await served.ask("GET", f"/v1/prompts/export?format={form}&namespace=none", headers=ADMIN)
        assert out.status == 200
    found = await served.ask("GET", "/v1/prompts/export?lang=ru", headers=ADMIN)
    assert (found.json["count"], found.json["prompts"]) == (0, [])
