"""Whole answers, both ways."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import BadAnswer, Tapped, Unsupported, Vendor
from samovar.ports.foreign_reasoning import proofs_apart
from samovar.ports.json_requests import UNREADABLE
from samovar.ports.llm import ChatResponse, Opaque, Part, Reasoning, Refusal, Stop, StopKind, Usage
from samovar.providers.anthropic.blocks import Block, read_block, write_part
from samovar.providers.anthropic.failures import upstream_error
from samovar.providers.anthropic.reasoning import write_answered
from samovar.providers.anthropic.usage import read_stop, read_usage, write_stop, write_usage
from samovar.providers.anthropic.wire import DIALECT, ErrorWire, MessageWire, StopDetails, UsageWire


class _Tap(msgspec.Struct):
    """An answer without its content: what a tap needs."""

    type: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: UsageWire | None = None
    error: ErrorWire | None = None


_TAP: Final = msgspec.json.Decoder(_Tap)
_MESSAGE: Final = msgspec.json.Decoder(MessageWire)


def tap(body: bytes) -> Tapped:
    """Usage, model and stop of an answer that passes through. Raises as :func:`read_response`."""
    try:
        # The parts that are skipped are not looked at otherwise.
        body.decode()
        wire = _TAP.decode(body)
    except UNREADABLE as error:
        raise unreadable(error) from error
    _check(wire)
    return Tapped(
        model=wire.model,
        usage=None if wire.usage is None else read_usage(wire.usage),
        stop=None if wire.stop_reason is None else read_stop(wire.stop_reason, wire.stop_sequence),
    )


def read_response(body: bytes, *, vendor: Vendor) -> ChatResponse:
    """Raises :class:`BadAnswer` for what is no message, ``UpstreamError`` for an error in a 200."""
    try:
        wire = _MESSAGE.decode(body)
        _check(wire)
        parts = [read_block(raw, origin=vendor.name) for raw in wire.content or ()]
    except UNREADABLE as error:
        raise unreadable(error) from error
    return ChatResponse(
        id=wire.id,
        model=wire.model,
        parts=(*parts, *refusal_of(wire.stop_details)),
        stop=read_stop(wire.stop_reason, wire.stop_sequence),
        usage=read_usage(wire.usage or UsageWire()),
    )


def _check(wire: _Tap | MessageWire) -> None:
    if wire.error is not None:
        raise upstream_error(wire.error)
    if wire.type != "message":
        raise BadAnswer(f"The provider's answer is no message: its type is {wire.type[:40]!r}.")


def unreadable(error: Exception) -> BadAnswer:
    """The words for a body that is not this dialect's JSON; nothing of the body in them."""
    return BadAnswer(f"The provider's answer is not a message in JSON: {error}")


def refusal_of(details: StopDetails | None) -> tuple[Refusal, ...]:
    """The explanation of a refusal stands beside the content on the wire, and last among the parts here."""
    return () if details is None or not details.explanation else (Refusal(text=details.explanation),)


def stop_fields(stop: Stop, refusal: str) -> dict[str, Any]:
    """``stop_reason``, ``stop_sequence`` and, for a refusal in words, ``stop_details``."""
    declined = bool(refusal) or stop.kind in (StopKind.REFUSAL, StopKind.CONTENT_FILTER)
    fields: dict[str, Any] = {
        "stop_reason": "refusal" if declined else write_stop(stop),
        "stop_sequence": stop.sequence,
    }
    if declined:
        fields["stop_details"] = {"type": "refusal", "category": None, "explanation": refusal or None}
    return fields


def write_response(response: ChatResponse, *, extra: Mapping[str, object] | None = None) -> bytes:
    """A message. Server-tool traces of other dialects have no shape here and are left out."""
    blocks = [block for part in proofs_apart(response.parts) if (block := answer_block(part)) is not None]
    refusal = "".join(part.text for part in response.parts if isinstance(part, Refusal))
    body: dict[str, Any] = {
        "id": response.id,
        "type": "message",
        "role": "assistant",
        "model": response.model,
        "content": blocks,
        **stop_fields(response.stop, refusal),
        "usage": write_usage(response.usage),
    }
    if extra is not None:
        body["samovar"] = extra
    return msgspec.json.encode(body)


def answer_block(part: Part) -> Block | None:
    """The block of an answer, ``None`` for what stands elsewhere (a refusal) or has no place. Raises
    :class:`Unsupported` for sound and video."""
    match part:
        case Refusal():
            return None
        case Reasoning():
            return write_answered(part)
        case Opaque() if part.dialect != DIALECT:
            return None
        case _:
            return write_part(part, where="content", refuse=_refuse, native=True)


def _refuse(where: str, what: str) -> None:
    raise Unsupported(f"An answer in Anthropic's dialect cannot hold {what}.", flaws=[Flaw(where, what)])


def start_message(*, message_id: str, model: str, usage: Usage) -> dict[str, Any]:
    """The ``message`` of a ``message_start`` event."""
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": write_usage(usage),
    }


def with_extra(body: bytes | Raw, extra: Mapping[str, object]) -> bytes:
    """A JSON object with our field put last, the rest as it was."""
    fields: dict[str, object] = dict(msgspec.json.decode(body, type=dict[str, Raw]))
    fields["samovar"] = extra
    return msgspec.json.encode(fields)
