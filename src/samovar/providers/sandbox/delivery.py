"""From an answer to a reply: the surface's bytes, the wished pace, and the wished fault."""

from collections.abc import Callable, Iterator
from typing import Final

from samovar.providers.sandbox.ask import Answer, Ask
from samovar.providers.sandbox.errors import OVERLOADED, RATE_LIMITED, Problem
from samovar.providers.sandbox.exchange import HTML, Ending, Reply
from samovar.providers.sandbox.surface import Endpoint, Surface
from samovar.providers.sandbox.wish import Fault, Wish

_PAGE: Final = (
    b"<!doctype html><html><head><title>%b</title></head><body><h1>%b</h1><hr>samovar-sandbox</body></html>\n"
)
_MESSAGES: Final = {
    RATE_LIMITED: "Rate limit reached for requests.",
    500: "The server had an error while processing your request.",
    503: "The service is temporarily overloaded.",
    OVERLOADED: "Overloaded",
}
_MID_STREAM: Final = Problem(
    status=500, message="The sandbox ended this stream with an error, as asked.", code="server_error"
)
_QUOTA: Final = Problem(
    status=RATE_LIMITED,
    message="You exceeded your current quota, please check your plan and billing details.",
    code="insufficient_quota",
)
_FAILURES: Final = {Fault.ERROR_MID: _MID_STREAM, Fault.QUOTA_MID: _QUOTA}
_ENDINGS: Final = {Fault.CUT: Ending.CUT, Fault.CUT_BODY: Ending.CUT, Fault.HANG_MID: Ending.HANG}
_STRAYS: Final = frozenset((Fault.MALFORMED, Fault.BAD_UTF8, Fault.UNKNOWN_EVENT))
_SPLIT_BYTES: Final = 7
"""No letter of two bytes or more is safe from it."""
_SHORT: Final = frozenset((Fault.CUT, Fault.CUT_BODY, Fault.HANG_MID))


def error_reply(surface: Endpoint, problem: Problem, *, first_byte_s: float = 0.0) -> Reply:
    """``problem`` in the vendor's shape, with ``Retry-After`` where it has one."""
    headers = surface.headers("error")
    if problem.retry_after_s is not None and surface.manners.says_retry_after:
        headers += b"retry-after: %d\r\n" % problem.retry_after_s
    return Reply(status=problem.status, headers=headers, body=surface.error(problem), first_byte_s=first_byte_s)


def refusal(surface: Endpoint, wish: Wish) -> Reply | None:
    """The reply of a fault that comes instead of an answer; ``None`` where the wish has none of these."""
    first_byte_s = wish.pace.first_byte_ms / 1000
    if wish.status:
        retry_after_s = 1 if wish.retry_after_s is None and wish.status == RATE_LIMITED else wish.retry_after_s
        message = _MESSAGES.get(wish.status, "The sandbox failed, as asked.")
        return error_reply(
            surface,
            Problem(status=wish.status, message=f"{message} (sandbox fault)", retry_after_s=retry_after_s),
            first_byte_s=first_byte_s,
        )
    make = _INSTEAD.get(wish.fault) if wish.fault is not None else None
    return make(surface, first_byte_s) if make is not None else None


def _quota(surface: Endpoint, first_byte_s: float) -> Reply:
    status = surface.manners.quota_status
    problem = Problem(status=status, message=_QUOTA.message, code=_QUOTA.code)
    return error_reply(surface, problem, first_byte_s=first_byte_s)


def _context(surface: Endpoint, first_byte_s: float) -> Reply:
    problem = Problem(
        status=400, message=surface.manners.context_message, code="context_length_exceeded", param="messages"
    )
    return error_reply(surface, problem, first_byte_s=first_byte_s)


def _html(_: Endpoint, first_byte_s: float) -> Reply:
    return Reply(content_type=HTML, body=_PAGE % (b"Welcome", b"Welcome"), first_byte_s=first_byte_s)


def _html_502(_: Endpoint, first_byte_s: float) -> Reply:
    page = _PAGE % (b"502 Bad Gateway", b"502 Bad Gateway")
    return Reply(status=502, content_type=HTML, body=page, first_byte_s=first_byte_s)


def _error_200(surface: Endpoint, first_byte_s: float) -> Reply:
    return Reply(body=surface.error(_MID_STREAM), first_byte_s=first_byte_s)


def _hang(_: Endpoint, __: float) -> Reply:
    return Reply(silent=True)


_INSTEAD: Final[dict[Fault, Callable[[Endpoint, float], Reply]]] = {
    Fault.QUOTA: _quota,
    Fault.CONTEXT: _context,
    Fault.HTML: _html,
    Fault.HTML_502: _html_502,
    Fault.ERROR_200: _error_200,
    Fault.HANG: _hang,
}


def whole_reply(surface: Endpoint, ask: Ask, body: bytes, wish: Wish) -> Reply:
    """The answer in one body, harmed as wished."""
    first_byte_s = wish.pace.first_byte_ms / 1000
    headers = surface.headers(ask.digest)
    fault = wish.fault
    if fault is None:
        return Reply(headers=headers, body=body, first_byte_s=first_byte_s)
    declared_bytes = len(body) if fault in _SHORT else None
    if fault in _SHORT or fault in {Fault.MALFORMED, Fault.TRUNCATE}:
        body = body[: len(body) // 2]
    elif fault is Fault.BAD_UTF8:
        body = body.replace(b'":"', b'":"\xff\xfe', 1)
    elif fault in _FAILURES:
        body = surface.error(_FAILURES[fault])
    return Reply(
        headers=headers,
        body=body,
        first_byte_s=first_byte_s,
        declared_bytes=declared_bytes,
        ending=_ENDINGS.get(fault, Ending.ORDERLY),
    )


def stream_reply(surface: Surface, ask: Ask, answer: Answer, wish: Wish) -> Reply:
    """The answer as an event stream, paced and harmed as wished."""
    blocks = surface.blocks(ask, answer)
    if wish.fault is not None:
        at = wish.at if wish.at >= 0 else max(1, len(answer.pieces) // 2 + 1)
        blocks = _harmed(surface, ask, answer, wish.fault, at)
    return Reply(
        content_type=surface.stream_type(ask),
        headers=surface.headers(ask.digest),
        blocks=blocks,
        first_byte_s=wish.pace.first_byte_ms / 1000,
        delay_s=wish.pace.delay_ms / 1000,
        ending=_ENDINGS.get(wish.fault, Ending.ORDERLY) if wish.fault is not None else Ending.ORDERLY,
    )


def _split(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for at in range(0, len(block), _SPLIT_BYTES):
            yield block[at : at + _SPLIT_BYTES]


def _harmed(surface: Surface, ask: Ask, answer: Answer, fault: Fault, at: int) -> Iterator[bytes]:
    if fault is Fault.SPLIT:
        yield from _split(surface.blocks(ask, answer))
        return
    opening = b""
    for number, block in enumerate(surface.blocks(ask, answer)):
        opening = opening or block
        if number == at:
            if fault in _STRAYS:
                # Bytes that are no text come in two packets, cut between them.
                before, wrong, after = surface.stray_events(ask)[fault].partition(b"\xff")
                yield before + wrong
                if after:
                    yield after
            elif fault is Fault.DUPLICATE_START and surface.manners.has_opening:
                yield opening
            elif fault in _FAILURES:
                yield surface.error_event(ask, answer, _FAILURES[fault], at)
                return
            elif fault in _SHORT or fault is Fault.TRUNCATE:
                return
        yield block
