"""The control plane: FastAPI behind a pure ASGI edge that speaks problem documents."""

import asyncio
import re
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from samovar.app.http import MethodNotAllowed
from samovar.app.openapi import SIGNED_IN
from samovar.app.problems import MEDIA_TYPE, flaws_of, problem
from samovar.app.witness import REQUEST_BODY, Witness
from samovar.domains.gateway.http import RECORDER, Recorder, Replayed, again
from samovar.domains.gateway.model.idempotency import HEADER as IDEMPOTENCY_KEY
from samovar.kernel.errors import (
    UNEXPECTED,
    BodyTooLarge,
    BodyTooSlow,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    SamovarError,
    Unauthenticated,
)
from samovar.kernel.tracing import traced
from samovar.ports.asgi import (
    LIMITS,
    REQUEST_ID,
    Message,
    Receive,
    Scope,
    Send,
    header_pairs,
    read_body,
    sane_request_id,
    send_whole,
)
from samovar.ports.clock import Ids
from samovar.ports.routes import join

log = structlog.get_logger()

_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FAREWELL_S: Final = 5.0
_MULTIPART: Final = b"multipart/form-data"
# A JSON escape of the character NUL: PostgreSQL's text cannot hold it. An even number of backslashes before it escapes them.
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class ControlPlane:
    """A :class:`~samovar.app.http.Control` around a FastAPI app.

    Reads the body within its bounds before FastAPI sees it, takes a JSON body whatever its content type (curl's default
    included), adds the security headers and the request's id, and answers what nobody caught.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        ids: Ids,
        headers: Iterable[tuple[bytes, bytes]],
        max_body_bytes: int,
        body_timeout_s: float,
        witness: Witness,
    ) -> None:
        self._app = app
        self._witness = witness
        self._ids = ids
        self._headers = list(headers)
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._under_way: set[_Errand] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        if scope["method"] != "POST" or all(name != IDEMPOTENCY_KEY for name, _ in scope["headers"]):
            return await self._serve(scope, receive, send)
        # Who sends a key asks again when in doubt: what was begun is done and kept, even if its caller leaves.
        errand = _Errand(self._serve(scope, receive, send))
        self._under_way.add(errand)
        errand.task.add_done_callback(lambda _: self._under_way.discard(errand))
        return await asyncio.shield(errand.task)

    async def close(self) -> None:
        """End what goes on for callers who left; first it is given a moment."""
        tasks = [errand.task for errand in self._under_way]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_FAREWELL_S)
            for task in late:
                task.cancel()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> int:
        request_id = self._request_id(scope)
        traced(request_id, scope["headers"], own=self._ids.new("span"))
        status = 0
        watch = self._witness.watch(scope, send)
        send = watch.send

        async def sending(message: Message) -> None:
            nonlocal status
            recorder: Recorder | None = scope.get(RECORDER)
            if recorder is not None:
                # Without what is added below: that is added each time it goes out.
                await recorder.note(message)
            if message["type"] == "http.response.start":
                status = message["status"]
                added = self._added(message["headers"], request_id, scope.get(LIMITS))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        # Whatever is logged while the request runs says which one it was.
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(_as_get(scope), await self._bounded(scope, receive), sending)
            except SamovarError as error:
                return await self.refuse(error, scope, send)
            except Exception:  # edge: Starlette has answered 500 through the handler below and raises again
                log.exception("unexpected error", path=scope["path"])
                if not status:
                    return await self.refuse(SamovarError(UNEXPECTED), scope, send)
            finally:
                watch.close()
                if RECORDER in scope:
                    await scope[RECORDER].close()
        return status

    async def refuse(self, error: SamovarError, scope: Scope, send: Send) -> int:
        """See :class:`samovar.app.http.Control`."""
        request_id = scope.get(REQUEST_ID) or self._request_id(scope)
        status, body = problem(error, request_id)
        headers = [(b"content-type", MEDIA_TYPE), *header_pairs(error)]
        await send_whole(send, status, [*headers, *self._added(headers, request_id)], body)
        return status

    def _request_id(self, scope: Scope) -> str:
        given = next((sane_request_id(value) for name, value in scope["headers"] if name == b"x-request-id"), None)
        scope[REQUEST_ID] = request_id = given or self._ids.new("req")
        return request_id

    def _added(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        request_id: str,
        limits: Sequence[tuple[bytes, bytes]] | None = None,
    ) -> list[tuple[bytes, bytes]]:
        added = [*self._headers, (b"x-request-id", request_id.encode()), *(limits or ())]
        if all(name != b"cache-control" for name, _ in headers):
            # Answers hold what one caller may see, a new key's secret among it.
            added.append((b"cache-control", b"no-store"))
        return added

    async def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            raise Malformed("the address holds a NUL character, which no name here does")
        if scope["method"] in _BODILESS:
            return receive
        declared = kind = None
        for name, value in scope["headers"]:
            if name == b"content-length":
                declared = value
            elif name == b"content-type":
                kind = value.lower()
        body = await read_body(
            receive, declared=declared, max_bytes=self._max_body_bytes, timeout_s=self._body_timeout_s
        )
        scope[REQUEST_BODY] = body
        if body and not (kind or b"").startswith(_MULTIPART):
            if b"\\u0000" in body and _NUL_ESCAPE.search(body):
                raise Malformed("the body holds a NUL character (\\u0000), which no text here may")
            others = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
            scope["headers"] = [*others, (b"content-type", b"application/json")]
        message: Message = {"type": "http.request", "body": body, "more_body": False}

        async def whole() -> Message:
            nonlocal message
            given, message = message, {"type": "http.disconnect"}
            return given

        return whole


class _Errand:
    """A request that is worked on to its end, whoever waits for it. The control plane cancels it when it closes."""

    def __init__(self, work: Coroutine[Any, Any, int]) -> None:
        self.task = asyncio.get_running_loop().create_task(work)


def _as_get(scope: Scope) -> Scope:
    """HEAD is GET whose body the server leaves out (RFC 9110, 9.3.2)."""
    if scope["method"] == "HEAD":
        # The server and the log go on calling it what it was.
        return _Renamed(scope, method="GET")
    return scope


class _Renamed(dict[str, Any]):
    """A scope under another method; what the router notes in it (the route) is noted in the first one too."""

    def __init__(self, scope: Scope, *, method: str) -> None:
        super().__init__(scope, method=method)
        self._scope = scope

    def update(self, *others: Any, **named: Any) -> None:
        super().update(*others, **named)
        if "route" in self:
            self._scope["route"] = self["route"]


def control_app(routers: Iterable[APIRouter], *, title: str, version: str, description: str) -> FastAPI:
    """The FastAPI app of the routers given, all of which want a credential. Its own docs pages are off: they load from a CDN."""
    app = FastAPI(
        title=title,
        version=version,
        description=description,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    # FastAPI's own is a plain route, which metrics would not know.
    app.add_api_route("/openapi.json", lambda: JSONResponse(app.openapi()), include_in_schema=False)
    # This describes; who is let in is each route's own business.
    join(app.router, *routers, security=SIGNED_IN)
    app.add_exception_handler(SamovarError, _on_samovar_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Replayed, _on_replayed)
    app.add_exception_handler(Exception, _on_unexpected)
    return app


def _answer(request: Request, error: SamovarError) -> Response:
    status, body = problem(error, request.scope.get(REQUEST_ID, ""))
    return Response(body, status, headers=error.headers, media_type=MEDIA_TYPE.decode())


async def _on_samovar_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SamovarError)
    return _answer(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    flaws = flaws_of(found)
    if any(flaw["type"] == "json_invalid" for flaw in found):
        return _answer(request, Malformed("the body is not JSON", flaws=flaws))
    where = "; ".join(f"{flaw.where[:200]}: {flaw.what[:200]}" for flaw in flaws[:3])
    return _answer(request, Invalid(f"the request breaks a rule: {where}", flaws=flaws))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    ours = _named(error, request)
    ours.headers.update({name: value for name, value in (error.headers or {}).items() if name not in ours.headers})
    return _answer(request, ours)


async def _on_replayed(request: Request, error: Exception) -> Response:
    assert isinstance(error, Replayed)
    response = Response(b"".join(error.answer.blocks), error.answer.status)
    response.raw_headers = again(error.answer)
    return response


async def _on_unexpected(request: Request, error: Exception) -> Response:
    return _answer(request, SamovarError(UNEXPECTED))


class _Other(SamovarError):
    """A framework's own refusal under its own status."""

    title = "Refused"

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.__dict__.update(status=status, code=f"http_{status}")


