"""What every answer has, whoever gives it; refusals; who may call from where."""

import base64
import io
import json
import re

import pytest

from tests.app.conftest import ADMIN, Answer, Serve, Served, Share

SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-xss-protection": "1; mode=block",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
}
KEYS = "/api/keys"


def _is_safe(answer: Answer) -> bool:
    return {name: answer.headers.get(name) for name in SECURITY} == SECURITY


def _is_problem(answer: Answer, status: int, code: str) -> bool:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(document)
    assert document["status"] == status
    assert document["request_id"] == answer.headers.get("x-request-id", "")
    assert _is_safe(answer)
    return bool(document["code"] == code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/nothing/here"),
        ("PUT", KEYS),
        ("GET", KEYS),
        ("GET", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/messages"),
        ("OPTIONS", "/v1/messages"),
        ("BREW", "/"),
    ],
)
async def test_every_answer_has_the_security_headers(shared: Served, method: str, path: str) -> None:
    answer = await shared.ask(method, path)
    assert _is_safe(answer), answer


async def test_a_path_that_is_not_there_is_a_problem(shared: Served) -> None:
    assert _is_problem(await shared.ask("GET", "/nothing"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", KEYS, "GET, HEAD, POST"),
        ("PUT", "/api/keys/key_1", "DELETE, GET, HEAD, PATCH"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(shared: Served, method: str, path: str, allowed: str) -> None:
    answer = await shared.ask(method, path, headers=ADMIN)
    assert _is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/healthz", "/about", "/v1/models", KEYS])
async def test_head_is_get_without_a_body(shared: Served, path: str) -> None:
    head, get = [
        await shared.ask(method, path, headers={"Authorization": f"Bearer {ADMIN['X-Admin-Token']}"})
        for method in ("HEAD", "GET")
    ]
    assert head.status == get.status
    assert set(head.headers) == set(get.headers)
    assert head.body == b""


# --- request ids


@pytest.mark.parametrize("path", [KEYS, "/v1/models", "/nothing", "/healthz"])
async def test_a_sane_request_id_of_the_caller_is_kept(shared: Served, path: str) -> None:
    answer = await shared.ask("GET", path, headers={"X-Request-Id": "my-own_id.7"})
    assert answer.headers["x-request-id"] == "my-own_id.7"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", "a\tb", "ю", '"}{'])
@pytest.mark.parametrize("path", [KEYS, "/v1/models"])
async def test_any_other_request_id_is_replaced(shared: Served, given: str, path: str) -> None:
    answer = await shared.ask("GET", path, headers={"X-Request-Id": given})
    assert re.fullmatch(r"(req|call)_[0-9A-Z]{26}", answer.headers["x-request-id"])


# --- bad bodies


async def _post(served: Served, body: bytes, **headers: str) -> Answer:
    return await served.ask("POST", KEYS, body=body, headers={**ADMIN, **headers})


@pytest.mark.parametrize(
    "kind",
    [None, "application/json", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream", "x", ""],
)
async def test_a_json_body_is_taken_whatever_it_is_called(shared: Served, kind: str | None) -> None:
    answer = await _post(shared, b'{"name": "one"}', **({} if kind is None else {"Content-Type": kind}))
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"name":', 400),
        (b"\xff\xfe", 400),
        (b"[" * 10_000, 400),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, 400),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400),
        (b'{"name": "a\\u0000b"}', 400),
        (b'{"name": "\\ud800"}', 422),
        (b'{"name": ' + b"9" * 10_000 + b"}", 400),
        (b'{"name": 1e999}', 422),
        (b'{"name": NaN}', 422),
        (b'{"name": 5}', 422),
        (b'{"name": ""}', 422),
        (b'{"name": "one", "extra": 1}', 422),
        (b'{"name": "one", "' + b"x" * 100_000 + b'": 1}', 422),
        (b'{"name": "one", "\\udfff": 1}', 422),
        (b"[]", 422),
        (b"null", 422),
        (b"", 422),
        (b'{"name": "one", "allowed_models": [' + b"5," * 100_000 + b"5]}", 422),
    ],
)
async def test_a_bad_body_is_a_problem_and_no_more(shared: Served, body: bytes, status: int) -> None:
    answer = await _post(shared, body)
    assert _is_problem(answer, status, "malformed_request" if status == 400 else "invalid_request")
    assert len(answer.body) < 20_000


