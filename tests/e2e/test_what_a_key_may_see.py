"""What a key sees of the catalogue, and how a connection ends whose body was not read."""

import socket
import stat
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.conftest import Samovar


def ids_of(samovar: Samovar, key: str) -> list[str]:
    status, listed, _ = samovar.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
    assert status == 200, listed
    return [model["id"] for model in listed["data"]]


def key_with(samovar: Samovar, **wishes: Any) -> str:
    status, made, _ = samovar.request("POST", "/api/keys", {"name": "one of a kind", **wishes})
    assert status == 201, made
    return str(made["key"])


def test_aliases_and_groups_are_listed_with_the_models(samovar: Samovar) -> None:
    assert samovar.request("PUT", "/api/aliases/seen-alias", {"model_id": "sandbox/echo"})[0] in (200, 201)
    members = ["sandbox/echo", "sandbox/vision"]
    assert samovar.request("PUT", "/api/groups/seen-group", {"model_ids": members})[0] in (200, 201)
    assert {"seen-alias", "seen-group", "sandbox/echo"} <= set(ids_of(samovar, samovar.key))
    assert ids_of(samovar, key_with(samovar, allowed_models=["seen-alias"])) == ["seen-alias"]
    status, one, _ = samovar.request("GET", "/v1/models/seen-alias", headers={"Authorization": f"Bearer {samovar.key}"})
    assert (status, one["id"]) == (200, "seen-alias")


def test_a_key_for_models_alone_may_list_them_and_not_call_them(samovar: Samovar) -> None:
    key = key_with(samovar, scopes=["models"])
    assert "sandbox/echo" in ids_of(samovar, key)
    body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}
    status, refused, _ = samovar.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
    assert status == 403, refused


def test_a_connection_whose_body_was_refused_unread_is_closed(samovar: Samovar) -> None:
    address = urlsplit(samovar.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as connection:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
        connection.sendall(f"{head}Authorization: Bearer {samovar.key}\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"\r\nconnection: close\r\n" in answer.lower()


def test_the_data_directory_is_for_its_owner_alone(samovar: Samovar) -> None:
    assert stat.S_IMODE(samovar.data_dir.stat().st_mode) == 0o700
