"""Uploads in pieces: a client that others wrote, and all that clients get wrong."""

import base64
import hashlib
import http.client
import io
import os
import socket
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed

from tests.e2e.conftest import ADMIN_TOKEN, Samovar, start_samovar

UPLOADS = "/api/files/uploads"
MAX_BYTES = 64 * 1024 * 1024
MIB = 1024 * 1024
PIECE = "application/offset+octet-stream"
VERSION = {"Tus-Resumable": "1.0.0"}
BYTES = bytes(range(256)) * 4000


class Answer(NamedTuple):
    """Of a raw call."""

    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar that takes 64 MiB, from pages of one other origin too."""
    settings = {"SAMOVAR_FILE_MAX_BYTES": str(MAX_BYTES), "ALLOWED_ORIGINS": "https://app.example"}
    running = start_samovar(tmp_path_factory.mktemp("tus"), settings)
    yield running
    running.stop()


def ask(store: Samovar, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """As the key's owner, a client of tus."""
    sent = {"Authorization": f"Bearer {store.key}", **VERSION}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(store.url).netloc, timeout=30)
    try:
        connection.request(method, path, body, {name: value for name, value in sent.items() if value})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def begun(store: Samovar, length: int | None = len(BYTES), said: str = "", **headers: str) -> str:
    """An upload's path."""
    how = {"Upload_Defer_Length": "1"} if length is None else {"Upload_Length": str(length)}
    made = ask(store, "POST", UPLOADS, Upload_Metadata=said, **how, **headers)
    assert made.status == 201, made.body
    return made.headers["location"]


def add(store: Samovar, path: str, content: bytes, offset: int = 0, **headers: str) -> Answer:
    sent = {"Content_Type": PIECE, "Upload_Offset": str(offset), **headers}
    return ask(store, "PATCH", path, content, **sent)


def offset_of(store: Samovar, path: str) -> int:
    told = ask(store, "HEAD", path)
    assert (told.status, told.headers["cache-control"]) == (200, "no-store")
    return int(told.headers["upload-offset"])


def content_of(store: Samovar, path: str) -> bytes:
    got = ask(store, "GET", f"/api/files/{path.rsplit('/', 1)[1]}/content")
    assert got.status == 200
    return got.body


def client_of(store: Samovar) -> TusClient:
    return TusClient(f"{store.url}{UPLOADS}", headers={"Authorization": f"Bearer {store.key}"})


def pairs(**said: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in said.items())


def half_sent(store: Samovar, path: str, content: bytes, whole: int) -> socket.socket:
    """A PATCH whose client sent this, and falls silent."""
    host = urllib.parse.urlsplit(store.url)
    connection = socket.create_connection((host.hostname or "", host.port or 0), timeout=30)
    head = [
        f"PATCH {path} HTTP/1.1",
        f"Host: {host.netloc}",
        f"Authorization: Bearer {store.key}",
        "Tus-Resumable: 1.0.0",
        f"Content-Type: {PIECE}",
        "Upload-Offset: 0",
        f"Content-Length: {whole}",
    ]
    connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode() + content)
    return connection


def test_a_client_that_others_wrote_uploads_a_file_in_checked_pieces(store: Samovar) -> None:
    uploader = client_of(store).uploader(
        file_stream=io.BytesIO(BYTES),
        chunk_size=100_000,
        metadata={"filename": "Отчёт.pdf", "filetype": "application/pdf", "tags": "report,q3", "mine": "whatever"},
        upload_checksum=True,
    )
    uploader.upload()
    path = urllib.parse.urlsplit(uploader.url).path
    assert content_of(store, path) == BYTES
    _, told, _ = store.request("GET", f"/api/files/{path.rsplit('/', 1)[1]}")
    assert (told["filename"], told["content_type"], told["tags"]) == ("Отчёт.pdf", "application/pdf", ["report", "q3"])
    assert told["checksum"] == hashlib.sha256(BYTES).hexdigest()
    ended = ask(store, "HEAD", path)
    assert ended.headers["x-file-id"] == told["file_id"]
    assert base64.b64encode(b"whatever").decode() in ended.headers["upload-metadata"]


def test_an_upload_goes_on_after_the_server_was_killed_in_the_middle_of_a_piece(tmp_path: Path) -> None:
    content = os.urandom(48 * MIB)
    first = start_samovar(tmp_path, {})
    path = begun(first, len(content), pairs(filename="large.bin"))
    sending = half_sent(first, path, content[: 40 * MIB], len(content))
    durable = 32 * MIB
    deadline = time.monotonic() + 30
    uploads = first.data_dir / "files" / "edit" / ".element" / "uploads"
    while sum(one.stat().st_size for one in uploads.glob("*.data")) < durable + MIB:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.process.kill()
    first.process.wait(30)
    sending.close()
    second = start_samovar(tmp_path, {})
    second.key = first.key
    try:
        assert offset_of(second, path) >= durable
        uploader = client_of(second).uploader(
            file_stream=io.BytesIO(content), url=second.url + path, chunk_size=8 * MIB
        )
        assert uploader.offset >= durable
        uploader.upload()
        assert content_of(second, path) == content
    finally:
        second.stop()


