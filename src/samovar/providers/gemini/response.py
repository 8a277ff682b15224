"""Whole answers, both ways."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw

from samovar.kernel.errors import Flaw
from samovar.ports.dialect import BadAnswer, Tapped, Unsupported, Vendor
from samovar.ports.json_requests import UNREADABLE
from samovar.ports.llm import ChatResponse, Opaque, Part, Reasoning, Stop, StopKind, ToolCall, Usage
from samovar.providers.gemini.calls import Calls
from samovar.providers.gemini.failures import upstream_error
from samovar.providers.gemini.parts import WirePart, read_part, sign_last, write_part
from samovar.providers.gemini.reasoning import write_answered
from samovar.providers.gemini.usage import read_usage, searches_of, stop_of, write_stop, write_usage
from samovar.providers.gemini.wire import ABSENT, DIALECT, AnswerWire, UsageWire, said

ANSWERS: Final = msgspec.json.Decoder(AnswerWire)


class _CallPart(msgspec.Struct, rename="camel"):
    function_call: Raw = ABSENT


def read_answer(body: bytes) -> AnswerWire:
    """Raises :class:`BadAnswer` for what is no answer, ``UpstreamError`` for an error in a 200."""
    try:
        # What the types skip is not looked at by the decoder, and may not pass through as bytes that are no text.
        body.decode()
        wire = ANSWERS.decode(body)
    except UNREADABLE as error:
        raise unreadable(error) from error
    if wire.error is not None:
        raise upstream_error(wire.error)
    if wire.candidates is None and wire.prompt_feedback is None and wire.usage_metadata is None:
        raise BadAnswer("The provider's answer has neither candidates nor usage: it is none of generateContent's.")
    return wire


def unreadable(error: Exception) -> BadAnswer:
    """The words for a body that is not this dialect's JSON; nothing of the body in them."""
    return BadAnswer(f"The provider's answer is not a generateContent answer in JSON: {error}")


def tap(body: bytes) -> Tapped:
    """Usage, model and stop of an answer that passes through. Raises as :func:`read_response`."""
    wire = read_answer(body)
    usage = (
        None
        if wire.usage_metadata is None
        else read_usage(wire.usage_metadata, web_searches=searches_of(wire.candidates))
    )
    return Tapped(model=wire.model_version, usage=usage, stop=stop_of(wire, called=_called(wire)))


def _called(wire: AnswerWire) -> bool:
    parts = parts_of(wire)
    # A cheap look first: nearly no part that is not a call holds the word.
    return any(
        b"functionCall" in bytes(raw) and said(msgspec.json.decode(raw, type=_CallPart).function_call) for raw in parts
    )


def parts_of(wire: AnswerWire) -> list[Raw]:
    """The parts of the first candidate. More than one is never asked for in translation."""
    if not wire.candidates or wire.candidates[0].content is None:
        return []
    return wire.candidates[0].content.parts or []


def created_of(wire: AnswerWire) -> int:
    """Seconds since 1970, 0 where the vendor does not say."""
    try:
        return int(datetime.fromisoformat(wire.create_time).timestamp()) if wire.create_time else 0
    except ValueError:
        return 0


def read_response(body: bytes, *, vendor: Vendor) -> ChatResponse:
    """Raises :class:`BadAnswer` for what is no answer, ``UpstreamError`` for an error in a 200."""
    wire = read_answer(body)
    calls = Calls(scope=wire.response_id)
    try:
        parts = tuple(part for raw in parts_of(wire) for part in read_part(raw, origin=vendor.name, calls=calls))
    except UNREADABLE as error:
        raise unreadable(error) from error
    return ChatResponse(
        id=wire.response_id,
        model=wire.model_version,
        parts=parts,
        stop=stop_of(wire, called=calls.any) or Stop(kind=StopKind.OTHER),
        usage=read_usage(wire.usage_metadata or UsageWire(), web_searches=searches_of(wire.candidates)),
        created=created_of(wire),
    )


def write_response(response: ChatResponse, *, extra: Mapping[str, object] | None = None) -> bytes:
    """An answer. Server-tool traces of other dialects have no shape here and are left out."""
    parts: list[WirePart] = []
    for part in response.parts:
        add_answered(parts, part)
    body: dict[str, Any] = {
        "candidates": [
            {
                "content": {"parts": parts, "role": "model"},
                "finishReason": write_stop(response.stop),
                "index": 0,
            }
        ],
        "usageMetadata": write_usage(response.usage),
        "modelVersion": response.model,
        "responseId": response.id,
    }
    if extra is not None:
        body["samovar"] = extra
    return msgspec.json.encode(body)


def add_answered(parts: list[WirePart], part: Part) -> None:
    """One more part of an answer."""
    if isinstance(part, Reasoning):
        thought = write_answered(part)
        if thought is not None and "thoughtSignature" in thought:
            sign_last(parts, thought)
        elif thought is not None:
            parts.append(thought)
        return
    if isinstance(part, Opaque) and part.dialect != DIALECT:
        return
    written = answered_call(part) if isinstance(part, ToolCall) else write_answered_part(part)
    if written is not None:
        parts.append(written)


def answered_call(part: ToolCall) -> dict[str, Any]:
    """A call for a caller, always with its id: results name it, and parallel calls of one tool need it."""
    written: WirePart | None = write_answered_part(part)
    assert isinstance(written, dict)
    written["functionCall"]["id"] = part.id
    return written


def write_answered_part(part: Part) -> WirePart | None:
    """Any part but reasoning, for a caller. Raises :class:`Unsupported` for what an answer here cannot hold."""
    return write_part(part, where="content", refuse=_refuse, native=True, names={})


def _refuse(where: str, what: str) -> None:
    raise Unsupported(f"An answer in Gemini's dialect cannot hold {what}.", flaws=[Flaw(where, what)])


def with_extra(body: bytes, extra: Mapping[str, object]) -> bytes:
    """A JSON object with our field put last, the rest as it was."""
    fields: dict[str, object] = dict(msgspec.json.decode(body, type=dict[str, Raw]))
    fields["samovar"] = extra
    return msgspec.json.encode(fields)


def usage_field(usage: Usage) -> dict[str, Any]:
    """``usageMetadata``, encoded once for many chunks."""
    return {"usageMetadata": Raw(msgspec.json.encode(write_usage(usage)))}
