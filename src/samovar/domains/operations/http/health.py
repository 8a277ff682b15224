"""Health, readiness, metrics, about, and the documentation page, which needs no network."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from importlib.resources import files
from typing import Any, Final

from fastapi.responses import JSONResponse, Response

from samovar.domains.operations.model import About, Alive, Live, Readiness
from samovar.domains.operations.service.health import OperationsService
from samovar.kernel.errors import NotFound
from samovar.kernel.time import milliseconds
from samovar.ports.routes import Routes

_HTML: Final = "text/html; charset=utf-8"
_SCRIPT: Final = "text/javascript; charset=utf-8"
_ASSETS: Final = {
    "swagger-ui-bundle.js": _SCRIPT,
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon.png": "image/png",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Samovar API</title>
<link rel="icon" href="/docs/assets/favicon.png">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
"""
_START: Final = (
    "SwaggerUIBundle({url: '/openapi.json', dom_id: '#docs', deepLinking: true, persistAuthorization: false,"
    " validatorUrl: null});\n"
)
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_NOT_READY: Final[dict[int | str, dict[str, Any]]] = {503: {"model": Readiness, "description": "Not ready, and why"}}
_EXPOSITION: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Prometheus text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def router(
    *,
    service: OperationsService,
    about: Callable[[], Awaitable[About]],
    metrics: Callable[[], Awaitable[bytes]],
    metrics_type: str,
    now: Callable[[], datetime],
) -> Routes:
    """``about`` and ``metrics`` are read at each request."""
    routes = Routes(tags=["operations"])

    @routes.get("/healthz", summary="Alive", operation_id="healthz")
    async def healthz() -> Alive:
        return Alive(ok=True, ts=milliseconds(now()))

    async def live() -> Live:
        return Live(status="ok")

    async def ready() -> JSONResponse:
        state = await service.readiness()
        body = {"ready": state.ready, "checks": state.checks, "failing": dict(state.failing)}
        return JSONResponse(body, 200 if state.ready else 503)

    for path, name in (("/health", "health"), ("/health/live", "health_live")):
        routes.get(path, summary="Alive", operation_id=name)(live)
    for path, name in (("/ready", "ready"), ("/health/ready", "health_ready")):
        routes.get(path, summary="Ready to serve", operation_id=name, response_model=Readiness, responses=_NOT_READY)(
            ready
        )

    @routes.get(
        "/metrics",
        summary="Prometheus metrics",
        operation_id="metrics",
        response_class=Response,
        responses=_EXPOSITION,
    )
    async def exposition() -> Response:
        return Response(await metrics(), headers={"content-type": metrics_type})

    @routes.get("/about", summary="What this is", operation_id="about")
    async def what() -> About:
        return await about()

    _documentation(routes)
    return routes


def _documentation(routes: Routes) -> None:
    read: dict[str, bytes] = {}

    @routes.get("/docs", include_in_schema=False)
    async def page() -> Response:
        return Response(_PAGE, headers={"content-type": _HTML, "content-security-policy": _PAGE_POLICY})

    @routes.get("/docs/assets/start.js", include_in_schema=False)
    async def start() -> Response:
        return Response(_START, headers={"content-type": _SCRIPT})

    @routes.get("/docs/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise NotFound("there is no such part of the documentation page; it is at /docs")
        content = read.get(name)
        if content is None:
            content = read[name] = await asyncio.to_thread(_shipped, name)
        return Response(content, headers={"content-type": _ASSETS[name], "cache-control": "public, max-age=86400"})


def _shipped(name: str) -> bytes:
    """Swagger UI as a package ships it: nothing is loaded from anywhere else."""
    return files("fastapi_offline").joinpath("static", name).read_bytes()