def _named(error: HTTPException, request: Request) -> SamovarError:
    kinds: dict[int, type[SamovarError]] = {
        400: Malformed,
        401: Unauthenticated,
        403: Forbidden,
        408: BodyTooSlow,
        413: BodyTooLarge,
        422: Invalid,
    }
    path = request.url.path
    if error.status_code == 404:
        return NotFound(f"there is nothing at {path[:200]}; see /docs")
    if error.status_code == 405:
        words = ", ".join(_methods_of(request.app, path, (error.headers or {}).get("Allow", "")))
        return MethodNotAllowed(
            f"{request.method[:20]} is not possible at {path[:200]}; use {words}", headers={"Allow": words}
        )
    kind = kinds.get(error.status_code)
    detail: Any = error.detail
    return kind(str(detail)) if kind else _Other(str(detail), error.status_code)


def _methods_of(app: FastAPI, path: str, known: str) -> list[str]:
    """All methods of a path. ``known`` is the router's own word, which names those of the first route that fits."""
    found = {method.strip() for method in known.split(",") if method.strip()}
    for template, operations in app.openapi()["paths"].items():
        pattern = re.sub(r"\\\{[^/]*?\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path):
            found.update(name.upper() for name in operations if name != "parameters")
    return sorted(found | {"HEAD"} if "GET" in found else found)
