"""Files over HTTP: real bytes through a real server, and all that callers get wrong."""

import hashlib
import json
import re
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Samovar, start_samovar
from tests.e2e.pictures import picture
from tests.e2e.storing import ADMIN, BYTES, ask, connected, form, kept, upload
from tests.support.seaweed import BUCKET, SeaweedS3

MAX_BYTES = 3_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar that takes three megabytes, from clients who do not fall silent for a second."""
    settings = {"SAMOVAR_FILE_MAX_BYTES": str(MAX_BYTES), "SAMOVAR_FILE_IDLE_S": "1"}
    running = start_samovar(tmp_path_factory.mktemp("files"), settings)
    yield running
    running.stop()


def test_a_file_comes_back_as_it_went_in(store: Samovar) -> None:
    made = upload(
        store, name="Отчёт за год.pdf", query="?tags=report,2026&attributes=%7B%22project%22%3A%22apollo%22%7D"
    )
    assert made.status == 201
    told = made.json
    assert (told["filename"], told["content_type"], told["size_bytes"]) == (
        "Отчёт за год.pdf",
        "application/pdf",
        len(BYTES),
    )
    assert told["checksum"] == hashlib.sha256(BYTES).hexdigest()
    assert (told["tags"], told["attributes"], told["retention"]) == (
        ["report", "2026"],
        {"project": "apollo"},
        "temporary",
    )
    assert made.headers["location"] == f"/api/files/{told['file_id']}"
    got = ask(store, "GET", f"/api/files/{told['file_id']}/content")
    assert (got.status, got.body, got.headers["content-type"]) == (200, BYTES, "application/pdf")
    assert got.headers["etag"] == f'"{told["checksum"]}"'
    assert got.headers["content-disposition"] == (
        "attachment; filename=\"_____ __ ___.pdf\"; filename*=UTF-8''"
        "%D0%9E%D1%82%D1%87%D1%91%D1%82%20%D0%B7%D0%B0%20%D0%B3%D0%BE%D0%B4.pdf"
    )
    about = ask(store, "GET", made.headers["location"])
    assert about.json == told
    assert about.headers["etag"] == made.headers["etag"]
    counted = ask(store, "GET", "/metrics").body.decode()
    assert 'file_operations_total{operation="upload",result="success"}' in counted
    assert 'file_operations_total{operation="download",result="broken"}' not in counted
    head = ask(store, "HEAD", f"/api/files/{told['file_id']}/content")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(BYTES)))


def test_a_form_takes_several_files_and_fields_on_both_sides_of_them(store: Samovar) -> None:
    body, kind = form(
        ("tags", None, b"first"),
        ("file", "one.txt", b"one"),
        ("attributes", None, b'{"late": true}'),
        ("checksum", None, hashlib.sha256(b"two").hexdigest().encode()),
        ("file", "two.txt", b"two"),
    )
    refused = ask(store, "POST", "/api/files/upload", body, Content_Type=kind)
    assert (refused.status, refused.json["code"]) == (400, "bad_upload")
    body, kind = form(
        ("tags", None, b"first"),
        ("file", "one.txt", b"one"),
        ("attributes", None, b'{"late": true}'),
        ("file", "two.txt", b""),
    )
    made = ask(store, "POST", "/api/files/upload", body, Content_Type=kind)
    assert made.status == 201
    one, two = made.json["items"]
    assert (one["tags"], one["attributes"], one["size_bytes"]) == (["first"], {"late": True}, 3)
    assert (two["tags"], two["filename"], two["size_bytes"]) == (["first"], "two.txt", 0)
    assert ask(store, "GET", f"/api/files/{two['file_id']}/content").body == b""


def test_a_bad_field_behind_its_file_leaves_nothing_of_the_file(store: Samovar) -> None:
    before = kept(store)
    for field, value in (("tags", b"\x01"), ("attributes", b"{"), ("odd", b"x"), ("ttl_days", b"3")):
        body, kind = form(("file", "one.txt", b"one"), (field, None, value))
        assert ask(store, "POST", "/api/files/upload", body, Content_Type=kind).status in (400, 422)
    assert kept(store) == before


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\boot.ini",
        "/abs",
        "nul\0l.txt",
        "a\r\nX-Evil: 1",
        "....",
        "CON.txt",
        "漢" * 85,
        "é" * 127 + "x",
    ],
)
def test_no_name_leads_out_of_its_folder_or_into_a_header(store: Samovar, name: str) -> None:
    before = kept(store)
    made = upload(store, b"x", name)
    assert made.status == 201
    stored = kept(store) - before
    assert len(stored) == 2
    for path in stored:
        relative = path.relative_to(store.data_dir / "files").as_posix()
        assert re.fullmatch(r"edit/\d{4}/\d\d/\d\d/\d\d/[\w-][^/\\\x00-\x1f]*", relative)
        assert len(path.name.encode()) <= 255
    got = ask(store, "GET", f"{made.headers['location']}/content?disposition=inline")
    assert (got.status, got.body) == (200, b"x")
    assert "x-evil" not in got.headers
    assert not set(got.headers["content-disposition"]) & set("/\\\r\n\0")


def test_what_was_announced_must_be_what_came(store: Samovar) -> None:
    before = kept(store)
    wrong = upload(store, X_Checksum_Sha256="0" * 64)
    assert (wrong.status, wrong.json["code"]) == (422, "content_differs")
    assert upload(store, query="?size_bytes=5").status == 422
    assert upload(store, X_Checksum_Sha256="no checksum").status == 422
    right = upload(store, X_Checksum_Sha256=hashlib.sha256(BYTES).hexdigest().upper())
    assert right.status == 201
    assert len(kept(store) - before) == 2


def test_a_client_that_stops_halfway_leaves_nothing_and_takes_nothing_down(store: Samovar) -> None:
    before = kept(store)
    for falls_silent in (False, True):
        with connected(store) as connection:
            head = f"POST /api/files/upload HTTP/1.1\r\nHost: x\r\nX-Filename: half.bin\r\nContent-Length: {2 * len(BYTES)}\r\n"
            connection.sendall(f"{head}Authorization: Bearer {store.key}\r\n\r\n".encode() + BYTES)
            if falls_silent:
                assert b" 408 " in connection.recv(200)
    upload(store, b"after")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and len(kept(store) - before) != 2:
        time.sleep(0.05)
    assert len(kept(store) - before) == 2


def test_more_than_may_be_sent_is_refused_at_once_or_when_it_comes(store: Samovar) -> None:
    before = kept(store)
    with connected(store) as connection:
        head = f"POST /api/files/upload HTTP/1.1\r\nHost: x\r\nX-Filename: a\r\nContent-Length: {MAX_BYTES + 1}\r\n"
        connection.sendall(f"{head}Authorization: Bearer {store.key}\r\n\r\n".encode())
        assert b" 413 " in connection.recv(200)
    chunked = ask(store, "POST", "/api/files/upload", iter([BYTES] * 3), X_Filename="a", Transfer_Encoding="chunked")
    assert (chunked.status, chunked.json["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert upload(store, b"x", "n" * 1025).status == 422
    assert ask(store, "POST", "/api/files/upload", b"x").status == 400
    assert kept(store) == before


def test_a_chunked_upload_without_a_length_is_taken(store: Samovar) -> None:
    made = ask(store, "POST", "/api/files/upload", iter([b"ab", b"c"]), X_Filename="a", Transfer_Encoding="chunked")
    assert (made.status, made.json["size_bytes"]) == (201, 3)


def test_ranges_and_conditions_are_those_of_http(store: Samovar) -> None:
    made = upload(store)
    path, tag = f"{made.headers['location']}/content", f'"{made.json["checksum"]}"'
    modified = ask(store, "HEAD", path).headers["last-modified"]
    size = len(BYTES)

    def ranged(said: str, **more: str) -> tuple[int, bytes, str | None]:
        got = ask(store, "GET", path, Range=said, **more)
        return got.status, got.body, got.headers.get("content-range")

    assert ranged("bytes=10-19") == (206, BYTES[10:20], f"bytes 10-19/{size}")
    assert ranged("bytes=-5") == (206, BYTES[-5:], f"bytes {size - 5}-{size - 1}/{size}")
    assert ranged(f"bytes={size - 1}-") == (206, BYTES[-1:], f"bytes {size - 1}-{size - 1}/{size}")
    assert ranged("bytes=0-1,5-6") == (200, BYTES, None)
    assert ranged("bytes=5-1") == (200, BYTES, None)
    status, _, told = ranged(f"bytes={size}-")
    assert (status, told) == (416, f"bytes */{size}")
    assert ranged("bytes=0-3", If_Range=tag)[0] == 206
    assert ranged("bytes=0-3", If_Range=modified)[0] == 206
    assert ranged("bytes=0-3", If_Range='"other"')[0] == ranged("bytes=0-3", If_Range=f"W/{tag}")[0] == 200
    assert ranged("bytes=0-3", If_None_Match=tag) == (304, b"", None)
    assert ask(store, "GET", path, If_None_Match=f'"x", {tag}').status == 304
    assert ask(store, "GET", path, If_None_Match='"x"').status == 200
    assert ask(store, "GET", path, If_Modified_Since=modified).status == 304
    assert ask(store, "GET", path, If_Modified_Since="Thu, 01 Jan 1970 00:00:00 GMT").status == 200
    assert ask(store, "GET", path, If_Match='"x"').status == 412
    assert ask(store, "GET", path, If_Match=tag).status == 200


def test_what_a_browser_might_run_is_shown_in_a_sandbox(store: Samovar) -> None:
    for name in ("page.html", "drawing.svg", "code.js"):
        got = ask(store, "GET", f"{upload(store, b'<script>', name).headers['location']}/content?disposition=inline")
        assert got.headers["content-security-policy"].startswith("sandbox;")
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-disposition"].startswith("inline;")


def test_anothers_file_is_not_there(store: Samovar) -> None:
    made = upload(store)
    other = ask(store, "POST", "/api/keys", json.dumps({"name": "other"}), **ADMIN).json["key"]
    path, stranger = made.headers["location"], {"Authorization": f"Bearer {other}"}
    missing = "/api/files/01a1fe73-1955-7ba3-86b2-c46168a16b72"
    for method, below, body in (
        ("GET", "", None),
        ("GET", "/content", None),
        ("HEAD", "/content", None),
        ("GET", "/content?thumbnail=64", None),
        ("PATCH", "", '{"tags": []}'),
        ("DELETE", "", None),
        ("POST", "/links", "{}"),
        ("GET", "/links", None),
    ):
        assert ask(store, method, path + below, body, **stranger).status == 404, (method, below)
        assert ask(store, method, missing + below, body).status == 404, (method, below)
    assert ask(store, "GET", path, Authorization="Bearer nobody").status == 401
    assert ask(store, "GET", "/api/files", **stranger).json["items"] == []
    assert ask(store, "GET", path, **ADMIN).status == 200


def test_a_link_opens_one_file_for_a_while_to_whoever_has_it(store: Samovar) -> None:
    made, other = upload(store, b"mine"), upload(store, b"other")
    path = made.headers["location"]
    link = ask(store, "POST", f"{path}/links", json.dumps({"ttl_s": 60, "disposition": "inline"})).json

    def opened(file: str, token: str) -> int:
        return ask(store, "GET", f"{file}/content?link={token}", Authorization="").status

    got = ask(store, "GET", link["url"], Authorization="")
    assert (got.status, got.body) == (200, b"mine")
    assert got.headers["content-disposition"].startswith("inline;")
    assert opened(other.headers["location"], link["link"]) == 403
    token = link["link"]
    assert (
        opened(path, f"{token[:-4]}AAAA") == opened(path, "x") == opened(path, "%00") == opened(path, "a" * 5000) == 403
    )
    assert ask(store, "GET", f"{path}?link={token}", Authorization="").status == 401
    short = ask(store, "POST", f"{path}/links", json.dumps({"ttl_s": 1})).json
    time.sleep(1.1)
    assert opened(path, short["link"]) == 403
    assert ask(store, "DELETE", f"{path}/links/{link['id']}").status == 204
    assert opened(path, token) == 403
    assert [one["id"] for one in ask(store, "GET", f"{path}/links").json["items"]] == [short["id"], link["id"]]


def test_the_same_upload_sent_again_with_its_key_is_one_file(store: Samovar) -> None:
    first = upload(store, b"once", Idempotency_Key="upload-1")
    again = upload(store, b"once", Idempotency_Key="upload-1")
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert again.headers["idempotent-replayed"] == "true"
    assert upload(store, b"another", Idempotency_Key="upload-1").status == 422
    refused = upload(store, b"x", X_Checksum_Sha256="0" * 64, Idempotency_Key="upload-2")
    assert (refused.status, refused.json["code"]) == (422, "content_differs")
    assert upload(store, b"y", X_Checksum_Sha256="1" * 64, Idempotency_Key="upload-2").status == 422


def test_a_file_is_found_changed_and_deleted(store: Samovar) -> None:
    made = upload(store, name="Квартальный отчёт.txt", query="?tags=q3")
    path, revision = made.headers["location"], made.headers["etag"]
    found = ask(store, "GET", "/api/files/search?q=" + urllib.parse.quote("отчеты") + "&tag=q3").json
    assert [one["file_id"] for one in found["items"]] == [made.json["file_id"]]
    changed = ask(store, "PATCH", path, '{"tags": ["q4"], "attributes": {"n": 1}}', If_Match=revision)
    assert (changed.status, changed.json["tags"], changed.json["attributes"]) == (200, ["q4"], {"n": 1})
    assert ask(store, "PATCH", path, '{"tags": []}', If_Match=revision).status == 412
    assert ask(store, "GET", "/api/files?tag=q3").json["items"] == []
    assert len(ask(store, "GET", "/api/files?attribute=n%3D1").json["items"]) == 1
    assert ask(store, "DELETE", path, If_Match='"7"').status == 412
    assert ask(store, "DELETE", path, If_Match="seven").status == 400
    assert ask(store, "DELETE", path, If_Match=ask(store, "GET", path).headers["etag"]).status == 204
    assert ask(store, "GET", path).status == ask(store, "GET", f"{path}/content").status == 404


def test_a_thumbnail_is_small_and_of_images_only(store: Samovar) -> None:
    made = upload(store, picture(size=(800, 600)), "red.png")
    got = ask(store, "GET", f"{made.headers['location']}/content?thumbnail=64")
    assert (got.status, got.headers["content-type"].partition("/")[0]) == (200, "image")
    assert len(got.body) < len(BYTES)
    tag = got.headers["etag"]
    assert ask(store, "GET", f"{made.headers['location']}/content?thumbnail=64", If_None_Match=tag).status == 304
    assert ask(store, "GET", f"{made.headers['location']}/content?thumbnail=63").status == 422
    text = upload(store, b"text", "a.txt")
    assert ask(store, "GET", f"{text.headers['location']}/content?thumbnail=64").status == 415


def test_modes_go_down_when_it_is_confirmed_and_are_named_in_refusals(store: Samovar, tmp_path: Path) -> None:
    new = {"id": "cold", "url": (tmp_path / "cold").as_uri(), "mode": "rw", "priority": 1}
    assert ask(store, "POST", "/api/storage-elements", json.dumps(new)).status == 403
    made = ask(store, "POST", "/api/storage-elements", json.dumps(new), **ADMIN)
    assert (made.status, made.json["mode"], made.json["is_away"]) == (201, "rw", False)
    assert ask(store, "POST", "/api/storage-elements", json.dumps(new), **ADMIN).status == 409
    bad = {**new, "id": "bad", "url": "ftp://x"}
    assert ask(store, "POST", "/api/storage-elements", json.dumps(bad), **ADMIN).status == 422
    file = upload(store, query="?retention=permanent")
    assert file.json["storage_element_id"] == "cold"
    refused = ask(store, "DELETE", file.headers["location"])
    assert (refused.status, refused.json["code"]) == (409, "mode_refused")
    assert "rw" in refused.json["detail"]
    mode = "/api/storage-elements/cold/mode"
    assert ask(store, "POST", mode, '{"mode": "ro"}', **ADMIN).json["code"] == "not_confirmed"
    assert ask(store, "POST", mode, '{"mode": "ro", "confirm": "cold"}', **ADMIN).json["mode"] == "ro"
    assert ask(store, "POST", mode, '{"mode": "rw", "confirm": "cold"}', **ADMIN).status == 409
    assert ask(store, "GET", f"{file.headers['location']}/content").body == BYTES
    assert ask(store, "PATCH", file.headers["location"], '{"tags": ["x"]}').status == 409
    assert upload(store, query="?retention=permanent").json["storage_element_id"] == "rw"
    assert ask(store, "POST", mode, '{"mode": "ar", "confirm": "cold"}', **ADMIN).json["mode"] == "ar"
    cold = ask(store, "GET", f"{file.headers['location']}/content")
    assert (cold.status, cold.json["code"]) == (409, "content_cold")
    assert ask(store, "GET", file.headers["location"]).status == 200


def test_what_an_owner_may_have_is_bounded_by_whoever_looks_after_the_storage(store: Samovar) -> None:
    made = ask(store, "POST", "/api/keys", json.dumps({"name": "small"}), **ADMIN).json
    small = {"Authorization": f"Bearer {made['key']}"}
    path = f"/api/files/owners/{made['id']}"
    assert ask(store, "PUT", path, '{"max_bytes": 10}', **small).status == 403
    assert ask(store, "PUT", path, '{"max_bytes": 10}', **ADMIN).json["max_bytes"] == 10
    time.sleep(2.1)
    assert upload(store, b"1234567890", **small).status == 201
    full = upload(store, b"1", **small)
    assert (full.status, full.json["code"]) == (507, "file_quota_reached")
    assert ask(store, "GET", path, **small).json["size_bytes"] == 10
    assert ask(store, "GET", path).status == 404


def test_files_are_there_after_a_restart(tmp_path: Path) -> None:
    first = start_samovar(tmp_path, {})
    made = upload(first)
    key = first.key
    first.stop()
    again = start_samovar(tmp_path, {})
    try:
        got = ask(again, "GET", f"{made.headers['location']}/content", Authorization=f"Bearer {key}")
        assert (got.status, got.body) == (200, BYTES)
    finally:
        again.stop()


def test_the_commands_of_the_guide_do_what_it_says(store: Samovar, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/files.md").read_text("utf-8")
    commands = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)[0]
    (tmp_path / "report.pdf").write_bytes(BYTES)
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=tmp_path,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "URL": store.url, "KEY": store.key},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (tmp_path / "copy.pdf").read_bytes() == BYTES
    assert (tmp_path / "beginning.bin").read_bytes() == BYTES[:100]
    answers = [json.loads(answer) for answer in re.sub(r"}\s*{", "}\n{", done.stdout).splitlines()]
    formed, raw, about, found, changed, link = answers
    assert (formed["tags"], formed["attributes"]) == (["report", "q3"], {"project": "apollo"})
    assert about == raw
    assert raw["retention"] == "permanent"
    assert [one["file_id"] for one in found["items"]] == [formed["file_id"]]
    assert (changed["tags"], changed["file_id"]) == (["q3", "final"], link["file_id"])


def test_a_bucket_keeps_files_as_a_folder_does(tmp_path: Path, seaweed: SeaweedS3) -> None:
    access = seaweed.access
    settings = {
        "SAMOVAR_BLOB_URL": f"s3://{BUCKET}/files-over-http",
        "SAMOVAR_BLOB_ENDPOINT": access.endpoint,
        "SAMOVAR_BLOB_REGION": access.region,
        "SAMOVAR_BLOB_ACCESS_KEY_ID": access.access_key_id,
        "SAMOVAR_BLOB_SECRET_ACCESS_KEY": access.secret_access_key,
    }
    bucket = start_samovar(tmp_path, settings)
    try:
        made = upload(bucket, query="?retention=permanent&tags=cold")
        assert (made.status, made.json["storage_element_id"]) == (201, "rw")
        path = f"{made.headers['location']}/content"
        assert ask(bucket, "GET", path).body == BYTES
        assert ask(bucket, "GET", path, Range="bytes=-3").body == BYTES[-3:]
        assert upload(bucket, X_Checksum_Sha256="0" * 64).json["code"] == "content_differs"
        temporary = upload(bucket, b"soon gone")
        assert ask(bucket, "DELETE", temporary.headers["location"]).status == 204
        assert ask(bucket, "DELETE", made.headers["location"]).json["code"] == "mode_refused"
    finally:
        bucket.stop()
