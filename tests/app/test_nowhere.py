"""Paths of vendors' APIs that lead nowhere answer in the vendor's own error shape; ours do not."""

from typing import Any

import pytest

from tests.app.conftest import Serve, Served

ANTHROPIC = {"anthropic-version": "2023-06-01"}


def _is_openais(body: Any, status: int) -> bool:
    return set(body["error"]) >= {"message", "type", "param", "code"}


def _is_anthropics(body: Any, status: int) -> bool:
    return bool(body["type"] == "error" and body["error"]["type"] and body["error"]["message"])


def _is_googles(body: Any, status: int) -> bool:
    return bool(body["error"]["code"] == status and body["error"]["status"] and body["error"]["message"])


NOT_THERE = [
    ("POST", "/v1/completions", {}, _is_openais),
    ("GET", "/v1/", {}, _is_openais),
    ("POST", "/v1/chat/completions/", {}, _is_openais),
    ("POST", "/v1/complete", ANTHROPIC, _is_anthropics),
    ("POST", "/v1/messages/batches", {}, _is_anthropics),
    ("GET", "/anthropic/v1/nothing", {}, _is_anthropics),
    ("GET", "/gemini/v1beta/files", {}, _is_googles),
]
OTHER_METHOD = [
    ("GET", "/v1/chat/completions", {}, _is_openais, "POST"),
    ("OPTIONS", "/v1/embeddings", {}, _is_openais, "POST"),
    ("POST", "/v1/models", {}, _is_openais, "GET, HEAD"),
    ("DELETE", "/v1/models/a/b", ANTHROPIC, _is_anthropics, "GET, HEAD"),
    ("GET", "/v1/messages", {}, _is_anthropics, "POST"),
    ("PUT", "/anthropic/v1/messages", {}, _is_anthropics, "POST"),
    ("PUT", "/gemini/v1beta/models/m:generateContent", {}, _is_googles, "GET, HEAD, POST"),
]


@pytest.mark.parametrize(("method", "path", "headers", "is_theirs"), NOT_THERE)
async def test_what_is_not_there_is_said_in_the_vendors_shape(
    shared: Served, method: str, path: str, headers: dict[str, str], is_theirs: Any
) -> None:
    answer = await shared.ask(method, path, headers={"X-Request-Id": "mine", **headers})
    assert answer.status == 404
    assert is_theirs(answer.json, 404)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("method", "path", "headers", "is_theirs", "allowed"), OTHER_METHOD)
async def test_another_method_is_refused_in_the_vendors_shape(
    shared: Served, method: str, path: str, headers: dict[str, str], is_theirs: Any, allowed: str
) -> None:
    answer = await shared.ask(method, path, headers=headers)
    assert answer.status == 405
    assert is_theirs(answer.json, 405)
    assert answer.headers["allow"] == allowed
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1", "/v1/prompts/none", "/v1/vision/none", "/nothing", "/api/nothing", "/gemini"])
async def test_our_own_paths_keep_to_problem_documents(shared: Served, path: str) -> None:
    answer = await shared.ask("GET", path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_process_without_the_gateway_has_no_vendors_paths(serve: Serve) -> None:
    served = await serve(roles=("admin",))
    answer = await served.ask("POST", "/v1/chat/completions", body=b"{}")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
