"""What tests of every dialect do with streams: cut them, read them to the end, put their parts together again."""

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from samovar.kernel.sse import SseParser
from samovar.ports.dialect import StreamReader
from samovar.ports.llm import (
    AnnotationDelta,
    ArgumentsDelta,
    Delta,
    Opened,
    Part,
    PartClosed,
    PartOpened,
    Reasoning,
    SignatureDelta,
    Stop,
    StopKind,
    Stopped,
    Text,
    TextDelta,
    ToolCall,
    Usage,
    UsageSeen,
)


def cut(stream: bytes, at: Iterable[int]) -> list[bytes]:
    """The stream in pieces, cut at the given places."""
    places = sorted({place % (len(stream) + 1) for place in at} | {0, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(places)]


def read_all(reader: StreamReader, blocks: Iterable[bytes]) -> list[Delta]:
    """Every delta of a stream."""
    parser = SseParser()
    deltas: list[Delta] = []
    for block in blocks:
        for event in parser.feed(block):
            deltas.extend(reader.read(event))
    for event in parser.end():
        deltas.extend(reader.read(event))
    return [*deltas, *reader.end()]


class Whole(msgspec.Struct):
    """A stream put together."""

    id: str
    model: str
    parts: tuple[Part, ...]
    stop: Stop
    usage: Usage


def gather(deltas: Sequence[Delta]) -> Whole:
    """The answer that the deltas make. Fails where they break the order that ``ports/llm.py`` states."""
    assert isinstance(deltas[0], Opened)
    whole = Whole(id=deltas[0].id, model=deltas[0].model, parts=(), stop=Stop(kind=StopKind.OTHER), usage=Usage())
    order: list[int] = []
    parts: dict[int, Part] = {}
    open_: set[int] = set()
    for delta in deltas[1:]:
        match delta:
            case PartOpened():
                assert delta.index not in parts
                order.append(delta.index)
                parts[delta.index] = delta.part
                open_.add(delta.index)
            case PartClosed():
                open_.remove(delta.index)
            case UsageSeen():
                whole.usage = delta.usage
            case Stopped():
                assert not open_
                whole.stop = delta.stop
            case TextDelta() | ArgumentsDelta() | SignatureDelta() | AnnotationDelta():
                assert delta.index in open_
                parts[delta.index] = _grown(parts[delta.index], delta)
    whole.parts = tuple(parts[index] for index in order)
    return whole


def _grown(part: Part, delta: TextDelta | ArgumentsDelta | SignatureDelta | AnnotationDelta) -> Part:
    match part, delta:
        case ToolCall(), ArgumentsDelta():
            return msgspec.structs.replace(part, arguments=part.arguments + delta.json)
        case Reasoning(), SignatureDelta():
            field = "encrypted" if delta.encrypted else "signature"
            return msgspec.structs.replace(part, **{field: delta.signature})
        case Text(), AnnotationDelta():
            sofar = msgspec.json.decode(part.annotations, type=list[msgspec.Raw]) if part.annotations else []
            return msgspec.structs.replace(part, annotations=msgspec.Raw(msgspec.json.encode([*sofar, delta.raw])))
        case _, TextDelta():
            return msgspec.structs.replace(part, text=part.text + delta.text)  # type: ignore[union-attr]
    raise AssertionError(f"{delta} for {part}")
