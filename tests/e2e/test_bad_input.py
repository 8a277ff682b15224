"""What callers send by mistake or in malice: the right status in the surface's own shape, and the process goes on."""

import base64
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.calling import WHOLE, Way, body_of, is_error_of
from tests.e2e.conftest import Samovar

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
SURFACES = list(PATHS)
DEEP = 10_000


@pytest.fixture(autouse=True)
def goes_on(samovar: Samovar) -> Any:
    """After each of these the process answers as before, and has seen no defect of its own."""
    yield
    for surface in SURFACES:
        status, said, _ = post(samovar, surface, body_of(Way(surface, "", False), "still there", "sandbox/echo"))
        assert status == 200, said
    assert "Traceback" not in samovar.output.read_text()


def post(samovar: Samovar, surface: str, body: Any, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """A call with a good key."""
    sent = {"Authorization": f"Bearer {samovar.key}", **headers}
    return samovar.request("POST", PATHS[surface], body, sent)


def say(samovar: Samovar, raw: bytes, *, until_closed: bool = True) -> bytes:
    """Send bytes as they are and read what comes, to the connection's end or for two seconds of silence."""
    place = urlsplit(samovar.url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as link:
        link.sendall(raw)
        if not until_closed:
            link.settimeout(2)
        got = b""
        try:
            while block := link.recv(65536):
                got += block
        except (TimeoutError, ConnectionResetError):
            pass
        return got


GOOD = '{"model": "sandbox/echo", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}]'


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"text"', id="a string"),
        pytest.param(b"\xff\xfe{}", id="not UTF-8"),
        pytest.param(GOOD.encode() + b"\x00}", id="NUL between tokens"),
        pytest.param(b'{"model": "sandbox/echo", "messages": "hello", "max_tokens": 5}', id="messages a string"),
        pytest.param(b'{"model": "sandbox/echo", "messages": [], "max_tokens": 5}', id="no messages"),
        pytest.param(
            b'{"model": 5, "messages": [{"role": "user", "content": "a"}], "max_tokens": 5}', id="model a number"
        ),
        pytest.param(b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 5}', id="no model"),
        pytest.param((GOOD + ', "stream": "yes"}').encode(), id="stream a string"),
        pytest.param(GOOD.replace("5", "-5").encode() + b"}", id="max_tokens below zero"),
        pytest.param((GOOD + ', "extra": ' + "[" * DEEP + "]" * DEEP + "}").encode(), id="nested in a field"),
        pytest.param(b"[" * DEEP + b"]" * DEEP, id="nested as a whole"),
        pytest.param(b'{"a":' * DEEP + b"1" + b"}" * DEEP, id="nested objects"),
        pytest.param(
            (
                '{"model": "sandbox/echo", "max_tokens": 5, "messages": [{"role": "user", "content": ' + "[" * DEEP
            ).encode()
            + b"]" * DEEP
            + b"}]}",
            id="nested content",
        ),
    ],
)
def test_a_bad_body_is_refused_as_the_surface_refuses(samovar: Samovar, surface: str, body: bytes) -> None:
    status, said, headers = post(samovar, surface, body)
    assert status == 400, said
    assert is_error_of(surface, said)
    assert headers["x-request-id"]


@pytest.mark.parametrize("way", WHOLE, ids=str)
@pytest.mark.parametrize(
    "text", ["a\x00b", "\U0001f600" * 100, "a" * 100_000, "\ud800"], ids=["NUL", "emoji", "long", "half"]
)
def test_odd_text_is_echoed_or_refused(samovar: Samovar, way: Way, text: str) -> None:
    body = body_of(way, text, f"{way.vendor}/sandbox/echo")
    body["max_tokens"] = 50_000
    status, said, _ = post(samovar, way.surface, body)
    if text == "\ud800":
        assert status in (200, 400), said
    else:
        assert status == 200, said
        answer = said["choices"][0]["message"]["content"] if way.surface == "openai" else said["content"][0]["text"]
        assert answer.strip() == text


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param((GOOD + ', "temperature": "hot"}').encode(), id="temperature a string"),
        pytest.param(GOOD.replace("5", "1" + "0" * 400).encode() + b"}", id="max_tokens of 400 digits"),
        pytest.param((GOOD + ', "temperature": 1e400}').encode(), id="a number past floats"),
    ],
)
def test_odd_values_are_for_the_vendor_to_refuse(samovar: Samovar, surface: str, body: bytes) -> None:
    status, said, _ = post(samovar, surface, body)
    assert status in (200, 400), said


@pytest.mark.parametrize("surface", SURFACES)
def test_of_a_key_that_stands_twice_one_counts(samovar: Samovar, surface: str) -> None:
    status, said, _ = post(samovar, surface, (GOOD + ', "model": "sandbox/echo", "model": "nosuch/model"}').encode())
    assert status in (200, 404), said


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    "model",
    ["nosuch/model", "sandbox/nosuch", "", "a\x00b", "a" * 5000, "openai/", "/", "sandbox/echo\r\nx: y", "модель"],
)
def test_an_unknown_model_is_refused_and_never_a_defect(samovar: Samovar, surface: str, model: str) -> None:
    status, said, _ = post(samovar, surface, body_of(Way(surface, "", False), "a", model))
    assert status == (404 if model else 400), said
    assert is_error_of(surface, said)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_body_of_50_mb_is_refused(samovar: Samovar, surface: str) -> None:
    head = f"POST {PATHS[surface]} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {samovar.key}\r\n"
    declared = say(samovar, f"{head}Content-Length: 52428800\r\n\r\n".encode(), until_closed=False)
    assert b" 413 " in declared.split(b"\r\n")[0]
    assert is_error_of(surface, json.loads(declared.partition(b"\r\n\r\n")[2]))
    block = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    try:
        chunked = say(samovar, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + block * 12, until_closed=False)
    except (BrokenPipeError, ConnectionResetError):
        return
    assert b" 413 " in chunked.split(b"\r\n")[0]