def test_whoever_asks_where_an_upload_stands_goes_on_though_the_broken_connection_is_still_open(store: Samovar) -> None:
    path = begun(store)
    stale = half_sent(store, path, BYTES[:300_000], len(BYTES))
    time.sleep(0.1)
    # Of two that come at once one wins: where that was not the first, it comes again.
    while b"upload_busy" not in add(store, path, b"x", 7).body:
        stale.close()
        stale = half_sent(store, path, BYTES[:300_000], len(BYTES))
        time.sleep(0.1)
    stands = offset_of(store, path)
    assert stands <= 300_000
    assert add(store, path, BYTES[stands:], stands).status == 204
    assert b" 409 " in stale.recv(1000).split(b"\r\n")[0]
    stale.close()
    assert content_of(store, path) == BYTES


def test_a_piece_goes_where_the_upload_stands_or_nowhere(store: Samovar) -> None:
    path = begun(store)
    assert add(store, path, BYTES[:1000]).headers["upload-offset"] == "1000"
    for wrong in (0, 999, 1001):
        refused = add(store, path, b"x", wrong)
        assert (refused.status, refused.headers["upload-offset"]) == (409, "1000")
        assert refused.headers["tus-resumable"] == "1.0.0"
    assert add(store, path, BYTES, 1000).status == 413
    assert offset_of(store, path) == 1000
    last = add(store, path, BYTES[1000:], 1000)
    assert (last.status, last.headers["x-file-id"]) == (204, path.rsplit("/", 1)[1])
    assert add(store, path, b"more", len(BYTES)).headers["x-file-id"] == path.rsplit("/", 1)[1]
    assert content_of(store, path) == BYTES


def test_a_piece_with_another_checksum_leaves_nothing(store: Samovar) -> None:
    path = begun(store)
    for name in ("sha1", "sha256"):
        good = base64.b64encode(hashlib.new(name, BYTES[:5000]).digest()).decode()
        stands = offset_of(store, path)
        wrong = add(store, path, BYTES[1:5001], stands, Upload_Checksum=f"{name} {good}")
        assert wrong.status == 460
        assert offset_of(store, path) == stands
        assert add(store, path, BYTES[:5000], stands, Upload_Checksum=f"{name} {good}").status == 204
    for bad in ("md5 AAAA", "sha1 ???", "sha1"):
        assert add(store, path, b"x", 10_000, Upload_Checksum=bad).status in (400, 460)
    assert offset_of(store, path) == 10_000


def test_the_length_may_be_said_later_and_the_first_piece_at_once(store: Samovar) -> None:
    made = ask(store, "POST", UPLOADS, BYTES[:700], Upload_Defer_Length="1", Content_Type=PIECE)
    assert (made.status, made.headers["upload-offset"]) == (201, "700")
    path = made.headers["location"]
    assert ask(store, "HEAD", path).headers["upload-defer-length"] == "1"
    assert add(store, path, BYTES[700:900], 700).status == 204
    assert add(store, path, b"", 900, Upload_Length="3").status == 400
    last = add(store, path, BYTES[900:], 900, Upload_Length=str(len(BYTES)))
    assert "x-file-id" in last.headers
    assert content_of(store, path) == BYTES
    whole = ask(store, "POST", UPLOADS, BYTES, Upload_Length=str(len(BYTES)), Content_Type=PIECE)
    assert content_of(store, whole.headers["location"]) == BYTES
    assert content_of(store, begun(store, 0)) == b""


def test_what_was_given_up_is_gone_and_a_finished_file_stays(store: Samovar) -> None:
    path = begun(store)
    add(store, path, BYTES[:10])
    assert ask(store, "DELETE", path).status == 204
    for method in ("HEAD", "DELETE"):
        assert ask(store, method, path).status in (404, 410)
    assert add(store, path, b"x", 10).status in (404, 410)
    ended = begun(store, 3)
    add(store, ended, b"tea")
    assert ask(store, "DELETE", ended).status == 204
    assert content_of(store, ended) == b"tea"


def test_an_upload_that_nobody_goes_on_with_is_over_when_it_said(tmp_path: Path) -> None:
    hasty = start_samovar(tmp_path, {"SAMOVAR_FILE_UPLOAD_TTL_S": "2"})
    try:
        path = begun(hasty)
        ends = parsedate_to_datetime(ask(hasty, "HEAD", path).headers["upload-expires"])
        while datetime.now(UTC) < ends + timedelta(seconds=1):
            time.sleep(0.05)
        assert ask(hasty, "HEAD", path).status == 410
        assert add(hasty, path, b"x").status == 410
    finally:
        hasty.stop()


