"""How the bytes of files go out."""

from typing import Any

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
