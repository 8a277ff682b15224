"""The file store's roles as processes of their own: admin, ingester, query and storage-element, with PostgreSQL and Redis."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from tests.e2e.apart import Apart, installation, kill, port_of, register, until
from tests.e2e.conftest import Samovar, start_program
from tests.support.servers import REDIS_URL

LARGE = os.urandom(1024 * 1024) * 96


@dataclass
class Store:
    """Four processes."""

    apart: Apart
    admin: Samovar
    ingester: Samovar
    query: Samovar
    storage: Samovar

    def upload(self, name: str, content: bytes) -> tuple[int, dict[str, str]]:
        """A permanent file."""
        headers = {"X-Filename": quote(name), "Content-Type": "application/octet-stream"}
        status, said, _ = self.ingester.request("POST", "/api/files/upload?retention=permanent", content, headers)
        return status, said

    def content(self, file_id: str) -> tuple[int, str, dict[str, str]]:
        """What query gives."""
        return self.query.request("GET", f"/api/files/{file_id}/content")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, redis_server: str, empty_postgres_url: str) -> Iterator[Store]:
    """Ready."""
    with installation(tmp_path_factory.mktemp("apart")) as apart:
        admin = apart.start("admin")
        storage = apart.storage(admin, "se-1", "edit")
        register(admin, storage, "se-1", "edit")
        ingester, query = apart.start_all("ingester", "query")
        yield Store(apart, admin, ingester, query, storage)


def test_a_file_goes_in_at_the_ingester_and_out_at_query_and_stands_at_the_element(store: Store) -> None:
    status, made = store.upload("чай.txt", "чай".encode())
    assert status == 201, made
    status, text, headers = store.content(made["file_id"])
    assert (status, text) == (200, "чай")
    assert headers["etag"] == f'"{hashlib.sha256("чай".encode()).hexdigest()}"'
    status, about, _ = store.query.request("GET", f"/api/files/{made['file_id']}")
    assert (status, about["filename"]) == (200, "чай.txt")
    status, found, _ = store.query.request("GET", f"/api/files/search?q={quote('чай')}")
    assert [one["file_id"] for one in found["items"]] == [made["file_id"]]
    folder = store.apart.folder / "se-1"
    [attributes] = [path for path in folder.glob("2*/**/*.attr.json") if made["file_id"] in path.name]
    assert attributes.with_name(attributes.name.removesuffix(".attr.json")).read_text() == "чай"
    changed = {"tags": ["green"]}
    assert store.ingester.request("PATCH", f"/api/files/{made['file_id']}", changed)[0] == 200
    assert store.query.request("GET", f"/api/files/{made['file_id']}")[1]["tags"] == ["green"]
    assert store.ingester.request("DELETE", f"/api/files/{made['file_id']}")[0] == 204
    until(lambda: store.content(made["file_id"])[0] == 404)
    assert not attributes.exists()


def test_each_role_does_its_own_work_and_no_other(store: Store) -> None:
    for running in (store.query, store.storage, store.admin):
        status, _, _ = running.request("POST", "/api/files/upload", b"x", {"X-Filename": "x"})
        assert status in (404, 405)
    assert store.ingester.request("GET", "/api/storage-elements")[0] == 404
    assert [one["id"] for one in store.admin.request("GET", "/api/storage-elements")[1]["items"]] == ["se-1"]
    for running in (store.admin, store.ingester, store.query):
        assert running.request("POST", "/storage/v1/se-1/condition", b"")[0] == 404


def test_only_the_installations_roles_get_at_an_element(store: Store) -> None:
    assert store.storage.request("POST", "/storage/v1/se-1/condition", b"")[0] == 401
    new = {"name": "nightly", "client_id": "nightly", "role": "ADMIN"}
    status, account, _ = store.admin.request("POST", "/api/service-accounts", new)
    assert status == 201, account
    asked = {"client_id": "nightly", "client_secret": account["client_secret"], "audience": "storage"}
    status, said, _ = store.admin.request("POST", "/api/auth/token", asked)
    assert status == 200, said
    bearer = {"Authorization": f"Bearer {said['access_token']}"}
    status, said, _ = store.storage.request("POST", "/storage/v1/se-1/condition", b"", bearer)
    assert (status, said["code"]) == (403, "forbidden"), said


def test_an_element_that_is_registered_is_published_followed_and_kept(store: Store) -> None:
    prefix = store.apart.environment["SAMOVAR_REDIS_PREFIX"]
    with redis.Redis.from_url(REDIS_URL) as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(f"{prefix}:event:storage-elements:config")
        heard.get_message(timeout=5)
        new = {"id": "later", "url": "http://127.0.0.1:9", "mode": "ro"}
        assert store.admin.request("POST", "/api/storage-elements", new)[0] == 201
        said: list[dict[str, Any]] = []
        until(lambda: said.extend(_told(heard.get_message(timeout=0.1))) or "later" in ids(said))
    kept = store.query.data_dir / "storage-elements.json"
    until(lambda: kept.exists() and "later" in ids([json.loads(kept.read_text())]))
    assert json.loads(kept.read_text())["version"] == said[-1]["version"]


def _told(message: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [json.loads(message["data"])] if message else []


def ids(said: list[dict[str, Any]]) -> set[str]:
    """Of the elements last told."""
    return {one["id"] for one in said[-1]["elements"]} if said else set()


def test_a_large_file_passes_through_without_being_held(store: Store) -> None:
    before = [(running, peak_kb(running)) for running in (store.ingester, store.query, store.storage)]
    status, made = store.upload("large.bin", LARGE)
    assert (status, made["checksum"]) == (201, hashlib.sha256(LARGE).hexdigest())
    assert store.query.request("GET", f"/api/files/{made['file_id']}/content")[0] == 200
    for running, peak in before:
        assert peak_kb(running) - peak < 60 * 1024


def peak_kb(running: Samovar) -> int:
    """The most memory that it ever had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text())
    assert found is not None
    return int(found[1])


