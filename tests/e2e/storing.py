"""Calls about files, byte for byte."""

import http.client
import json
import socket
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.conftest import ADMIN_TOKEN, Samovar

ADMIN = {"X-Admin-Token": ADMIN_TOKEN}
BYTES = bytes(range(256)) * 4000


class Answer(NamedTuple):
    """Of a raw call."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(store: Samovar, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """As whoever the headers say; else as the key's owner."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if "X-Admin-Token" not in sent and "Authorization" not in sent:
        sent["Authorization"] = f"Bearer {store.key}"
    host = urllib.parse.urlsplit(store.url).netloc
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request(method, path, body, sent, encode_chunked=not isinstance(body, bytes | str | None))
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def upload(store: Samovar, content: bytes = BYTES, name: str = "a.bin", query: str = "", **headers: str) -> Answer:
    return ask(
        store, "POST", f"/api/files/upload{query}", content, X_Filename=urllib.parse.quote(name, safe=""), **headers
    )


def form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, str]:
    """A form of these: field, file name, content."""
    pieces = []
    for field, filename, content in parts:
        named = "" if filename is None else f'; filename="{filename}"'
        head = f'--edge\r\nContent-Disposition: form-data; name="{field}"{named}\r\n\r\n'
        pieces += [head.encode(), content, b"\r\n"]
    return b"".join([*pieces, b"--edge--\r\n"]), "multipart/form-data; boundary=edge"


def kept(store: Samovar) -> set[Path]:
    """Everything that stands where files do."""
    return {path for path in (store.data_dir / "files").glob("*/2*/**/*") if path.is_file()}


def connected(store: Samovar) -> socket.socket:
    address = urllib.parse.urlsplit(store.url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=10)
