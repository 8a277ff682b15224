"""Uploads in pieces into a bucket, on a real S3 server, through everything that may break in the middle."""

import http.client
import io
import json
import os
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tusclient.client import TusClient

from tests.e2e.conftest import Samovar, start_samovar
from tests.e2e.storing import ask, upload
from tests.support.seaweed import BUCKET, SeaweedS3
from tests.support.sockets import wire_to

MIB = 1024 * 1024
UPLOADS = "/api/files/uploads"
TUS = {"Tus_Resumable": "1.0.0"}
PIECE = {**TUS, "Content_Type": "application/offset+octet-stream"}


def settings_of(seaweed: SeaweedS3, prefix: str) -> dict[str, str]:
    access = seaweed.access
    return {
        "SAMOVAR_BLOB_URL": f"s3://{BUCKET}/{prefix}",
        "SAMOVAR_BLOB_ENDPOINT": access.endpoint,
        "SAMOVAR_BLOB_REGION": access.region,
        "SAMOVAR_BLOB_ACCESS_KEY_ID": access.access_key_id,
        "SAMOVAR_BLOB_SECRET_ACCESS_KEY": access.secret_access_key,
    }


@pytest.fixture(scope="module")
def quiet(seaweed: SeaweedS3) -> dict[str, str]:
    """Settings of a store that two tests share."""
    return settings_of(seaweed, f"tus-{os.urandom(6).hex()}")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, quiet: dict[str, str]) -> Iterator[Samovar]:
    """A Samovar whose files are in a bucket."""
    running = start_samovar(tmp_path_factory.mktemp("bucket"), quiet)
    yield running
    running.stop()


@pytest.fixture
def settings(seaweed: SeaweedS3) -> dict[str, str]:
    """The same for a store of one's own."""
    return settings_of(seaweed, f"tus-{os.urandom(6).hex()}")


def uploader_of(store: Samovar, content: bytes, **options: Any) -> Any:
    client = TusClient(f"{store.url}{UPLOADS}", headers={"Authorization": f"Bearer {store.key}"})
    return client.uploader(file_stream=io.BytesIO(content), **options)


def content_at(store: Samovar, url: str) -> bytes:
    return ask(store, "GET", f"/api/files/{url.rsplit('/', 1)[1]}/content").body


def objects(seaweed: SeaweedS3, settings: dict[str, str]) -> list[str]:
    """All that is there."""
    import obstore
    from obstore.store import S3Store

    prefix = settings["SAMOVAR_BLOB_URL"].rsplit("/", 1)[1]
    config = seaweed.access.config()
    there = S3Store(BUCKET, prefix=prefix, client_options={"allow_http": True}, **config)
    return [one["path"] for page in obstore.list(there) for one in page]


def open_uploads(seaweed: SeaweedS3, settings: dict[str, str]) -> list[str]:
    """What stands of uploads that are no files yet, or not any more."""
    return [one for one in objects(seaweed, settings) if "/.element/uploads/" in one]


def test_a_client_that_others_wrote_uploads_into_a_bucket_in_checked_pieces(
    store: Samovar, seaweed: SeaweedS3, quiet: dict[str, str]
) -> None:
    content = os.urandom(20 * MIB + 17)
    uploader = uploader_of(
        store,
        content,
        chunk_size=3 * MIB,
        upload_checksum=True,
        metadata={"filename": "чай.bin", "retention": "permanent"},
    )
    uploader.upload()
    assert content_at(store, uploader.url) == content
    told = ask(store, "GET", f"/api/files/{uploader.url.rsplit('/', 1)[1]}").json
    assert (told["filename"], told["storage_element_id"], told["size_bytes"]) == ("чай.bin", "rw", len(content))
    assert open_uploads(seaweed, quiet) == []
    empty = uploader_of(store, b"", chunk_size=MIB)
    empty.upload()
    assert content_at(store, empty.url) == b""


