"""When an answer may be remembered, and under what name: two calls share one only where they ask the same of the same."""

import hashlib
from typing import Any, Final

import msgspec

from samovar.domains.gateway.model.call import Attempt, CacheAsk, Call
from samovar.kernel.answer_cache import DEFAULT_CACHE_TTL_S, MAX_CACHE_TTL_S, KeyCache
from samovar.kernel.errors import Flaw, Malformed
from samovar.ports.llm import Stop, StopKind

SWITCH: Final = b"x-samovar-cache"
TTL: Final = b"x-samovar-cache-ttl"

MAX_REQUEST_BYTES: Final = 1024 * 1024
"""A larger request is not looked up: to read it again would hold up the other calls."""

_WHOLE: Final = frozenset({StopKind.END, StopKind.STOP_SEQUENCE, StopKind.TOOL_CALLS})
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is remembered: the pieces of its body, one for a whole answer."""

    blocks: tuple[bytes, ...]


def cache_ask(switch: bytes | None, ttl: bytes | None, key: KeyCache | None, *, form: str) -> CacheAsk | None:
    """What the two headers and the key ask together; ``None``: nothing. Raises ``Malformed``."""
    if switch is None and ttl is None:
        return None if key is None else CacheAsk(ttl_s=key.ttl_s, own=key.own, always=False, form=form)
    if switch not in (None, b"0", b"1"):
        raise _flawed(SWITCH, "must be 1 or 0")
    ttl_s = DEFAULT_CACHE_TTL_S if key is None else key.ttl_s
    if ttl is not None:
        if not ttl.isdigit() or len(ttl) > 9 or not 1 <= int(ttl) <= MAX_CACHE_TTL_S:
            raise _flawed(TTL, f"must be a whole number of seconds from 1 to {MAX_CACHE_TTL_S}")
        ttl_s = int(ttl)
    if switch == b"0":
        return None
    return CacheAsk(ttl_s=ttl_s, own=key is not None and key.own, always=True, form=form)


def is_whole(call: Call, stop: Stop | None) -> bool:
    """Whether the answer came to its own end: nothing is remembered of one that was cut short."""
    return call.as_prompt is not None if stop is None else stop.kind in _WHOLE


def answer_name(call: Call, ask: CacheAsk) -> bytes | None:
    """All of the call that its answer depends on but for who answers it, as a digest; ``None`` where its answer is not to be
    remembered: another temperature than 0 without being asked for, or a body that we cannot read."""
    if len(call.body) > MAX_REQUEST_BYTES or (call.head.stream and call.wants_cost):
        # The second has its own cost in its last event.
        return None
    try:
        body: Any = _decode(call.body)
        if not isinstance(body, dict) or not (ask.always or call.as_prompt is not None or _is_cold(body)):
            return None
        said = canonical(body, stream=call.head.stream)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    principal = call.principal
    parts = [
        principal.team_id.encode(),
        principal.id.encode() if ask.own else b"",
        (call.surface_name or call.surface.name).encode(),
        b"stream " + ask.form.encode() if call.head.stream else b"whole",
        call.head.model.encode(),
        # What rules the answer rules who may share it.
        b"" if principal.guard is None else _encode(principal.guard),
        _encode(sorted(call.forwarded)),
        said,
    ]
    return _digest(parts)


def cache_key(team_id: str, name: bytes, attempt: Attempt) -> str:
    """The key in the cache of the answer that this target gave, or would give."""
    target = attempt.target
    # With the address: a provider that an admin sent elsewhere is another one.
    parts = [name, target.provider.id.encode(), target.provider.base_url.encode(), target.model.id.encode()]
    return f"answers:1:{team_id}:{_digest(parts).hex()}"


def canonical(body: dict[str, Any], *, stream: bool) -> bytes:
    """The body in one spelling: names in order, no spaces, without what says only whether to stream."""
    left_out = {"stream"} if stream else {"stream", "stream_options"}
    return _encode({name: value for name, value in body.items() if name not in left_out})


def _is_cold(body: dict[str, Any]) -> bool:
    """Whether temperature 0 is asked for, on any surface."""
    settings = body.get("generationConfig", body.get("generation_config"))
    found = settings.get("temperature") if isinstance(settings, dict) else body.get("temperature")
    return isinstance(found, int | float) and not isinstance(found, bool) and found == 0


def _digest(parts: list[bytes]) -> bytes:
    # The length before each part: no two lists give the same bytes.
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def _flawed(header: bytes, what: str) -> Malformed:
    return Malformed(f"{header.decode()} {what}", flaws=[Flaw(header.decode(), what)])
