"""What stands in a request's headers and matters to a call, found in one pass; and the headers of an answer."""

import re
from typing import Final

import msgspec

from samovar.domains.billing.model.wallets import PurseState
from samovar.domains.gateway.model import Plan
from samovar.domains.gateway.model.answer_cache import SWITCH, TTL
from samovar.domains.gateway.model.idempotency import HEADER
from samovar.domains.gateway.service.trail import Trail
from samovar.kernel.errors import SamovarError
from samovar.kernel.money import credits_text
from samovar.ports.asgi import Lines, RawHeaders, header_pairs, sane_request_id

JSON: Final = b"application/json"
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-|\Z)"
)
# A member reached through its class costs a call of a function, and each gateway call takes this path.
_OK: Final = PurseState.OK


class Envelope(msgspec.Struct):
    """The headers of a request, as text where they are ours and as pairs where they go on to the vendor."""

    secret: str | None = None
    content_length: bytes | None = None
    request_id: str | None = None
    trace_id: str = ""
    parent_span_id: str = ""
    wants_cost: bool = False
    idempotency_key: bytes | None = None
    cache: bytes | None = None
    cache_ttl: bytes | None = None
    user_label: str = ""
    forwarded: list[tuple[str, str]] = []


def read_envelope(headers: RawHeaders, forwarded: frozenset[bytes]) -> Envelope:
    """One pass over the headers; names are lower case already (ASGI)."""
    found = Envelope()
    for name, value in headers:
        reader = _READERS.get(name)
        if reader is not None:
            reader(found, value)
        elif name in forwarded:
            found.forwarded.append((name.decode("latin-1"), value.decode("latin-1")))
    return found


def _authorization(found: Envelope, value: bytes) -> None:
    if value[:7].lower() == b"bearer ":
        found.secret = value[7:].strip().decode("latin-1")


def _vendor_key(found: Envelope, value: bytes) -> None:
    # An SDK may send both; the explicit Authorization wins.
    if found.secret is None:
        found.secret = value.strip().decode("latin-1")


def _content_length(found: Envelope, value: bytes) -> None:
    found.content_length = value


def _request_id(found: Envelope, value: bytes) -> None:
    found.request_id = sane_request_id(value)


def _traceparent(found: Envelope, value: bytes) -> None:
    # W3C Trace Context: version "-" trace-id "-" parent-id "-" flags. What is not that, or all zeros, is no parent.
    match = _TRACEPARENT.match(value)
    if match is not None:
        found.trace_id, found.parent_span_id = match[1].decode("ascii"), match[2].decode("ascii")


def _wants_cost(found: Envelope, value: bytes) -> None:
    found.wants_cost = value == b"1"


def _idempotency_key(found: Envelope, value: bytes) -> None:
    found.idempotency_key = value


def _cache(found: Envelope, value: bytes) -> None:
    found.cache = value.strip()


def _cache_ttl(found: Envelope, value: bytes) -> None:
    found.cache_ttl = value.strip()


def _user_label(found: Envelope, value: bytes) -> None:
    # Cut first: what is noted of it is shorter still.
    found.user_label = value[:512].decode("utf-8", "replace").strip()


_READERS = {
    b"authorization": _authorization,
    b"x-api-key": _vendor_key,
    b"x-goog-api-key": _vendor_key,
    b"content-length": _content_length,
    b"x-request-id": _request_id,
    b"traceparent": _traceparent,
    b"x-samovar-usage": _wants_cost,
    b"x-samovar-user": _user_label,
    HEADER: _idempotency_key,
    SWITCH: _cache,
    TTL: _cache_ttl,
}


def told(trail: Trail, planned: Plan) -> Lines:
    """The ``x-samovar-*`` headers: what answered, why, at what cost, and how long we ourselves took. A cost is there
    once it is known: not at the start of a stream. ``x-samovar-estimated`` marks figures that are our guess,
    ``x-samovar-budget`` calls of a wallet whose budget is nearly spent (``warned``) or asks for cheaper models."""
    attempt, call, usage, cost = trail.attempt, trail.call, trail.usage, trail.cost_nano_usd
    assert attempt is not None
    target, overhead, hold = attempt.target, f"{trail.overhead_ms():.3f}", trail.hold
    # One text takes a fifth of the time of pairs that are joined afterwards, and every call has it.
    text = (
        f"x-request-id: {call.request_id}\r\ntraceparent: {call.traceparent}\r\nx-samovar-call-id: {call.id}\r\n"
        f"x-samovar-model: {target.model.id}\r\nx-samovar-provider: {target.provider.name}\r\n"
        f"x-samovar-route: {planned.why}\r\nx-samovar-attempts: {len(trail.notes)}\r\n"
        f"x-samovar-overhead-ms: {overhead}\r\n"
        f"server-timing: provider;dur={trail.upstream_s * 1000:.1f}, samovar;dur={overhead}"
    )
    count = 9
    if trail.cache:
        text, count = f"{text}\r\nx-cache: {trail.cache}", count + 1
    if cost == 0 or usage is not None:
        credits = "unknown" if cost is None else credits_text(cost)
        text, count = f"{text}\r\nx-samovar-cost-credits: {credits}", count + 1
    if trail.is_estimate or (usage is not None and usage.estimated):
        text, count = f"{text}\r\nx-samovar-estimated: 1", count + 1
    if hold is not None and hold.state is not _OK:
        text, count = f"{text}\r\nx-samovar-budget: {hold.state.name.lower()}", count + 1
    if call.grant is not None:
        limits = call.grant.lines()
        if limits.number:
            return Lines(b"\r\n".join((text.encode(), limits.text)), count + limits.number)
    return Lines(text.encode(), count)


def refusal_headers(error: SamovarError, request_id: str, kind: bytes = JSON) -> list[tuple[bytes, bytes]]:
    """The headers of an error: its content type, the request's id, and the error's own (``Retry-After``)."""
    return [(b"content-type", kind), (b"x-request-id", request_id.encode()), *header_pairs(error)]
