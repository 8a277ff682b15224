"""How the bytes of files go out."""

from typing import Any

import pytest

from samovar.app.application import edge_of
from samovar.ports.asgi import Message
from tests.app.conftest import ADMIN, Served


async def _messages(served: Served, path: str, **headers: str) -> list[Message]:
    """Of an answer, as the server gets them."""
    said: list[Message] = []
    sent = {**{name.lower(): value for name, value in ADMIN.items()}, **headers}
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": None,
        "scheme": "http",
        "http_version": "1.1",
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    await edge_of(served.services)(scope, receive, send)
    return said


async def test_an_answer_is_over_with_its_last_byte_so_that_who_has_it_is_no_caller_who_left(served: Served) -> None:
    content = b"tea" * 1_000_000
    for held in (b"", b"x", content):
        made = await served.ask("POST", "/api/files/upload", body=held, headers={**ADMIN, "X-Filename": "tea"})
        path = f"/api/files/{made.json['file_id']}/content"
        for wanted, headers in ((held, {}), (held[-1:], {"range": "bytes=-1"})):
            if headers and not held:
                continue
            _, *pieces = await _messages(served, path, **headers)
            assert b"".join(one["body"] for one in pieces) == wanted
            assert [bool(one.get("more_body")) for one in pieces] == [True] * (len(pieces) - 1) + [False]
            assert all(one["body"] for one in pieces) or not wanted


NO_ID = "zz"
LONG = "0192f0c1-7a4e-7c3a-9f0e-5d2b8e1a4c77-and-more"
BELOW_A_FILE = [
    ("GET", ""),
    ("HEAD", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("GET", "/content"),
    ("HEAD", "/content"),
    ("POST", "/finalize"),
    ("POST", "/restore"),
    ("GET", "/links"),
    ("POST", "/links"),
    ("DELETE", "/links/link_1"),
]


@pytest.mark.parametrize(("method", "below"), BELOW_A_FILE)
@pytest.mark.parametrize("file_id", [NO_ID, LONG])
async def test_what_is_no_id_is_the_id_of_no_file(served: Served, method: str, below: str, file_id: str) -> None:
    path, body = f"/api/files/{file_id}{below}", b"{}" if method in ("PATCH", "POST") else b""
    answer = await served.ask(method, path, body=body, headers=ADMIN)
    assert answer.status == 404
    if method != "HEAD":
        assert answer.json["code"] == "file_not_found"
    assert (await served.ask(method, path, body=body)).status == 401


@pytest.mark.parametrize(("method", "below"), [("GET", ""), ("POST", "/cancel")])
async def test_what_is_no_id_is_the_id_of_no_transaction(served: Served, method: str, below: str) -> None:
    answer = await served.ask(method, f"/api/transactions/{NO_ID}{below}", headers=ADMIN)
    assert (answer.status, answer.json["code"]) == (404, "transaction_not_found")


async def test_places_beside_the_files_are_no_files(served: Served) -> None:
    assert (await served.ask("GET", "/api/files/search", headers=ADMIN)).status == 200
    for path in ("upload", "uploads"):
        answer = await served.ask("GET", f"/api/files/{path}", headers=ADMIN)
        assert answer.status == 405
        assert "POST" in answer.headers["allow"]
