"""Service accounts as a client meets them: over HTTP, from one process to another, and on the page that tells of them."""

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.e2e.conftest import ADMIN_TOKEN, Samovar, start_samovar
from tests.e2e.test_prompts_page import PREAMBLE

PAGE = Path(__file__).parents[2] / "docs" / "service-accounts.md"
FELT_WITHIN_S = 2.0


def account(samovar: Samovar, **fields: Any) -> dict[str, Any]:
    status, made, headers = samovar.request("POST", "/api/service-accounts", {"name": "nightly", **fields})
    assert (status, headers["cache-control"]) == (201, "no-store"), made
    return dict(made)


def ask(samovar: Samovar, body: bytes | dict[str, Any], **headers: str) -> tuple[int, Any, dict[str, str]]:
    """A request for a token, as nobody but the client."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/x-www-form-urlencoded" if isinstance(body, bytes) else "application/json"
    call = urllib.request.Request(  # noqa: S310
        f"{samovar.url}/api/auth/token", raw, {"Content-Type": kind, **headers}, method="POST"
    )
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:  # noqa: S310
            return answer.status, json.load(answer), {k.lower(): v for k, v in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), {k.lower(): v for k, v in error.headers.items()}


def token(samovar: Samovar, made: dict[str, Any]) -> str:
    status, got, _ = ask(samovar, {"client_id": made["client_id"], "client_secret": made["client_secret"]})
    assert status == 200, got
    return str(got["access_token"])


def opens(samovar: Samovar, got: str, path: str = "/v1/models") -> int:
    """The status of a request with the token alone."""
    call = urllib.request.Request(samovar.url + path, headers={"Authorization": f"Bearer {got}"})  # noqa: S310
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_an_account_gets_a_token_and_calls_both_planes_with_it(bare: Samovar) -> None:
    got = token(bare, account(bare, role="ADMIN"))
    assert [opens(bare, got, path) for path in ("/v1/models", "/api/keys", "/api/service-accounts")] == [200] * 3
    body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"X-Admin-Token": "", "Authorization": f"Bearer {got}"}
    status, answer, _ = bare.request("POST", "/v1/chat/completions", body, headers)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "hi")
    small = token(bare, account(bare, role="READONLY"))
    assert [opens(bare, small, path) for path in ("/v1/models", "/api/keys")] == [200, 403]


def test_the_answer_is_as_the_document_and_the_rfc_have_it(bare: Samovar) -> None:
    made = account(bare)
    status, got, headers = ask(bare, {"client_id": made["client_id"], "client_secret": made["client_secret"]})
    assert (status, set(got), got["token_type"], got["expires_in"]) == (
        200,
        {"access_token", "token_type", "expires_in"},
        "Bearer",
        1800,
    )
    assert (headers["cache-control"], headers["pragma"]) == ("no-store", "no-cache")
    secret = quote(made["client_secret"])
    basic = base64.b64encode(f"{quote(made['client_id'])}:{secret}".encode()).decode()
    as_form = f"grant_type=client_credentials&client_id={made['client_id']}&client_secret={secret}".encode()
    assert ask(bare, as_form)[0] == 200
    by_header = ask(bare, b"grant_type=client_credentials&audience=gateway%20query", Authorization=f"Basic {basic}")
    assert by_header[0] == 200
    _, payload, _ = by_header[1]["access_token"].split(".")
    assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["aud"] == ["gateway", "query"]


def test_bad_requests_are_refused_in_the_rfc_s_words(bare: Samovar) -> None:
    made = account(bare)
    both = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    basic = "Basic " + base64.b64encode(f"{made['client_id']}:{made['client_secret']}".encode()).decode()
    pair = f"client_id={made['client_id']}&client_secret={made['client_secret']}".encode()
    grant = b"grant_type=client_credentials"
    for body, headers, status, word in (
        ({**both, "client_secret": "wrong"}, {}, 401, "invalid_client"),
        ({**both, "client_id": "nobody"}, {}, 401, "invalid_client"),
        ({"client_id": made["client_id"]}, {}, 401, "invalid_client"),
        (b"", {}, 400, "invalid_request"),
        (grant, {}, 401, "invalid_client"),
        (grant, {"Authorization": "Basic ???"}, 401, "invalid_client"),
        (grant, {"Authorization": "Bearer abc"}, 401, "invalid_client"),
        (grant + b"&" + pair, {"Authorization": basic}, 400, "invalid_request"),
        (grant + b"&" + grant + b"&" + pair, {}, 400, "invalid_request"),
        (pair, {}, 400, "invalid_request"),
        (b"grant_type=password&" + pair, {}, 400, "unsupported_grant_type"),
        ({**both, "grant_type": "authorization_code"}, {}, 400, "unsupported_grant_type"),
        ({**both, "audience": "cellar"}, {}, 400, "invalid_target"),
        ({**both, "audience": [1]}, {}, 400, "invalid_target"),
        ({**both, "client_secret": 5}, {}, 400, "invalid_request"),
        (b"{", {}, 400, "invalid_request"),
        (b"\xff\xfe", {}, 400, "invalid_request"),
    ):
        found, said, got = ask(bare, body, **headers)  # type: ignore[arg-type]  # a table of both kinds
        assert (found, said["error"]) == (status, word), (body, said)
        assert set(said) == {"error", "error_description"}
        assert made["client_secret"] not in said["error_description"]
        if status == 401:
            assert got["www-authenticate"] == 'Basic realm="samovar"'


def test_a_library_checks_our_tokens_by_our_jwks(bare: Samovar) -> None:
    got = token(bare, account(bare))
    status, jwks, headers = bare.request("GET", "/.well-known/jwks.json")
    assert (status, headers["cache-control"]) == (200, "public, max-age=300")
    read = jwt.decode(got, KeySet.import_key_set(jwks), algorithms=["RS256"])
    rules = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": "samovar"}, aud={"essential": True, "value": "query"}, exp={"essential": True}
    )
    rules.validate(read.claims)
    again, _, _ = bare.request("GET", "/.well-known/jwks.json", headers={"If-None-Match": headers["etag"]})
    assert again == 304


def test_hundred_and_fifty_requests_at_once_and_then_429_with_retry_after(bare: Samovar) -> None:
    made = account(bare, role="READONLY")
    got = token(bare, made)
    statuses = [opens(bare, got, "/v1/models") for _ in range(149)]
    assert set(statuses) == {200}
    status = 200
    # Room for another request comes back each 0.6 s, which a slow machine may take between two.
    while status == 200:
        while opens(bare, got) == 200:
            pass
        status, said, headers = ask(bare, {"client_id": made["client_id"], "client_secret": made["client_secret"]})
    assert (status, said["error"], int(headers["retry-after"]) >= 1) == (429, "rate_limited", True)
    other = account(bare, role="READONLY")
    assert opens(bare, token(bare, other)) == 200


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis_server: str, run_name: str) -> Iterator[list[Samovar]]:
    """Two processes, not workers of one, on one database and one Redis."""
    folder = tmp_path_factory.mktemp("pair")
    shared = {
        "SAMOVAR_REDIS_URL": redis_server,
        "SAMOVAR_REDIS_PREFIX": f"{run_name}-accounts",
        "SAMOVAR_DATABASE_URL": f"sqlite:///{folder / 'samovar.db'}",
        "SAMOVAR_MASTER_KEY": base64.b64encode(os.urandom(32)).decode(),
    }
    running = []
    for name in ("one", "other"):
        (folder / name).mkdir()
        running.append(start_samovar(folder / name, shared))
    yield running
    for one in running:
        one.stop()


@pytest.mark.parametrize("what", ["disabled", "deleted", "rotated"])
def test_what_ends_an_account_is_felt_in_another_process_within_two_seconds(pair: list[Samovar], what: str) -> None:
    here, there = pair
    made = account(here)
    got = token(here, made)
    assert opens(there, got) == opens(here, got) == 200
    path = f"/api/service-accounts/{made['id']}"
    if what == "disabled":
        assert here.request("PATCH", path, {"disabled": True})[0] == 200
    elif what == "deleted":
        assert here.request("DELETE", path)[0] == 204
    else:
        assert here.request("POST", f"{path}/rotate-secret", {"grace_s": 0})[0] == 201
    deadline = time.monotonic() + FELT_WITHIN_S
    assert opens(here, got) == 401
    while opens(there, got) != 401:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ask(there, {"client_id": made["client_id"], "client_secret": made["client_secret"]})[0] == 401


def test_processes_publish_the_same_keys_and_take_one_another_s_tokens(pair: list[Samovar]) -> None:
    here, there = pair
    made = account(here)
    tokens = [token(one, made) for one in pair for _ in range(2)]
    assert {opens(one, got) for one in pair for got in tokens} == {200}
    assert here.request("GET", "/.well-known/jwks.json")[1] == there.request("GET", "/.well-known/jwks.json")[1]


def test_the_page_s_commands_work_one_after_another(bare: Samovar, tmp_path: Path) -> None:
    first, form, turned, keys = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-c", PREAMBLE + script.replace("http://127.0.0.1:8080", bare.url)],
            cwd=tmp_path,
            env={**os.environ, "ADMIN_TOKEN": ADMIN_TOKEN, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    assert json.loads(run(first))["object"] == "list"
    assert json.loads((tmp_path / "account.json").read_text())["role"] == "READONLY"
    assert json.loads(run(form))["token_type"] == "Bearer"
    rotated, _, disabled = run(turned).partition("}")
    assert '"client_secret"' in rotated
    assert json.loads(disabled)["state"] == "disabled"
    assert json.loads(run(keys))["keys"][0]["alg"] == "RS256"
