"""What the real SDK makes of a stream that we wrote."""

import json
from typing import Any, cast

from openai import omit
from openai._models import construct_type_unchecked
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from samovar.kernel.sse import SseParser

EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def events_of(stream: bytes) -> list[dict[str, object]]:
    """The events as JSON. Fails where a name is not the type, or the numbers do not count up from nought."""
    parser = SseParser()
    events: list[dict[str, object]] = []
    for at, event in enumerate([*parser.feed(stream), *parser.end()]):
        fields = json.loads(event.data)
        assert fields["type"] == event.event
        assert fields["sequence_number"] == at
        events.append(fields)
    return events


def check_events(stream: bytes) -> None:
    """Every event that we wrote is one of the SDK's types, with all that they demand."""
    for fields in events_of(stream):
        EVENTS.validate_python(fields)


def as_sdk_response(stream: bytes) -> Response:
    """What the real SDK makes of a stream that we wrote: its own accumulation."""
    state: ResponseStreamState[None] = ResponseStreamState(input_tools=omit, text_format=omit)
    last: Any = None
    for fields in events_of(stream):
        last = construct_type_unchecked(type_=cast("Any", ResponseStreamEvent), value=fields)
        state.handle_event(last)
    assert last is not None
    assert last.type in ("response.completed", "response.incomplete")
    response: Response = last.response
    return response
