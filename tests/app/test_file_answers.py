"""How the bytes of files go out."""

from typing import Any

import pytest

from samovar.app.application import edge_of
from samovar.ports.asgi import Message
from tests.app.conftest import ADMIN, Serve, Served


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
async def test_what_is_no_id_is_the_id_of_no_file(shared: Served, method: str, below: str, file_id: str) -> None:
    path, body = f"/api/files/{file_id}{below}", b"{}" if method in ("PATCH", "POST") else b""
    answer = await shared.ask(method, path, body=body, headers=ADMIN)
    assert answer.status == 404
    if method != "HEAD":
        assert answer.json["code"] == "file_not_found"
    assert (await shared.ask(method, path, body=body)).status == 401


@pytest.mark.parametrize(("method", "below"), [("GET", ""), ("POST", "/cancel")])
async def test_what_is_no_id_is_the_id_of_no_transaction(shared: Served, method: str, below: str) -> None:
    answer = await shared.ask(method, f"/api/transactions/{NO_ID}{below}", headers=ADMIN)
    assert (answer.status, answer.json["code"]) == (404, "transaction_not_found")


async def test_places_beside_the_files_are_no_files(shared: Served) -> None:
    assert (await shared.ask("GET", "/api/files/search", headers=ADMIN)).status == 200
    for path in ("upload", "uploads"):
        answer = await shared.ask("GET", f"/api/files/{path}", headers=ADMIN)
        assert answer.status == 405
        assert "POST" in answer.headers["allow"]


async def _linked(served: Served) -> tuple[str, str, str]:
    """The path of a content, the address of a link to it, and where the link is revoked."""
    made = await served.ask("POST", "/api/files/upload", body=b"tea", headers={**ADMIN, "X-Filename": "tea"})
    path = f"/api/files/{made.json['file_id']}"
    link = await served.ask("POST", f"{path}/links", body=b"{}", headers=ADMIN)
    return f"{path}/content", link.json["url"].partition("/api/")[2], f"{path}/links/{link.json['id']}"


async def test_a_good_link_is_counted_by_itself_and_not_by_the_address(serve: Serve) -> None:
    served = await serve(host="0.0.0.0", address_limit="2/hour", block_tries="1/hour", link_limits="5/hour")  # noqa: S104
    (_, one, _), (_, other, _) = await _linked(served), await _linked(served)
    answers = [await served.ask("GET", f"/api/{one}", headers={"Range": "bytes=1-1"}) for _ in range(7)]
    assert [answer.status for answer in answers] == [206] * 5 + [429] * 2
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"5"}
    assert (answers[-1].json["code"], int(answers[-1].headers["retry-after"]) > 0) == ("rate_limited", True)
    assert (await served.ask("GET", f"/api/{other}")).body == b"tea"


async def test_a_link_that_opens_nothing_is_counted_by_the_address(serve: Serve) -> None:
    served = await serve(host="0.0.0.0", address_limit="3/hour", link_limits="off")  # noqa: S104
    (path, good, _), (other, revoked, where) = await _linked(served), await _linked(served)
    assert (await served.ask("DELETE", where, headers=ADMIN)).status == 204
    moved = f"{other}?{good.partition('?')[2]}"
    answers = [await served.ask("GET", one) for one in (f"{path}?link=zz", moved, f"/api/{revoked}", f"/api/{revoked}")]
    assert [answer.status for answer in answers] == [403, 403, 403, 429]
    answer = await served.ask("GET", f"/api/{good}")
    assert (answer.status, answer.body) == (200, b"tea")
    assert "x-ratelimit-limit" not in answer.headers
