"""One document for both planes, which programs can rely on."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from samovar.app.application import control_of, data_plane
from samovar.app.openapi import described, served_routes
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.ports.asgi import Route
from tests.app.conftest import Served


def _made() -> tuple[Any, list[Route]]:
    settings: dict[str, Any] = {"_env_file": None, "sandbox": "off"}
    services = Services(Settings(**settings))
    routes = list(data_plane(services))
    return control_of(services, routes), routes


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app, _ = _made()
    found: dict[str, Any] = app.openapi()
    return found


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def test_every_raw_route_is_described() -> None:
    _, routes = _made()
    assert [(route.method, route.path) for route in routes if not list(described(route))] == []


def test_google_s_actions_are_described_under_both_versions(document: dict[str, Any]) -> None:
    actions = ("generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents")
    for version in ("v1", "v1beta"):
        for action in actions:
            assert "post" in document["paths"][f"/gemini/{version}/models/{{model}}:{action}"]
        assert "get" in document["paths"][f"/gemini/{version}/models"]
        assert "get" in document["paths"][f"/gemini/{version}/models/{{model}}"]


def test_operation_ids_are_short_and_none_stands_twice(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9_]{4,64}", name) for name in ids), ids


def test_two_makings_give_one_document(document: dict[str, Any]) -> None:
    again, _ = _made()
    assert msgspec.json.encode(again.openapi()) == msgspec.json.encode(document)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', msgspec.json.encode(document).decode()))
    assert references <= set(document["components"]["schemas"])


def test_refusals_of_our_own_surfaces_are_problems(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        # Where tokens come from, refusals are as RFC 6749 has them.
        if path.startswith("/api/") and path != "/api/auth/token":
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"], (path, method, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_what_may_be_refused_for_want_of_a_credential_says_which_it_takes(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        assert bool(operation.get("security")) == ("401" in operation["responses"]), (path, method)


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        assert operation.get("summary"), (path, method)
        assert operation.get("tags"), (path, method)


def test_the_routes_of_about_are_all_of_the_document() -> None:
    app, _ = _made()
    routes = served_routes(app)
    assert {"POST /api/keys", "POST /v1/chat/completions", "GET /ready", "GET /v1/models/{id}"} <= set(routes)


async def test_the_served_document_is_the_made_one(served: Served, document: dict[str, Any]) -> None:
    answer = await served.ask("GET", "/openapi.json")
    assert answer.json["paths"].keys() == document["paths"].keys()
    about = (await served.ask("GET", "/about")).json
    assert "POST /api/keys" in about["routes"]
    assert about["version"] == answer.json["info"]["version"]
