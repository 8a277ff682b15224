"""Vision of stored files: `file_id` in JSON, in lists and in forms, whole and streamed, with the caller's own rights."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import storing
from tests.e2e.apart import installation, kill, register, until
from tests.e2e.conftest import Samovar, start_samovar
from tests.e2e.pictures import ANALYZE, STREAM, ask, chunks_of, form, picture, words_of
from tests.e2e.storing import ADMIN, upload

SANDBOX = {"model": "sandbox/vision", "prompt": "What is it?"}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar with files, which looks by the sandbox."""
    running = start_samovar(tmp_path_factory.mktemp("looking"), {"SAMOVAR_SANDBOX": "on"})
    yield running
    running.stop()


def key_of(store: Samovar, name: str = "looker", **more: Any) -> str:
    """A new one."""
    made = storing.ask(store, "POST", "/api/keys", json.dumps({"name": name, **more}), **ADMIN)
    assert made.status == 201, made.body
    return str(made.json["key"])


def as_another(store: Samovar, name: str, **more: Any) -> dict[str, str]:
    """Signs in with a key of its own."""
    return {"Authorization": f"Bearer {key_of(store, name, **more)}"}


def kept(store: Samovar, content: bytes, query: str = "") -> str:
    """The id of a file that says nothing of what it is."""
    made = upload(store, content, "scan", query)
    assert made.status == 201, made.body
    return str(made.json["file_id"])


def test_a_stored_picture_is_looked_at_in_json_lists_forms_and_streams(store: Samovar) -> None:
    red, green = kept(store, picture("red")), kept(store, picture("green", (10, 20), "JPEG"))
    status, said, _ = ask(store, {**SANDBOX, "file_id": red})
    assert status == 200, said
    assert "PNG, 32 x 24" in said["text"]
    assert "red" in said["text"]
    status, text, _ = ask(store, {**SANDBOX, "file_id": red}, STREAM)
    assert status == 200, text
    assert words_of(chunks_of(text)) == said["text"]
    status, said, _ = ask(store, {**SANDBOX, "images": [{"file_id": green}, {"file_id": red}]})
    assert status == 200, said
    assert "Image 1: JPEG, 10 x 20" in said["text"]
    assert "Image 2: PNG, 32 x 24" in said["text"]
    body, kind = form([*SANDBOX.items(), ("file_id", green), ("image", picture("blue"))])
    status, said, _ = ask(store, body, **{"Content-Type": kind})
    assert status == 200, said
    assert "Image 1: PNG, 32 x 24" in said["text"]
    assert "Image 2: JPEG, 10 x 20" in said["text"]
    status, text, _ = ask(store, body, STREAM, **{"Content-Type": kind})
    assert (status, words_of(chunks_of(text))) == (200, said["text"])


def test_a_file_is_looked_at_by_whoever_may_read_it_and_is_not_there_for_others(store: Samovar) -> None:
    file_id = kept(store, picture())
    status, refused, headers = ask(store, {**SANDBOX, "file_id": file_id}, **as_another(store, "another"))
    assert (status, refused["code"]) == (404, "file_not_found"), refused
    assert headers["content-type"] == "application/problem+json"
    status, refused, _ = ask(store, {**SANDBOX, "file_id": file_id}, STREAM, **as_another(store, "another as well"))
    assert (status, refused["code"]) == (404, "file_not_found"), refused
    status, said, _ = ask(store, {**SANDBOX, "file_id": file_id}, **as_another(store, "keeper", scopes=["admin"]))
    assert status == 200, said
    assert storing.ask(store, "DELETE", f"/api/files/{file_id}").status == 204
    status, refused, _ = ask(store, {**SANDBOX, "file_id": file_id})
    assert (status, refused["code"]) == (404, "file_not_found"), refused


@pytest.mark.parametrize(
    ("content", "status_wanted", "code"),
    [
        (b"", 422, "invalid_request"),
        (SVG, 415, "unsupported_image"),
        (b"%PDF-1.7 ...", 415, "unsupported_image"),
        (picture(kind="JPEG", size=(400, 300))[:900], 422, "broken_image"),
        (picture() + bytes(20_000_000), 413, "image_too_large"),
    ],
)
@pytest.mark.parametrize("path", [ANALYZE, STREAM])
def test_what_is_no_good_picture_is_refused_as_one_that_is_sent(
    store: Samovar, content: bytes, status_wanted: int, code: str, path: str
) -> None:
    status, refused, _ = ask(store, {**SANDBOX, "file_id": kept(store, content)}, path)
    assert (status, refused["code"]) == (status_wanted, code), refused


@pytest.mark.parametrize("path", [ANALYZE, STREAM])
def test_a_picture_in_the_archive_is_refused_with_the_way_to_it(
    store: Samovar, tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    name = path.rpartition("/")[2]
    url = (tmp_path_factory.mktemp("cold") / name).as_uri()
    new = {"id": name, "url": url, "mode": "rw", "priority": 1}
    assert storing.ask(store, "POST", "/api/storage-elements", json.dumps(new), **ADMIN).status == 201
    file_id = kept(store, picture(), "?retention=permanent&replicas=1")
    for mode in ("ro", "ar"):
        lower = json.dumps({"mode": mode, "confirm": name})
        assert storing.ask(store, "POST", f"/api/storage-elements/{name}/mode", lower, **ADMIN).status == 200
    status, refused, headers = ask(store, {**SANDBOX, "file_id": file_id}, path)
    restore = f"/api/files/{file_id}/restore"
    assert (status, refused["code"], refused["restore"]) == (409, "content_cold", f"POST {restore}")
    assert headers["link"] == f'<{restore}>; rel="restore"'


def test_a_gateway_of_its_own_looks_at_files_of_elements_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, redis_server: str, empty_postgres_url: str
) -> None:
    with installation(tmp_path_factory.mktemp("looking-apart")) as apart:
        admin = apart.start("admin")
        storage = apart.storage(admin, "se-1", "edit")
        register(admin, storage, "se-1", "edit")
        ingester, gateway = apart.start_all("ingester", "gateway", SAMOVAR_SANDBOX="on")
        ingester.key = gateway.key = key_of(admin)
        asked = {**SANDBOX, "file_id": kept(ingester, picture())}
        until(lambda: ask(gateway, asked)[0] == 200)
        status, said, _ = ask(gateway, asked)
        assert "PNG, 32 x 24" in said["text"]
        assert gateway.request("GET", f"/api/files/{asked['file_id']}")[0] == 404
        kill(storage)
        for path in (ANALYZE, STREAM):
            status, refused, headers = ask(gateway, asked, path)
            assert (status, refused["code"]) == (503, "content_unavailable"), refused
            assert int(headers["retry-after"]) > 0


def test_a_gateway_beside_a_process_that_keeps_its_folders_to_itself_says_so(
    tmp_path_factory: pytest.TempPathFactory, redis_server: str, empty_postgres_url: str
) -> None:
    with installation(tmp_path_factory.mktemp("looking-in-vain")) as apart:
        admin = apart.start("admin")
        files, gateway = apart.start_all("files", "gateway", SAMOVAR_SANDBOX="on")
        files.key = gateway.key = key_of(admin)
        asked = {**SANDBOX, "file_id": kept(files, picture())}
        words = "edit is a folder, which only a process with the role storage-element opens"
        until(lambda: words in str(ask(gateway, asked)[1]))
        status, refused, _ = ask(gateway, asked)
        assert (status, refused["code"]) == (503, "content_unavailable")
        assert gateway.output.read_text().count("a storage element is out of reach") == 2