_DEEP = b'{"x":' + b"[" * 5_000


async def test_a_token_whose_header_cannot_be_read_is_refused(shared: Served) -> None:
    for header in (_DEEP, _DEEP + b"]" * 500, b'{"alg":"RS256","kid":' + b"9" * 5_000 + b"}"):
        token = f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.e30.AAAA"
        for path in ("/api/keys", "/v1/models", "/v1/prompts"):
            assert (await shared.ask("GET", path, headers={"Authorization": f"Bearer {token}"})).status == 401


async def test_a_client_that_cannot_be_read_is_refused(shared: Served) -> None:
    deep = b'{"client_id": "abc", "client_secret": "x", "y": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    asked = {
        b"\r\n" + b'{"a":' * 2_000 + b"1" + b"}" * 2_000: (400, "invalid_request"),
        b"\r\n" + deep: (400, "invalid_request"),
        b"Authorization: Basic \xe9\xe9\r\n\r\ngrant_type=client_credentials": (401, "invalid_client"),
    }
    for rest, (status, error) in asked.items():
        size = len(rest.partition(b"\r\n\r\n")[2] or rest[2:])
        answer = await shared.say(b"POST /api/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % size + rest)
        assert (answer.status, answer.json["error"]) == (status, error)


async def test_who_asks_for_tokens_in_no_known_way_must_soon_wait(serve: Serve) -> None:
    served = await serve(host="0.0.0.0", sign_in_tries="3/minute")  # noqa: S104  # on loopback alone there is no limit
    asked = (b"{", b'{"client_id": "abc"}', b"grant_type=password", b"{", b"{}")
    answers = [await served.ask("POST", "/api/auth/token", body=body) for body in asked]
    assert [answer.status for answer in answers] == [400, 401, 400, 429, 429]
    assert "retry-after" in answers[-1].headers


async def test_an_escaped_backslash_before_u0000_is_text(shared: Served) -> None:
    assert (await _post(shared, b'{"name": "a\\\\u0000b"}')).status == 201


@pytest.mark.parametrize("path", ["/api/keys/%00", "/api/keys?cursor=%00", "/%00", "/api/keys/a%00b"])
async def test_a_nul_in_the_address_is_refused(shared: Served, path: str) -> None:
    assert _is_problem(await shared.ask("GET", path, headers=ADMIN), 400, "malformed_request")


@pytest.mark.parametrize(
    "path", ["/%ff%fe", "/api/keys/%F0%9F%8D%B5", "/api/keys/" + "x" * 5000, "//", "/..%2f..", "/*"]
)
async def test_an_odd_path_is_not_found(shared: Served, path: str) -> None:
    answer = await shared.ask("GET", path, headers=ADMIN)
    assert answer.status in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", [KEYS, "/v1/chat/completions"])
async def test_a_body_that_says_it_is_too_large_is_refused_unread(shared: Served, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Admin-Token: {ADMIN['X-Admin-Token']}\r\n"
    head += f"Authorization: Bearer {ADMIN['X-Admin-Token']}\r\nContent-Length: {11 * 1024 * 1024}\r\n\r\n"
    answer = await shared.say(head.encode())
    assert answer.status == 413, answer
    assert _is_safe(answer)


@pytest.mark.parametrize("path", [KEYS, "/v1/chat/completions"])
async def test_a_chunked_body_is_refused_when_it_passes_the_bound(share: Share, path: str) -> None:
    shared = share(max_body_bytes=2048)
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Admin-Token: {ADMIN['X-Admin-Token']}\r\n"
    head += f"Authorization: Bearer {ADMIN['X-Admin-Token']}\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await shared.say(head.encode() + chunk * 5 + b"0\r\n\r\n")
    assert answer.status == 413, answer
    assert _is_safe(answer)


async def test_the_headers_of_an_error_reach_the_caller(serve: Serve) -> None:
    served = await serve(host="192.0.2.1", credential_tries="2/minute")
    answers = [await served.ask("GET", KEYS, headers={"Authorization": "Bearer sk-wrong"}) for _ in range(4)]
    assert _is_problem(answers[0], 401, answers[0].json["code"])
    assert "www-authenticate" in answers[0].headers
    assert answers[-1].status == 429
    assert int(answers[-1].headers["retry-after"]) > 0


# --- from other origins

PAGE = "https://app.test"


async def _preflight(served: Served, origin: str, path: str = "/v1/chat/completions") -> Answer:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-lang",
    }
    return await served.ask("OPTIONS", path, headers=asked)


@pytest.mark.parametrize("path", ["/v1/chat/completions", KEYS, "/nothing"])
async def test_an_allowed_page_may_send_any_header_and_credentials(share: Share, path: str) -> None:
    shared = share(allowed_origins=(PAGE, "https://other.test"))
    answer = await _preflight(shared, PAGE, path)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-stainless-lang"
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert _is_safe(answer)


@pytest.mark.parametrize("path", ["/v1/models", KEYS, "/nothing", "/healthz"])
async def test_an_allowed_page_may_read_the_answer_and_the_refusal(share: Share, path: str) -> None:
    shared = share(allowed_origins=(PAGE,))
    answer = await shared.ask("GET", path, headers={"Origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "Origin" in answer.headers["vary"]
    assert "x-samovar-cost-credits" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("allowed", [(), (PAGE,)])
@pytest.mark.parametrize("origin", ["https://evil.test", "null", PAGE + ".evil.test", "http://app.test"])
async def test_any_other_page_may_not(share: Share, allowed: tuple[str, ...], origin: str) -> None:
    shared = share(allowed_origins=allowed)
    assert _is_problem(await _preflight(shared, origin), 403, "forbidden")
    answer = await shared.ask("GET", "/healthz", headers={"Origin": origin})
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_star_allows_every_page_but_no_credentials(share: Share) -> None:
    shared = share(allowed_origins=("*",))
    for answer in (
        await _preflight(shared, "https://any.test"),
        await shared.ask("GET", "/healthz", headers={"Origin": "https://any.test"}),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


# --- what is logged and counted


async def test_requests_are_counted_by_route_and_not_by_path(served: Served) -> None:
    for number in range(50):
        await served.ask("GET", f"/api/keys/key_{number}", headers=ADMIN)
        await served.ask("GET", f"/nothing/{number}")
        await served.ask(f"BREW{'X' * (number % 3)}", "/")
    await served.ask("GET", "/v1/models/bogus/one", headers=ADMIN)
    assert (await served.ask("GET", "/openapi.json")).json["openapi"].startswith("3.")
    text = (await served.ask("GET", "/metrics")).body.decode()
    routes = set(re.findall(r'http_requests_total\{method="[^"]*",route="([^"]*)"', text))
    assert routes >= {"/api/keys/{key_id}", "unmatched", "/v1/models/{id}", "/openapi.json"}
    assert len(routes) < 7


async def test_a_control_plane_request_is_one_line(served: Served, logged: io.StringIO) -> None:
    await served.ask("GET", "/healthz")
    await served.ask("POST", KEYS, body=b'{"name": "one"}', headers={**ADMIN, "X-Request-Id": "mine"})
    await served.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {ADMIN['X-Admin-Token']}"})
    await served.ask("POST", "/v1/messages", body=b"{}")
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    made = [line for line in lines if line.get("path") == KEYS]
    assert [(line["method"], line["status"], line["request_id"]) for line in made] == [("POST", 201, "mine")]
    assert not [line for line in lines if line.get("path") in ("/healthz", "/v1/models")]
    refused = [line for line in lines if line.get("path") == "/v1/messages"]
    assert [(line["status"], line["level"]) for line in refused] == [(401, "info")]