@pytest.mark.parametrize("surface", SURFACES)
def test_a_body_shorter_than_it_says_is_not_answered_as_whole(samovar: Samovar, surface: str) -> None:
    head = f"POST {PATHS[surface]} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {samovar.key}\r\n"
    place = urlsplit(samovar.url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as link:
        link.sendall(f"{head}Content-Length: 500\r\n\r\n{GOOD}}}".encode())
        link.shutdown(socket.SHUT_WR)
        assert b" 200 " not in link.recv(65536).split(b"\r\n")[0]


def test_pipelined_calls_are_answered_in_order(samovar: Samovar) -> None:
    raw = b""
    for number in range(5):
        body = json.dumps(body_of(Way("openai", "", False), f"number {number}", "sandbox/echo")).encode()
        raw += (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {samovar.key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
    got = say(samovar, raw, until_closed=False)
    places = [got.find(f"number {number}".encode()) for number in range(5)]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize("path", [*PATHS.values(), "/anthropic/v1/messages"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_told_the_right_one(samovar: Samovar, path: str, method: str) -> None:
    status, _, headers = samovar.request(method, path)
    assert status == 405
    assert headers["allow"] == "POST"


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
@pytest.mark.parametrize("surface", SURFACES)
def test_a_damaged_image_is_the_callers_fault(samovar: Samovar, surface: str, vendor: str) -> None:
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00").decode()
    image: dict[str, Any] = (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        if surface == "openai"
        else {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    )
    body = body_of(Way(surface, vendor, False), "", f"{vendor}/sandbox/vision")
    body["messages"] = [{"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}]
    status, said, _ = post(samovar, surface, body)
    assert status == 400, said
    assert is_error_of(surface, said)


@pytest.mark.parametrize("surface", SURFACES)
def test_no_key_and_bad_keys_are_challenged(samovar: Samovar, surface: str) -> None:
    body = body_of(Way(surface, "", False), "a", "sandbox/echo")
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x\xa0"},
        {"x-api-key": "sk-samovar-no"},
    ):
        status, said, found = samovar.request("POST", PATHS[surface], body, headers)
        assert status == 401, said
        assert is_error_of(surface, said)
        assert found["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("surface", SURFACES)
def test_expired_revoked_and_rotated_keys_end(samovar: Samovar, surface: str) -> None:
    body = body_of(Way(surface, "", False), "a", "sandbox/echo")

    def status_with(key: str) -> int:
        return samovar.request("POST", PATHS[surface], body, {"Authorization": f"Bearer {key}"})[0]

    _, revoked, _ = samovar.request("POST", "/api/keys", {"name": "to be revoked"})
    assert status_with(revoked["key"]) == 200
    assert samovar.request("DELETE", f"/api/keys/{revoked['id']}")[0] in (200, 204)
    assert status_with(revoked["key"]) == 401

    _, old, _ = samovar.request("POST", "/api/keys", {"name": "to be rotated"})
    status, new, _ = samovar.request("POST", f"/api/keys/{old['id']}/rotate", {"grace_s": 0})
    assert status in (200, 201), new
    assert status_with(old["key"]) == 401
    assert status_with(new["key"]) == 200

    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    status, made, _ = samovar.request("POST", "/api/keys", {"name": "short-lived", "expires_at": soon})
    assert status == 201, made
    while datetime.now(UTC).isoformat() <= soon:
        time.sleep(0.05)
    assert status_with(made["key"]) == 401


@pytest.mark.parametrize("surface", SURFACES)
def test_a_key_for_some_models_is_refused_the_others(samovar: Samovar, surface: str) -> None:
    _, made, _ = samovar.request("POST", "/api/keys", {"name": "some", "allowed_models": ["sandbox/echo"]})
    bearer = {"Authorization": f"Bearer {made['key']}"}
    way = Way(surface, "", False)
    assert samovar.request("POST", PATHS[surface], body_of(way, "a", "sandbox/echo"), bearer)[0] == 200
    status, said, _ = samovar.request("POST", PATHS[surface], body_of(way, "a", "openai/gpt-5"), bearer)
    assert status == 403, said
    assert is_error_of(surface, said)
    _, listed, _ = samovar.request("GET", "/v1/models", None, bearer)
    assert [model["id"] for model in listed["data"]] == ["sandbox/echo"]


def test_what_a_vendor_cannot_do_is_refused_with_every_flaw_or_dropped_on_request(samovar: Samovar) -> None:
    body = body_of(Way("openai", "anthropic", False), "a", "anthropic/sandbox/echo")
    body |= {"seed": 1, "presence_penalty": 0.5, "logprobs": True}
    status, said, _ = post(samovar, "openai", body)
    assert status == 400, said
    for field in ("seed", "presence_penalty", "logprobs"):
        assert field in json.dumps(said)
    status, said, _ = post(samovar, "openai", body | {"drop_params": True})
    assert status == 200, said
