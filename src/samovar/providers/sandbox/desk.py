"""Where requests come in: routes, keys, and the way from a request through a surface and a model to a reply."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec
import structlog

from samovar.providers.sandbox.answers import Model, answer_of, behaviour
from samovar.providers.sandbox.ask import Ask
from samovar.providers.sandbox.delivery import error_reply, refusal, stream_reply, whole_reply
from samovar.providers.sandbox.errors import Problem, Refused
from samovar.providers.sandbox.exchange import Reply, Request
from samovar.providers.sandbox.gemini_errors import gemini_key
from samovar.providers.sandbox.journal import Entry, Journal
from samovar.providers.sandbox.models import is_models_path, models_page
from samovar.providers.sandbox.picture import described
from samovar.providers.sandbox.surface import Calculation, Endpoint, Figure, Manners, Surface
from samovar.providers.sandbox.tokens import PromptCache
from samovar.providers.sandbox.wish import Pace, Wish, magic_words, wish_of

_log = structlog.get_logger(__name__)
BAD_KEY: Final = b"sk-sandbox-bad"
_LARGE_BODY_BYTES: Final = 256 * 1024
"""From here on reading the JSON would hold the event loop for a noticeable time, so a thread does it."""
_LONG_CALCULATION_BYTES: Final = 4 * 1024
"""From here on there may be many vectors to make."""
_MAX_IN_THREADS: Final = 256
_MAX_FLAKY: Final = 10_000
_encode: Final = msgspec.json.Encoder().encode

T = TypeVar("T")
Deliver = Callable[[Reply], None]


class Desk:
    """Answers requests. ``pool`` does what would block the loop; ``pace`` is for requests that wish none of their own."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        pool: ThreadPoolExecutor,
        surfaces: Sequence[Surface],
        calculations: Sequence[Calculation],
        journal: Journal,
        pace: Pace,
        connections: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._pool = pool
        self._surfaces = tuple(surfaces)
        self._calculations = tuple(calculations)
        self._journal = journal
        self._plain = Wish(pace=pace)
        self._connections = connections
        self._cache = PromptCache()
        self._failed: OrderedDict[bytes, int] = OrderedDict()
        self._in_threads = 0
        self._fixed: dict[str, tuple[str, Callable[[Request], Reply]]] = {
            "/healthz": ("GET", lambda _: _json({"ok": True})),
            "/sandbox/stats": ("GET", lambda _: _json({**journal.stats(), "connections": connections()})),
            "/sandbox/requests": ("GET", lambda _: _json({"requests": journal.requests()})),
            "/sandbox/reset": ("POST", self._reset),
        }

    def observes(self, path: str) -> bool:
        """Whether this path only looks at the sandbox, so that it must not stand in the journal it shows."""
        return path.startswith("/sandbox/") or path == "/healthz"

    def answer(self, request: Request, entry: Entry, deliver: Deliver) -> "asyncio.Future[Any] | None":
        """Calls ``deliver`` with the reply, at once or, where a thread works on it, later: then the future returned can be
        cancelled."""
        surface = self._surface(request.path)
        if surface is None:
            return self._answer_plainly(request, entry, deliver)
        entry.surface = surface.name
        try:
            _expect_post(request)
            _admit(surface.key(request), surface.manners)
            if len(request.body) > _LARGE_BODY_BYTES:
                return self._in_thread(lambda: _studied(surface, request), surface, request, entry, deliver)
            ask = surface.read(request)
            model = behaviour(ask)
            if model is Model.VISION and ask.images:
                return self._in_thread(lambda: (ask, model, described(ask.images)), surface, request, entry, deliver)
            deliver(self._reply(surface, request, entry, ask, model, ()))
        except Refused as refused:
            deliver(error_reply(surface, refused.problem))
        return None

    def _answer_plainly(self, request: Request, entry: Entry, deliver: Deliver) -> "asyncio.Future[Any] | None":
        """What no model talks behind: a calculation, or a fixed page."""
        found = next((each for each in self._calculations if each.claims(request.path)), None)
        if found is None:
            deliver(self._fixed_reply(request))
            return None
        calculation, entry.surface = found, found.name
        try:
            _expect_post(request)
            _admit(calculation.key(request), calculation.manners)
            if len(request.body) > _LONG_CALCULATION_BYTES:
                return self._threaded(
                    lambda: calculation.work(request),
                    lambda figure: self._figured(calculation, request, entry, figure),
                    calculation,
                    request,
                    deliver,
                )
            deliver(self._figured(calculation, request, entry, calculation.work(request)))
        except Refused as refused:
            deliver(error_reply(calculation, refused.problem))
        return None

    def _figured(self, calculation: Calculation, request: Request, entry: Entry, figure: Figure) -> Reply:
        ask = figure.ask
        entry.model = ask.model
        wish = self._wish(request.headers, ask, calculation.key(request))
        return refusal(calculation, wish) or whole_reply(calculation, ask, figure.body, wish)

    def refuse(self, path: str, problem: Problem) -> Reply:
        """``problem`` in the shape of the surface that has ``path``, or the first one's."""
        for endpoint in (*self._surfaces, *self._calculations):
            if endpoint.claims(path):
                return error_reply(endpoint, problem)
        return error_reply(self._surfaces[0], problem)

    def _surface(self, path: str) -> Surface | None:
        for surface in self._surfaces:
            if surface.claims(path):
                return surface
        return None

    def _in_thread(
        self,
        study: "Callable[[], tuple[Ask, Model, tuple[str, ...]]]",
        surface: Surface,
        request: Request,
        entry: Entry,
        deliver: Deliver,
    ) -> "asyncio.Future[Any]":
        return self._threaded(
            study, lambda studied: self._reply(surface, request, entry, *studied), surface, request, deliver
        )

    def _threaded(
        self,
        study: Callable[[], T],
        reply_of: Callable[[T], Reply],
        endpoint: Endpoint,
        request: Request,
        deliver: Deliver,
    ) -> "asyncio.Future[Any]":
        if self._in_threads >= _MAX_IN_THREADS:
            raise Refused(Problem(status=503, message="Too many large requests at once.", retry_after_s=1))
        self._in_threads += 1

        def done(future: "asyncio.Future[T]") -> None:
            self._in_threads -= 1
            if future.cancelled():
                return
            try:
                reply = reply_of(future.result())
            except Refused as refused:
                reply = error_reply(endpoint, refused.problem)
            except Exception:  # noqa: BLE001 - the edge of a request: it is answered, and the server goes on
                _log.exception("sandbox_request_failed", path=request.path)
                reply = self.refuse(request.path, Problem(status=500, message="The sandbox failed; its log says why."))
            deliver(reply)

        future = self._loop.run_in_executor(self._pool, study)
        future.add_done_callback(done)
        return future

    def _reply(
        self, surface: Surface, request: Request, entry: Entry, ask: Ask, model: Model, seen: tuple[str, ...]
    ) -> Reply:
        entry.model, entry.stream = ask.model, ask.stream
        key = surface.key(request)
        wish = self._wish(request.headers, ask, key)
        refused = refusal(surface, wish)
        if refused is not None:
            return refused
        counted = self._cache.count(ask, key, told_cached=wish.cached)
        answer = answer_of(ask, model, wish, counted, seen)
        if ask.stream:
            return stream_reply(surface, ask, answer, wish)
        return whole_reply(surface, ask, surface.whole(ask, answer), wish)

    def _wish(self, headers: Mapping[bytes, bytes], ask: Ask, key: bytes) -> Wish:
        header = headers.get(b"x-sandbox")
        magic = magic_words(ask.user_text) if "[[" in ask.user_text else ""
        if header is None and not ask.suffix and not magic:
            return self._plain
        wish = wish_of(self._plain.pace, (header or b"").decode("latin-1"), ask.suffix, magic)
        return self._flaky(wish, ask, key) if wish.flaky else wish

    def _flaky(self, wish: Wish, ask: Ask, key: bytes) -> Wish:
        """The failing wish as long as it has failed less often than asked for, then the same pace without a fault."""
        name = blake2b(key + b"\0" + ask.user_text.encode("utf-8", "replace"), digest_size=16).digest()
        failed = self._failed.get(name, 0)
        if failed >= wish.flaky:
            return msgspec.structs.replace(wish, fault=None, status=0)
        self._failed[name] = failed + 1
        self._failed.move_to_end(name)
        if len(self._failed) > _MAX_FLAKY:
            self._failed.popitem(last=False)
        return wish if wish.fault is not None or wish.status else msgspec.structs.replace(wish, status=503)

    def _fixed_reply(self, request: Request) -> Reply:
        found = ("GET", self._models) if is_models_path(request.path) else self._fixed.get(request.path)
        if found is None:
            return self.refuse(
                request.path, Problem(status=404, message=f"Invalid URL ({request.method} {request.path[:200]})")
            )
        method, make = found
        if request.method != method and (request.method, method) != ("HEAD", "GET"):
            return self.refuse(
                request.path, Problem(status=405, message=f"Not allowed to {request.method} (try {method})")
            )
        return make(request)

    def _models(self, request: Request) -> Reply:
        """In the shape of the client that asks, as our own gateway answers."""
        headers = request.headers
        like = "/v1/messages" if b"anthropic-version" in headers else request.path
        if b"x-goog-api-key" in headers:
            like = "/v1/models/any:generateContent"
        try:
            _admit(headers.get(b"x-api-key", b"") or gemini_key(request), Manners())
            return Reply(body=models_page(request.path, headers))
        except Refused as refused:
            return self.refuse(like, refused.problem)

    def _reset(self, _: Request) -> Reply:
        self._journal.reset()
        self._cache.forget()
        self._failed.clear()
        return _json({"ok": True})


def _studied(surface: Surface, request: Request) -> tuple[Ask, Model, tuple[str, ...]]:
    ask = surface.read(request)
    model = behaviour(ask)
    return ask, model, described(ask.images) if model is Model.VISION else ()


def _expect_post(request: Request) -> None:
    if request.method != "POST":
        raise Refused(Problem(status=405, message=f"Not allowed to {request.method} on {request.path} (try POST)"))


def _admit(key: bytes, manners: Manners) -> None:
    if key and key != BAD_KEY:
        return
    status = manners.bad_key_status if key else manners.no_key_status
    said = (
        "Incorrect API key provided: sk-sandbox-bad."
        if key
        else "You didn't provide an API key. The sandbox takes any."
    )
    raise Refused(Problem(status=status, message=said, code="invalid_api_key"))


def _json(value: object) -> Reply:
    return Reply(body=_encode(value))