def test_a_request_is_known_by_its_id_and_trace_at_the_element_too(store: Store) -> None:
    status, made = store.upload("lost.txt", b"lost")
    assert status == 201
    for path in (store.apart.folder / "se-1").glob(f"2*/**/*{made['file_id']}*"):
        path.unlink()
    asked = {"X-Request-Id": "look-for-me", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    assert store.query.request("GET", f"/api/files/{made['file_id']}/content", headers=asked)[0] >= 400
    until(lambda: "look-for-me" in store.storage.output.read_text())


def test_a_folder_is_one_processs_and_a_second_one_says_so_and_ends(store: Store) -> None:
    elements = f'[{{"id": "se-1", "url": "{(store.apart.folder / "se-1").as_uri()}", "mode": "edit"}}]'
    process, output = store.apart.begin(
        "storage-element", SAMOVAR_ADMIN_URL=store.admin.url, SAMOVAR_STORAGE_ELEMENTS=elements
    )
    assert process.wait(30) != 0
    assert "Another process has the storage element se-1" in output.read_text()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"SAMOVAR_ROLES": "storage-element"}, "needs SAMOVAR_ADMIN_URL"),
        ({"SAMOVAR_ROLES": "ingester", "SAMOVAR_BLOB_URL": "file:///srv"}, "SAMOVAR_BLOB_URL: a folder is opened"),
        (
            {
                "SAMOVAR_ROLES": "query",
                "SAMOVAR_STORAGE_ELEMENTS": '[{"id": "a", "url": "file:///srv", "mode": "rw"}]',
            },
            "SAMOVAR_STORAGE_ELEMENTS: a folder is opened",
        ),
        (
            {
                "SAMOVAR_ROLES": "storage-element",
                "SAMOVAR_ADMIN_URL": "http://admin:8080",
                "SAMOVAR_STORAGE_ELEMENTS": '[{"id": "a", "url": "http://x:1", "mode": "rw"}]',
            },
            "an element of another process",
        ),
    ],
)
def test_a_mix_that_cannot_work_is_refused_at_the_start(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    output = tmp_path / "output"
    process = start_program(["serve"], output, settings)
    assert process.wait(30) != 0
    assert words in " ".join(output.read_text().split())


def test_while_the_element_is_away_attributes_are_told_and_all_goes_on_when_it_is_back(store: Store) -> None:
    status, made = store.upload("kept.txt", b"kept")
    assert status == 201
    kill(store.storage)
    until(lambda: store.ingester.request("GET", "/ready")[0] == 503)
    assert "se-1" in store.ingester.request("GET", "/ready")[1]["failing"]["storage"]
    path = f"/api/files/{made['file_id']}"
    until(lambda: store.query.request("GET", path)[2].get("x-degraded") == "stale")
    status, about, _ = store.query.request("GET", path)
    assert (status, about["filename"]) == (200, "kept.txt")
    status, _, headers = store.content(made["file_id"])
    assert (status, int(headers["retry-after"]) > 0) == (503, True)
    assert store.upload("refused.txt", b"x")[0] == 503
    store.storage = store.apart.storage(store.admin, "se-1", "edit", SAMOVAR_PORT=port_of(store.storage))
    until(lambda: store.content(made["file_id"])[:2] == (200, "kept"))
    until(lambda: store.upload("taken.txt", b"x")[0] == 201)
    until(lambda: store.ingester.request("GET", "/ready")[0] == 200)


def test_a_change_waits_for_its_element_where_its_caller_asks_and_outlives_the_worker(store: Store) -> None:
    status, made = store.upload("waits.txt", b"waits")
    assert status == 201
    path, later = f"/api/files/{made['file_id']}", {"Prefer": "respond-async, wait=5"}
    status, about, headers = store.ingester.request("PATCH", path, {"tags": ["usual"]}, later)
    assert (status, about["tags"], "preference-applied" in headers) == (200, ["usual"], False)
    worker = store.apart.start("worker")
    kill(store.storage)
    assert store.ingester.request("PATCH", path, {"tags": ["refused"]})[0] == 503
    assert store.ingester.request("POST", "/api/files/upload", b"x", {"X-Filename": "x", **later})[0] == 503
    once = {**later, "Idempotency-Key": "change-once"}
    status, taken, headers = store.ingester.request("PATCH", path, {"tags": ["late"]}, once)
    assert (status, taken["state"], headers["preference-applied"]) == (202, "waiting", "respond-async"), taken
    assert (headers["location"], headers["x-job-id"]) == (f"{path}/changes/{taken['id']}", taken["id"])
    status, renamed, _ = store.ingester.request("PATCH", path, {"filename": "late.txt"}, later)
    assert (status, renamed["id"] == taken["id"]) == (202, False)
    status, again, _ = store.ingester.request("PATCH", path, {"tags": ["late"]}, once)
    assert (status, again) == (202, taken)
    until(lambda: "se-1" in (store.query.request("GET", headers["location"])[1]["reason"] or ""))
    kill(worker)
    worker = store.apart.start("worker")
    store.storage = store.apart.storage(store.admin, "se-1", "edit", SAMOVAR_PORT=port_of(store.storage))
    changes = [f"{path}/changes/{one['id']}" for one in (taken, renamed)]
    until(lambda: all(store.query.request("GET", one)[1]["state"] == "done" for one in changes), within_s=60)
    until(lambda: store.query.request("GET", path)[1]["filename"] == "late.txt")
    status, about, _ = store.query.request("GET", path)
    assert (about["tags"], about["revision"]) == (["late"], 4)
    status, said, _ = store.admin.request("GET", "/api/audit?action=file:queue-end")
    assert (status, [one["result"] for one in said["items"]]) == (200, ["success"] * 2)
