"""What looks after files, in a whole Samovar: its jobs do what is asked of it over HTTP."""

import http.client
import json
import os
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ADMIN_TOKEN, Samovar, start_samovar

ADMIN = {"X-Admin-Token": ADMIN_TOKEN}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar that keeps permanent files twice."""
    running = start_samovar(tmp_path_factory.mktemp("care"), {"SAMOVAR_FILE_REPLICAS": "2"})
    yield running
    running.stop()


def ask(store: Samovar, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers, and the body, parsed where it is JSON."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if "X-Admin-Token" not in sent:
        sent["Authorization"] = f"Bearer {store.key}"
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(store.url).netloc, timeout=30)
    try:
        connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, sent)
        answer = connection.getresponse()
        told, raw = {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        return answer.status, told, json.loads(raw) if "json" in told.get("content-type", "") else raw
    finally:
        connection.close()


def until(is_so: Callable[[], Any]) -> Any:
    """Wait for a job to have done it."""
    ends = time.monotonic() + 20
    while not (found := is_so()):
        assert time.monotonic() < ends, "it never was so"
        time.sleep(0.05)
    return found


def upload(store: Samovar, content: bytes, query: str) -> dict[str, Any]:
    status, _, made = ask(store, "POST", f"/api/files/upload{query}", content, X_Filename="a.bin")
    assert status == 201, made
    found: dict[str, Any] = made
    return found


def contents(store: Samovar, element_id: str, file_id: str) -> list[Path]:
    found = (store.data_dir / "files" / element_id).glob(f"2*/**/*{file_id}*")
    return [path for path in found if not path.name.endswith(".attr.json")]


def finished(store: Samovar, element_id: str, kind: str) -> dict[str, Any]:
    """Order a round, and its report."""
    path = f"/api/storage-elements/{element_id}/{kind}"
    status, _, ordered = ask(store, "POST", path, {} if kind != "scrub" else None, **ADMIN)
    assert status == 202, ordered
    until(lambda: ask(store, "GET", f"/api/jobs/{ordered['job_id']}", **ADMIN)[2]["state"] == "done")
    report: dict[str, Any] = ask(store, "GET", path, **ADMIN)[2]
    assert report["finished_at"] is not None
    return report


def test_a_finalized_file_moves_and_is_kept_twice(store: Samovar) -> None:
    made = upload(store, b"keep me", "?ttl_days=1")
    path = f"/api/files/{made['file_id']}"
    status, headers, file = ask(store, "POST", f"{path}/finalize")
    assert (status, file["retention"], file["expires_at"]) == (202, "permanent", None)
    assert headers["x-job-id"].startswith("job_")
    moved = until(lambda: (found := ask(store, "GET", path)[2])["storage_element_id"] == "rw" and found)
    assert ask(store, "GET", f"{path}/content")[2] == b"keep me"
    status, headers, again = ask(store, "POST", f"{path}/finalize", If_Match=f'"{moved["revision"]}"')
    assert (status, again, headers.get("x-job-id")) == (200, moved, None)
    assert ask(store, "POST", f"{path}/finalize", If_Match='"1"')[0] in (200, 412)


def test_a_flipped_bit_is_repaired_from_the_replica_that_a_job_made(store: Samovar) -> None:
    made = upload(store, b"precious", "?retention=permanent")
    until(lambda: contents(store, "edit", made["file_id"]))
    (original,) = contents(store, "rw", made["file_id"])
    original.write_bytes(b"preciouS")
    report = finished(store, "rw", "scrub")
    assert [(one["file_id"], one["outcome"]) for one in report["findings"]] == [(made["file_id"], "repaired")]
    assert contents(store, "rw", made["file_id"])[0].read_bytes() == b"precious"
    assert b'storage_scrub_findings_total{fault="content_differs",outcome="repaired"} 1.0' in until(
        lambda: (text := ask(store, "GET", "/metrics")[2]) and b"repaired" in text and text
    )


def test_rows_that_were_thrown_away_are_made_again(store: Samovar) -> None:
    made = upload(store, b"again", "?tags=again")
    path = f"/api/files/{made['file_id']}"
    before = ask(store, "GET", path)[2]
    with sqlite3.connect(next(store.data_dir.glob("*.db"))) as database:
        database.execute("DELETE FROM file_marks")
        database.execute("DELETE FROM file_copies")
        database.execute("DELETE FROM files")
    assert [one["fault"] for one in finished(store, "edit", "check")["findings"]][:1] == ["row_missing"]
    for element_id in ("edit", "rw"):
        finished(store, element_id, "rebuild")
    assert not finished(store, "edit", "check")["findings"]
    assert ask(store, "GET", "/api/files/search?tag=again")[2]["items"] == [before]


def archived(store: Samovar, folder: Path, content: bytes) -> dict[str, Any]:
    """A file whose element is an archive now."""
    new = {"id": "cold", "url": (folder / "cold").as_uri(), "mode": "rw", "priority": 1}
    assert ask(store, "POST", "/api/storage-elements", new, **ADMIN)[0] == 201
    made = upload(store, content, "?retention=permanent&replicas=1")
    assert made["storage_element_id"] == "cold"
    for mode in ("ro", "ar"):
        answer = ask(store, "POST", "/api/storage-elements/cold/mode", {"mode": mode, "confirm": "cold"}, **ADMIN)
        assert answer[0] == 200
    return made


def test_cold_content_is_asked_back_and_served_from_where_it_is_now(store: Samovar, tmp_path: Path) -> None:
    made = archived(store, tmp_path, b"cold as ice")
    path = f"/api/files/{made['file_id']}"
    for query in ("", "?disposition=inline"):
        status, headers, said = ask(store, "GET", f"{path}/content{query}")
        assert (status, headers["link"]) == (409, f'<{path}/restore>; rel="restore"')
    assert (said["code"], said["restore"]) == ("content_cold", f"POST {path}/restore")
    assert ask(store, "GET", path)[0] == 200
    assert ask(store, "PATCH", path, {"tags": ["x"]})[0] == 409
    status, headers, asked = ask(store, "POST", f"{path}/restore")
    assert (status, asked["file_id"]) == (202, made["file_id"])
    assert headers["x-job-id"].startswith("job_")
    assert int(headers["retry-after"]) > 0
    back = until(lambda: (found := ask(store, "POST", f"{path}/restore"))[0] == 200 and found)
    assert (back[2]["storage_element_id"], back[2]["revision"]) == ("rw", 2)
    assert ask(store, "GET", f"{path}/content")[2] == b"cold as ice"
    assert ask(store, "PATCH", path, {"tags": ["x"]})[2]["tags"] == ["x"]
    assert b'file_operations_total{operation="restore",result="success"} 1.0' in until(
        lambda: (text := ask(store, "GET", "/metrics")[2]) and b'"restore"' in text and text
    )
    acts = ask(store, "GET", f"/api/audit?resource=file:{made['file_id']}", **ADMIN)[2]["items"]
    assert "file:restore" in {one["action"] for one in acts}


def test_a_restore_whose_process_is_killed_goes_on_with_the_next(tmp_path: Path) -> None:
    settings = {"SAMOVAR_JOB_LEASE_S": "3"}
    first = start_samovar(tmp_path, settings)
    content = os.urandom(1024) * 1024 * 96
    made = archived(first, tmp_path, content)
    path = f"/api/files/{made['file_id']}"
    assert ask(first, "POST", f"{path}/restore")[0] == 202
    until(lambda: list((first.data_dir / "files" / "rw").rglob(f"*{made['file_id']}*")))
    first.process.kill()
    first.process.wait(10)
    second = start_samovar(tmp_path, settings)
    second.key = first.key
    try:
        assert ask(second, "GET", path)[2]["storage_element_id"] == "cold"
        until(lambda: ask(second, "POST", f"{path}/restore")[0] == 200)
        assert ask(second, "GET", f"{path}/content")[2] == content
        assert len(contents(second, "rw", made["file_id"])) == 1
        assert not list((second.data_dir / "files" / "rw").rglob("*.part"))
    finally:
        second.stop()


def test_only_who_looks_after_elements_orders_rounds(store: Samovar) -> None:
    for kind in ("rebuild", "check", "scrub"):
        assert ask(store, "POST", f"/api/storage-elements/edit/{kind}")[0] == 403
        assert ask(store, "POST", f"/api/storage-elements/none/{kind}", **ADMIN)[0] == 404
    assert ask(store, "POST", "/api/storage-elements/edit/rebuild", {"extent": "some"}, **ADMIN)[0] == 422
    assert ask(store, "POST", "/api/files/01a1fdfa-4600-75c2-9970-a99c39661a9c/finalize")[0] == 404
