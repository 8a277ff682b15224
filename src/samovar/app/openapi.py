"""One OpenAPI document for both planes: FastAPI's own, and the raw surfaces described from their wire types."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from samovar.app.described import Described
from samovar.app.surfaces import DOCUMENTED
from samovar.domains.files.http.tus import UPLOADS
from samovar.domains.gateway.model.idempotency import MAX_KEY_BYTES
from samovar.ports.asgi import Route
from samovar.ports.problems import PROBLEM_NAME, PROBLEM_SCHEMA, refusal
from samovar.ports.routes import named

_REF: Final = "#/components/schemas/{name}"
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
# What the edge may answer in any route's place.
_OF_ALL: Final[Mapping[str, str]] = {
    "400": "The request cannot be read",
    "500": "A defect of ours; the log has it under the request's id",
}
_OF_BODIES: Final[Mapping[str, str]] = {
    "408": "The body did not arrive in its time",
    "413": "The body is too large",
}


SIGNED_IN: Final[Sequence[Mapping[str, Sequence[str]]]] = [{"HTTPBearer": []}, {"APIKeyHeader": []}]
"""What a route of the control plane says of its credential: either of the two."""
_CREDENTIALS: Final[Mapping[str, Mapping[str, str]]] = {
    "HTTPBearer": {"type": "http", "scheme": "bearer", "description": "A gateway key, or the admin token."},
    "APIKeyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Admin-Token",
        "description": "The installation's admin token.",
    },
    "key": {"type": "http", "scheme": "bearer", "description": "A gateway key."},
}
_TOKENS: Final = "/api/auth/token"
_EACH_TIME: Final = (_TOKENS, f"{UPLOADS}/{{upload_id}}")
_IDEMPOTENCY_KEY: Final[Mapping[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A word of your own for this request, a new UUID say: sent again with it within 24 hours, it is not done again"
    " but gets its first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}
_OF_KEYS: Final[Mapping[str, str]] = {
    "409": "The first request with this `Idempotency-Key` has no answer yet; see Retry-After",
    "422": "The `Idempotency-Key` came with another body before",
}
_REPLAYED: Final[Mapping[str, Any]] = {
    "description": "`true` where this is the answer to an earlier request with the same `Idempotency-Key`.",
    "schema": {"type": "string"},
}


def describe(app: FastAPI, routes: Iterable[Route]) -> None:
    """Make ``app.openapi()`` describe ``routes`` as well; made once, at the first question."""
    served = list(routes)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _add_problems(document)
            _add_surfaces(document, served)
            _add_idempotency(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def served_routes(app: FastAPI) -> tuple[str, ...]:
    """Every method and path of the document, sorted."""
    return tuple(sorted(f"{method.upper()} {path}" for path, method, _ in _operations(app.openapi())))


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                yield path, method, operations[method]


def _add_problems(document: dict[str, Any]) -> None:
    """Say what the edge refuses in place of a route."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[PROBLEM_NAME] = PROBLEM_SCHEMA
    for _, _, operation in _operations(document):
        words = dict(_OF_ALL)
        if "requestBody" in operation:
            words.update(_OF_BODIES)
        for status, text in words.items():
            operation["responses"].setdefault(status, refusal(text))


def _add_idempotency(document: dict[str, Any]) -> None:
    """Every POST takes a key, and may give an answer again; but a token is nothing to be kept, and another is as good, and a
    piece of an upload goes where the upload stands, or nowhere."""
    for path, method, operation in _operations(document):
        if method != "post" or path in _EACH_TIME:
            continue
        operation.setdefault("parameters", []).append(dict(_IDEMPOTENCY_KEY))
        for status, text in _OF_KEYS.items():
            operation["responses"].setdefault(status, refusal(text))
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                response.setdefault("headers", {})["idempotent-replayed"] = dict(_REPLAYED)


def _add_surfaces(document: dict[str, Any], routes: list[Route]) -> None:
    operations = [found for route in routes for found in described(route)]
    types = [
        kind
        for _, _, one in operations
        for kind in (one.request, one.response, one.error, *one.also)
        if kind is not None
    ]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type: Mapping[Any, Any] = dict(zip(types, schemas, strict=True))
    parts = document.setdefault("components", {})
    both = components.keys() & parts.setdefault("schemas", {}).keys()
    if both:
        raise ValueError(f"types of both planes have one name: {', '.join(sorted(both))}")
    parts["schemas"].update(components)
    parts.setdefault("securitySchemes", {}).update(_CREDENTIALS)
    for method, path, one in operations:
        operation = one.operation(by_type)
        operation["operationId"] = named(method, path)
        document["paths"].setdefault(path, {})[method.lower()] = operation


def described(route: Route) -> Iterator[tuple[str, str, Described]]:
    """Method, path and description of all that one route leads to: behind a prefix may stand several actions."""
    for (method, template), one in DOCUMENTED.items():
        if method != route.method or not (template == route.template or template.startswith(f"{route.template}:")):
            continue
        if route.shape is not None:
            if template == route.template:
                yield method, template, one
        elif route.is_prefix:
            # The route's own address may be another one than that its template was made of.
            parameter = "".join(f"{{{name}}}" for name in [*one.parameters, *one.path])
            yield method, route.path + parameter + template.removeprefix(route.template), one
        else:
            yield method, route.path, one
