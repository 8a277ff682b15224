"""The request that goes out to a vendor."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from samovar.domains.gateway.model import Attempt
from samovar.domains.gateway.service.trail import Trail
from samovar.ports.dialect import Dialect, UpstreamError
from samovar.ports.transport import HttpAnswer, HttpRequest

LARGE_BYTES: Final = 256 * 1024
_MAX_ERROR_BYTES: Final = 64 * 1024


async def prepared(attempt: Attempt, trail: Trail) -> HttpRequest:
    """:func:`upstream_request` for a body of :data:`LARGE_BYTES` and more, in several steps of the event loop: a picture of a
    megabyte takes some milliseconds to read, to write and to send, and the other calls go on in between."""
    await asyncio.sleep(0)
    if not attempt.native:
        trail.request()
        await asyncio.sleep(0)
    request = upstream_request(attempt, trail)
    await asyncio.sleep(0)
    return request


def upstream_request(attempt: Attempt, trail: Trail) -> HttpRequest:
    """The vendor's bytes at the vendor's address, signed in as ourselves. Raises ``Unsupported`` or ``Malformed``."""
    call = trail.call
    vendor, model = attempt.vendor, attempt.target.model
    dialect = attempt.dialect
    if attempt.native:
        body = dialect.splice(call.body, model=model.name, vendor=vendor)
    else:
        renamed = msgspec.structs.replace(trail.request(), model=model.name, stream=call.head.stream)
        body = dialect.write_request(renamed, vendor=vendor, drop_params=call.head.drop_params)
    path = vendor.paths[dialect.name]
    if call.head.stream and vendor.stream_paths:
        path = vendor.stream_paths.get(dialect.name, path)
    return addressed(attempt, trail, path=path, body=body)


def addressed(attempt: Attempt, trail: Trail, *, path: str, body: bytes) -> HttpRequest:
    """``body`` for a path of the vendor's API, with the vendor's headers and our key."""
    vendor, provider, model, call = attempt.vendor, attempt.target.provider, attempt.target.model, trail.call
    if "{model}" in path:
        # Callers choose names: one must not lead to another place of the vendor's API.
        path = path.replace("{model}", quote(model.name, safe=""))
    headers = [("content-type", "application/json"), *vendor.headers]
    if call.head.stream:
        headers.append(("accept", "text/event-stream"))
    if trail.key is not None:
        headers.append((vendor.key_header, vendor.key_prefix + trail.key.reveal()))
    # Not "native": where the rules of a key have the answer read, the vendor still speaks the caller's language.
    speaks_it = attempt.dialect.name == call.surface.name
    headers.extend(_dialect_headers(attempt.dialect, call.forwarded if speaks_it else ()))
    if vendor.idempotency_header is not None:
        # The same on each retry of this call, so that a vendor that takes it answers once.
        headers.append((vendor.idempotency_header, call.id))
    return HttpRequest("POST", provider.base_url + path, headers, body, streamed=call.head.stream)


def _dialect_headers(dialect: Dialect, forwarded: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The caller's own where it sent some, the dialect's defaults for the rest."""
    if not forwarded:
        return dialect.default_headers
    given = {name for name, _ in forwarded}
    return [*forwarded, *(pair for pair in dialect.default_headers if pair[0] not in given)]


def noted(trail: Trail) -> Awaitable[None] | None:
    """Before the request goes out: that money is held for it. Await what comes back, if anything does. Raises ``SpoolFull``,
    also when awaited: then nothing may be sent."""
    return None if trail.hold is None else trail.hold.sent()


async def read_error(attempt: Attempt, answer: HttpAnswer) -> UpstreamError:
    """The vendor's error answer, as an error of ours. Raises a transport failure if it does not come whole."""
    body = await answer.read(max_bytes=_MAX_ERROR_BYTES)
    return attempt.dialect.read_error(answer.status, body, header=answer.header)
