"""What is wrong with a picture or a call gets a clear answer, and the process goes on."""

import base64
import json
import select
import socket
import struct
import urllib.parse
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Samovar
from tests.e2e.pictures import ANALYZE, STREAM, ask, base64_of, form, picture

SANDBOX = {"model": "sandbox/vision", "prompt": "What is it?"}
MEGABYTE = 1024 * 1024
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def bomb() -> bytes:
    """A PNG of 40,000 by 40,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 5_001 * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.fixture(autouse=True)
def _it_goes_on(samovar: Samovar) -> Iterator[None]:
    """After each: a good call is answered by the same process."""
    yield
    status, said, _ = ask(samovar, {**SANDBOX, "image_base64": base64_of(picture())})
    assert status == 200, said


IMAGES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "invalid_request"),
    "truncated": (picture(kind="JPEG", size=(400, 300))[:900], 422, "broken_image"),
    "lying": (b"\x89PNG\r\n\x1a\n" + b"not a picture at all" * 20, 422, "broken_image"),
    "bomb": (bomb(), 413, "image_too_large"),
    "svg": (SVG, 415, "unsupported_image"),
    "pdf": (b"%PDF-1.7 ...", 415, "unsupported_image"),
    "text": (b"hello", 415, "unsupported_image"),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("path", [ANALYZE, STREAM])
def test_what_is_no_good_picture_is_refused(samovar: Samovar, kind: str, path: str) -> None:
    content, status_wanted, code = IMAGES[kind]
    text = base64_of(content) or "data:image/png;base64,"
    status, refused, headers = ask(samovar, {**SANDBOX, "image_base64": text}, path)
    assert (status, refused["code"]) == (status_wanted, code), refused
    assert headers["content-type"] == "application/problem+json"
    assert refused["request_id"] == headers["x-request-id"]
    if content:
        body, form_type = form([("model", "sandbox/vision"), ("prompt", "What?"), ("image", content)])
        status, refused, _ = ask(samovar, body, path, **{"Content-Type": form_type})
        assert (status, refused["code"]) == (status_wanted, code), refused


def test_what_a_picture_is_called_is_not_believed(samovar: Samovar) -> None:
    said_png = "data:image/svg+xml;base64," + base64_of(picture(kind="JPEG"))
    status, said, _ = ask(samovar, {**SANDBOX, "image_base64": said_png})
    assert status == 200, said
    assert "JPEG, 32 x 24" in said["text"]


BODIES: dict[str, tuple[Any, int, str]] = {
    "no image": (SANDBOX, 422, "Send a picture"),
    "no image in a list": ({**SANDBOX, "images": []}, 422, "Send a picture"),
    "wrong base64": ({**SANDBOX, "image_base64": "!!!!"}, 422, "image_base64: is not valid base64"),
    "half base64": ({**SANDBOX, "image_base64": "AAAAA"}, 422, "not valid base64"),
    "padding in the middle": ({**SANDBOX, "image_base64": "AA==" * 200_000}, 422, "not valid base64"),
    "wrong base64 in a list": ({**SANDBOX, "images": ["ok=!"]}, 422, "images[0]: is not valid base64"),
    "data URL without base64": ({**SANDBOX, "image_url": "data:image/png,abc"}, 422, "image_url"),
    "nine images": ({**SANDBOX, "images": [base64_of(picture())] * 9}, 422, "at most 8"),
    "two in one": ({**SANDBOX, "images": [{"image_url": "https://a.example", "image_base64": "AA"}]}, 422, "images[0]"),
    "none in one": ({**SANDBOX, "images": [{}]}, 422, "images[0]"),
    "no stored file": ({**SANDBOX, "file_id": "file_1\0"}, 404, "file_not_found"),
    "no stored file in a list": ({**SANDBOX, "images": [{"file_id": str(uuid.uuid4())}]}, 404, "file_not_found"),
    "a file and more in one": ({**SANDBOX, "images": [{"file_id": "x", "image_base64": "AA"}]}, 422, "images[0]"),
    "file:": ({**SANDBOX, "image_url": "file:///etc/passwd"}, 422, "http, https or data"),
    "javascript:": ({**SANDBOX, "images": ["javascript:alert(1)"]}, 422, "http, https or data"),
    "gopher:": ({**SANDBOX, "image_url": "gopher://example.com/x"}, 422, "http, https or data"),
    "no host": ({**SANDBOX, "image_url": "https:///x.png"}, 422, "no host"),
    "long address": ({**SANDBOX, "image_url": "https://example.com/" + "x" * 9_000}, 422, "8192 characters"),
    "two prompts": ({**SANDBOX, "prompt_id": 1, "image_base64": "AA"}, 422, "prompt_id: cannot stand beside prompt"),
    "a version of nothing": ({**SANDBOX, "version": 1, "image_base64": "AA"}, 422, "version"),
    "variables of a text": ({**SANDBOX, "variables": {"a": 1}, "image_base64": "AA"}, 422, "variables"),
    "no words": ({"model": "sandbox/vision", "image_base64": base64_of(picture())}, 422, "prompt_missing"),
    "empty prompt": ({**SANDBOX, "prompt": "", "image_base64": "AA"}, 400, "$.prompt"),
    "unknown field": ({**SANDBOX, "colour": "x", "image_base64": "AA"}, 400, "colour"),
    "wrong type": ({**SANDBOX, "cleanup": "yes", "image_base64": "AA"}, 400, "$.cleanup"),
    "params say the model": (
        {**SANDBOX, "params": {"model": "x"}, "image_base64": base64_of(picture())},
        422,
        "params.model",
    ),
    "params of a wrong type": (
        {**SANDBOX, "params": {"presence_penalty": "much"}, "image_base64": base64_of(picture())},
        400,
        "presence_penalty",
    ),
    "unknown provider": ({**SANDBOX, "provider": "nobody", "image_base64": base64_of(picture())}, 404, "nobody"),
    "unknown provider alone": ({"provider": "nobody", "prompt": "x", "image_base64": "AA"}, 422, "nobody"),
    "blind model": ({**SANDBOX, "model": "openai/gpt-3.5-turbo", "image_base64": "AA"}, 422, "takes no images"),
    "nothing named": ({"prompt": "What?", "image_base64": base64_of(picture())}, 422, "DEFAULT_MODEL"),
    "no JSON": (b"{", 400, "not valid JSON"),
    "a list": (b"[]", 400, "$"),
    "nothing": (b"", 400, "empty"),
    "deep": (b'{"params":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400, "deeply"),
    "not UTF-8": (b'{"prompt": "\xff"}', 400, "JSON"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_call_that_breaks_a_rule_is_told_which(samovar: Samovar, kind: str) -> None:
    body, status_wanted, words = BODIES[kind]
    status, refused, headers = ask(samovar, body)
    assert status == status_wanted, refused
    assert words in json.dumps(refused, ensure_ascii=False), refused
    assert headers["content-type"] == "application/problem+json"


PRIVATE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost/x.png",
    "http://printer.localhost./x.png",
    "http://127.0.0.1:9/x.png",
    "http://10.1.2.3/x.png",
    "https://[::1]/x.png",
    "https://[::ffff:169.254.169.254]/x.png",
    "http://0.0.0.0/x.png",
    "http://user:secret@127.0.0.1/x.png",
]


@pytest.mark.parametrize("url", PRIVATE)
@pytest.mark.parametrize("how", [{}, {"fetch": True}, {"model": "openai/gpt-4o"}, {"model": "gemini/gemini-2.5-flash"}])
def test_an_address_in_a_private_network_is_refused_whoever_would_fetch_it(
    samovar: Samovar, url: str, how: dict[str, Any]
) -> None:
    status, refused, _ = ask(samovar, {**SANDBOX, "image_url": url, **how})
    assert (status, refused["code"]) == (422, "url_refused"), refused
    assert "secret" not in json.dumps(refused)


@pytest.mark.parametrize("url", ["http://2130706433/x.png", "http://0x7f.1/x.png", "http://127.1/x.png"])
def test_other_spellings_of_a_private_address_lead_nowhere_either(samovar: Samovar, url: str) -> None:
    status, refused, _ = ask(samovar, {**SANDBOX, "image_url": url, "fetch": True})
    assert status == 422, refused
    assert refused["code"] in ("url_refused", "url_unreachable")


def test_thirty_megabytes_are_refused_before_they_are_read(samovar: Samovar) -> None:
    for body, kind in (
        (json.dumps({**SANDBOX, "image_base64": "A" * 30 * MEGABYTE}).encode(), "application/json"),
        form([("prompt", "x"), ("image", b"\xff\xd8\xff" + b"\0" * 30 * MEGABYTE)]),
    ):
        status, sent_bytes = _refused_upload(samovar, body, kind, declares=True)
        assert status == 413
        assert sent_bytes <= 4 * MEGABYTE, "it was read before it was refused"


def test_an_upload_that_does_not_say_how_long_it_is_ends_at_the_bound(samovar: Samovar) -> None:
    body, kind = form([("prompt", "x"), ("image", b"\xff\xd8\xff" + b"\0" * 30 * MEGABYTE)])
    status, sent_bytes = _refused_upload(samovar, body, kind, declares=False)
    assert status == 413
    assert sent_bytes <= 16 * MEGABYTE


def _refused_upload(samovar: Samovar, body: bytes, kind: str, *, declares: bool) -> tuple[int, int]:
    """The status of an upload, and how much of it was sent when the answer came. A server drops what a client sends that does
    not look for an answer; this one looks."""
    place = urllib.parse.urlsplit(samovar.url)
    assert place.hostname
    assert place.port
    length = f"Content-Length: {len(body)}" if declares else "Transfer-Encoding: chunked"
    head = (
        f"POST {ANALYZE} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {samovar.key}\r\n"
        f"Content-Type: {kind}\r\n{length}\r\n\r\n"
    )
    step, sent = 64 * 1024, 0
    with socket.create_connection((place.hostname, place.port), timeout=20) as link:
        link.sendall(head.encode())
        for at in range(0, len(body), step):
            if select.select([link], [], [], 0)[0]:
                break
            piece = body[at : at + step]
            link.sendall(piece if declares else b"%x\r\n%b\r\n" % (len(piece), piece))
            sent += len(piece)
        answer = link.recv(1024)
    if not answer.startswith(b"HTTP/1.1 "):
        pytest.fail(f"no status came back after {sent} bytes")
    return int(answer.split(b" ", 2)[1]), sent


FORMS: dict[str, tuple[bytes, str, int, str]] = {
    "no boundary": (b"--x\r\n", "multipart/form-data", 400, "boundary"),
    "cut": (form([("image", picture())], "x")[0][:-20], "multipart/form-data; boundary=x", 400, "middle"),
    "another boundary": (form([("image", picture())], "x")[0], "multipart/form-data; boundary=y", 400, "form"),
    "nine files": (*form([("image", picture())] * 9), 422, "more than 8 images"),
    "another file": (*form([("prompt", "x"), ("photo", picture())]), 422, "photo"),
    "a field twice": (*form([("prompt", "x"), ("prompt", "y"), ("image", picture())]), 422, "twice"),
    "params no JSON": (*form([("params", "{"), ("image", picture())]), 400, "$.params"),
    "a number of letters": (*form([("max_tokens", "many"), ("image", picture())]), 400, "max_tokens"),
    "unknown field": (*form([("colour", "x"), ("image", picture())]), 400, "colour"),
    "a hundred fields": (*form([(f"f{n}", "x") for n in range(100)]), 400, "more than 64"),
    "images as text": (*form([("images", "[]"), ("image", picture())]), 422, "images"),
    "no image": (*form([("prompt", "x"), ("model", "sandbox/vision")]), 422, "Send a picture"),
    "long text": (*form([("prompt", "x" * 600_000)]), 422, "prompt"),
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_that_breaks_a_rule_is_told_which(samovar: Samovar, kind: str) -> None:
    body, content_type, status_wanted, words = FORMS[kind]
    status, refused, headers = ask(samovar, body, **{"Content-Type": content_type})
    assert status == status_wanted, refused
    assert words in json.dumps(refused, ensure_ascii=False), refused
    assert headers["content-type"] == "application/problem+json"


def test_a_vendor_s_failure_is_a_problem_too(samovar: Samovar) -> None:
    for fault, wanted in (("500", 502), ("429", 429), ("context", 400)):
        status, refused, headers = ask(
            samovar,
            {
                "model": "openai/gpt-4o-of-vision",
                "prompt": f"x [[fault:{fault}]]",
                "image_base64": base64.b64encode(picture()).decode(),
            },
        )
        assert status == wanted, refused
        assert headers["content-type"] == "application/problem+json"


def test_another_method_and_another_path_are_problems(samovar: Samovar) -> None:
    status, refused, headers = samovar.request("GET", ANALYZE)
    assert (status, headers["allow"]) == (405, "POST")
    assert refused["code"] == "method_not_allowed"
    status, refused, _ = samovar.request("POST", "/v1/vision/nowhere", {})
    assert (status, refused["code"]) == (404, "not_found")