def test_a_network_that_lets_only_posts_through_is_no_hindrance(store: Samovar) -> None:
    path = begun(store, 6)

    def posted(method: str, body: bytes = b"", **headers: str) -> Answer:
        return ask(store, "POST", path, body, X_HTTP_Method_Override=method, **headers)

    assert posted("PATCH", b"tea", Content_Type=PIECE, Upload_Offset="0").status == 204
    assert posted("HEAD").headers["upload-offset"] == "3"
    assert posted("PUT").status == 400
    assert posted("").status == 400
    assert posted("DELETE").status == 204
    assert ask(store, "HEAD", path).status == 404


def test_what_is_said_wrong_is_refused_for_what_it_is(store: Samovar) -> None:
    assert ask(store, "POST", UPLOADS).status == 400
    assert ask(store, "POST", UPLOADS, Upload_Length="-1").status == 400
    assert ask(store, "POST", UPLOADS, Upload_Length="1", Upload_Defer_Length="1").status == 400
    assert ask(store, "POST", UPLOADS, Upload_Length=str(MAX_BYTES + 1)).status == 413
    assert ask(store, "POST", UPLOADS, Upload_Length="1", Upload_Concat="partial").status == 400
    for said in ("filename ???", "filename aGk=,filename aGk=", "filename /w=="):
        assert ask(store, "POST", UPLOADS, Upload_Length="1", Upload_Metadata=said).status == 400
    assert ask(store, "POST", UPLOADS, Upload_Length="1", Upload_Metadata=pairs(ttl_days="0")).status == 422
    path = begun(store)
    old = add(store, path, b"x", Tus_Resumable="0.2.2")
    assert (old.status, old.headers["tus-version"]) == (412, "1.0.0")
    assert add(store, path, b"x", Content_Type="text/plain").status == 415
    assert add(store, path, b"x", Upload_Offset="").status == 400
    for unknown in (f"{UPLOADS}/x", f"{UPLOADS}/00000000-0000-7000-8000-000000000000"):
        assert ask(store, "HEAD", unknown).status == 404
    assert ask(store, "HEAD", path, Authorization="").status == 401
    uploader = client_of(store).uploader(file_stream=io.BytesIO(b"tea"), metadata={"checksum": "0" * 64})
    with pytest.raises(TusUploadFailed):
        uploader.upload()


def test_others_are_told_that_there_is_no_such_upload(store: Samovar) -> None:
    path = begun(store)
    other = store.request("POST", "/api/keys", {"name": "other"})[1]["key"]
    reader = store.request("POST", "/api/keys", {"name": "models", "scopes": ["models"]})[1]["key"]
    assert ask(store, "HEAD", path, Authorization=f"Bearer {other}").status == 404
    assert add(store, path, b"x", Authorization=f"Bearer {other}").status == 404
    assert ask(store, "POST", UPLOADS, Upload_Length="1", Authorization=f"Bearer {reader}").status == 403
    told = ask(store, "GET", path, Authorization="", X_Admin_Token=ADMIN_TOKEN)
    assert told.status == 200


def test_pages_of_other_origins_learn_what_is_spoken_and_where_they_stand(store: Samovar) -> None:
    spoken = ask(store, "OPTIONS", UPLOADS, Authorization="", Tus_Resumable="")
    assert spoken.status == 204
    assert spoken.headers["tus-version"] == "1.0.0"
    assert set(spoken.headers["tus-extension"].split(",")) >= {"creation", "termination", "checksum", "expiration"}
    assert spoken.headers["tus-max-size"] == str(MAX_BYTES)
    told = ask(store, "HEAD", begun(store), Origin="https://app.example")
    exposed = set(told.headers["access-control-expose-headers"].replace(" ", "").split(","))
    assert exposed >= {"location", "upload-offset", "upload-length", "upload-expires", "x-file-id", "tus-resumable"}


def test_each_step_of_an_upload_is_in_the_audit_chain(store: Samovar) -> None:
    path = begun(store, 3)
    add(store, path, b"tea")
    file = f"file:{path.rsplit('/', 1)[1]}"
    deadline = time.monotonic() + 10
    wanted = {"file-upload:create", "file-upload:append"}
    while time.monotonic() < deadline:
        _, page, _ = store.request("GET", f"/api/audit?resource={file}")
        if {one["action"] for one in page["items"] if one["resource"] == file} >= wanted:
            return
        time.sleep(0.05)
    pytest.fail("nobody wrote it down")
