"""Errors, read from every vendor's shape and written in OpenAI's."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.errors import NotFound
from samovar.providers.openai import OpenAIChat


def headers(**fields: str) -> Callable[[str], str | None]:
    return lambda name: fields.get(name.replace("-", "_"))


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":{"message":"no","type":"invalid_request_error","code":"bad"}}', "no", "bad"),
        (b'{"error":{"message":"no","type":"server_error","code":null}}', "no", "server_error"),
        (b'{"error":{"code":"1301","message":"no"}}', "no", "1301"),
        (b'{"code":"Client specified an invalid argument","error":"no"}', "no", "Client specified an invalid argument"),
        (b'{"error":"no"}', "no", None),
        (b'{"object":"error","message":"no","type":"BadRequestError","code":400}', "no", "BadRequestError"),
        (b'[{"error":{"message":"no","code":400,"status":"INVALID"}}]', "no", "400"),
        (b'{"detail":"no"}', "no", None),
        (b"no", "no", None),
    ],
)
def test_every_shape_of_error_is_read(dialect: OpenAIChat, body: bytes, message: str, code: str | None) -> None:
    error = dialect.read_error(400, body, header=headers())
    assert (error.detail, error.upstream_code, error.upstream_status) == (message, code, 400)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"<html><title>502 Bad Gateway</title></html>", b"{}", b"null"])
def test_what_cannot_be_read_becomes_a_general_message(dialect: OpenAIChat, body: bytes) -> None:
    error = dialect.read_error(502, body, header=headers())
    assert error.detail
    assert "<" not in error.detail


@given(body=st.binary(max_size=200), status=st.integers(400, 599))
def test_no_error_body_breaks_the_reader(body: bytes, status: int) -> None:
    assert OpenAIChat().read_error(status, body, header=headers()).upstream_status == status


@pytest.mark.parametrize(
    "secret", ["sk-proj-abcdefgh12345", "xai-abcdefgh1234", "0123456789abcdef0123456789abcdef.abcdefgh12345678"]
)
def test_a_key_never_stands_in_the_message(dialect: OpenAIChat, secret: str) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {secret}."}}).encode()
    error = dialect.read_error(401, body, header=headers())
    assert secret not in error.detail
    assert error.http_status == 502


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
        ({"retry_after": "Sat, 21 Nov 2026 04:00:30 GMT", "date": "Sat, 21 Nov 2026 04:00:00 GMT"}, 30.0),
        ({"retry_after": "Sat, 21 Nov 2026 03:00:00 GMT", "date": "Sat, 21 Nov 2026 04:00:00 GMT"}, 0.0),
        ({"retry_after": "Sat, 21 Nov 2026 04:00:30 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_honoured(dialect: OpenAIChat, said: dict[str, str], seconds: float | None) -> None:
    assert dialect.read_error(429, b"{}", header=headers(**said)).retry_after_s == seconds


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_an_error_is_written_in_openai_words(dialect: OpenAIChat, status: int, kind: str) -> None:
    body = json.loads(dialect.write_error(NotFound("no such model"), status=status, request_id="req_1"))
    assert body["error"] == {"message": "no such model", "type": kind, "param": None, "code": "not_found"}
    assert body["request_id"] == "req_1"
