"""Can the load generator be believed? It is faster than anything it measures, and it sees every fault it looks for.

Runs against `bench.trivial`: `python -m bench selfcheck`.
"""

import random
from collections.abc import Callable
from functools import partial

import uvloop

from bench.figures import Figure
from bench.load.connection import Connection
from bench.load.drivers import ClosedLoop
from bench.load.request import Marks, NotLoopback, Request, Target, post
from bench.load.window import Seen, Span, observe
from bench.processes import Child
from bench.trivial import EVENTS

TARGET_PER_S = 25_000.0
_USAGE = ("answer without usage", b'"total_tokens":')
_WHOLE = Marks(named=(_USAGE,))
_STREAM = Marks(named=(_USAGE,), ending=b"data: [DONE]\n\n", events=EVENTS + 2)
_FAULTS: dict[str, tuple[Marks, str]] = {
    "/status": (_WHOLE, "status 500"),
    "/no-usage": (_WHOLE, "answer without usage"),
    "/no-done": (_STREAM, "stream without its ending"),
    "/malformed": (_WHOLE, "malformed HTTP"),
    "/cut": (_STREAM, "connection lost before the answer ended"),
    "/close": (_WHOLE, "connection lost before the answer ended"),
}


def selfcheck(
    start: Callable[[], tuple[Child, Target]], *, seconds: float, connections: int
) -> tuple[list[Figure], list[str]]:
    """The generator's own speed, and what it failed to notice (nothing, if all is well)."""
    child, target = start()
    whole = _window(child, target, "/v1/chat/completions", _WHOLE, Span(seconds, 0.3), connections)
    streamed = _window(child, target, "/v1/chat/completions", _STREAM, Span(seconds, 0.3), connections)
    flaws = [f"false alarm: {kind}" for kind in (*whole.record.errors, *streamed.record.errors)]
    for path, (marks, kind) in _FAULTS.items():
        seen = _window(child, target, path, marks, Span(0.2, 0.0), 2)
        if not seen.record.errors[kind] or seen.record.completed:
            flaws.append(
                f"{path} should be {kind!r}, was {dict(seen.record.errors)} and {seen.record.completed} good answers"
            )
    try:
        Target("192.0.2.1", 80)
        flaws.append("an address outside this machine was taken")
    except NotLoopback:
        pass
    figures = [
        Figure(
            "load generator, calls per second", whole.per_s, "calls/s", TARGET_PER_S, note="against a trivial server"
        ),
        Figure("load generator, streams per second", streamed.per_s, "streams/s", note=f"of {EVENTS} chunks"),
    ]
    return figures, flaws


def _window(child: Child, target: Target, path: str, marks: Marks, span: Span, connections: int) -> Seen:
    body = b'{"stream":%b,"text":"%b"}' % (b"true" if marks.ending else b"false", b"steam " * 150)
    request = Request(raw=post(target, path, {"authorization": "Bearer none"}, body), marks=marks)
    driver = ClosedLoop(request, randomness=random.Random(1))
    window = observe(
        target, driver, span, connections=connections, connect=partial(Connection, driver), watched={"server": child}
    )
    return uvloop.run(window)