def test_an_upload_into_a_bucket_goes_on_after_its_server_was_killed(tmp_path: Path, settings: dict[str, str]) -> None:
    content = os.urandom(24 * MIB)
    first = start_samovar(tmp_path, settings)
    uploader = uploader_of(first, content, chunk_size=5 * MIB)
    uploader.upload(stop_at=10 * MIB)
    first.process.kill()
    first.process.wait(30)
    second = start_samovar(tmp_path, settings)
    second.key = first.key
    try:
        url = second.url + urllib.parse.urlsplit(uploader.url).path
        again = uploader_of(second, content, url=url, chunk_size=5 * MIB)
        assert again.offset == 10 * MIB
        again.upload()
        assert content_at(second, url) == content
    finally:
        second.stop()


def test_what_was_given_up_leaves_nothing_in_the_bucket(
    store: Samovar, seaweed: SeaweedS3, quiet: dict[str, str]
) -> None:
    made = ask(store, "POST", UPLOADS, b"half", Upload_Length="8", **PIECE)
    assert (made.status, made.headers["upload-offset"]) == (201, "4")
    path = made.headers["location"]
    wrong = ask(
        store, "PATCH", path, b"rest", Upload_Offset="4", Upload_Checksum="sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=", **PIECE
    )
    assert wrong.status == 460
    assert ask(store, "HEAD", path, **TUS).headers["upload-offset"] == "4"
    assert open_uploads(seaweed, quiet)
    assert ask(store, "DELETE", path, **TUS).status == 204
    assert open_uploads(seaweed, quiet) == []


def test_a_bucket_that_goes_away_in_the_middle_is_told_at_once_and_leaves_no_half_file(
    tmp_path: Path, seaweed: SeaweedS3, settings: dict[str, str]
) -> None:
    content = os.urandom(40 * MIB)
    real = urllib.parse.urlsplit(seaweed.access.endpoint)
    with wire_to(real.hostname or "", real.port or 0) as wire:
        store = start_samovar(tmp_path, {**settings, "SAMOVAR_BLOB_ENDPOINT": f"http://127.0.0.1:{wire.port}"})
        try:
            kept = upload(store, b"kept").json
            uploader = uploader_of(store, content, chunk_size=8 * MIB)
            uploader.upload(stop_at=16 * MIB)
            host = urllib.parse.urlsplit(store.url).netloc
            sending = http.client.HTTPConnection(host, timeout=60)
            sending.putrequest("POST", "/api/files/upload")
            for name, value in (("Authorization", f"Bearer {store.key}"), ("X-Filename", "half.bin")):
                sending.putheader(name, value)
            sending.putheader("Content-Length", str(len(content)))
            sending.endheaders(content[: 24 * MIB])
            wire.cut()
            sending.send(content[24 * MIB :])
            answer = sending.getresponse()
            told = json.loads(answer.read())
            sending.close()
            assert (answer.status, told["code"]) == (503, "storage_unavailable")
            assert answer.headers["Retry-After"]
            assert str(wire.port) not in told["detail"]
            # What is known of files is told all the same, and content says when to come again.
            assert ask(store, "GET", f"/api/files/{kept['file_id']}").status == 200
            away = ask(store, "GET", f"/api/files/{kept['file_id']}/content")
            assert (away.status, away.headers["retry-after"]) == (503, "5")
            refused = upload(store, b"x")
            assert (refused.status, "retry-after" in refused.headers) == (503, True)
            wire.mend()
            until_back = time.monotonic() + 20
            while ask(store, "GET", f"/api/files/{kept['file_id']}/content").status != 200:
                assert time.monotonic() < until_back
                time.sleep(0.1)
            uploader.upload()
            assert content_at(store, uploader.url) == content
            found = ask(store, "GET", "/api/files").json["items"]
            assert {one["file_id"] for one in found} == {kept["file_id"], uploader.url.rsplit("/", 1)[1]}
            assert not [one for one in objects(seaweed, settings) if "half" in one and one.endswith(".attr.json")]
        finally:
            store.stop()
