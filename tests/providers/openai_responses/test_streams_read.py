"""Streams of vendors that speak this dialect, read into deltas."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.kernel.sse import SseParser
from samovar.ports.dialect import BadAnswer
from samovar.ports.llm import (
    Delta,
    Failed,
    Reasoning,
    StopKind,
    Text,
    ToolCall,
)
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.openai_responses.stream.read import ResponsesStreamReader
from tests.providers.openai_responses.conftest import OPENAI
from tests.providers.openai_responses.samples import (
    ADDED,
    COMPLETED,
    CREATED,
    DELTAS,
    DONE_MESSAGE,
    ERROR,
    FAILED,
    OPENED,
    RESPONSE,
    STREAM,
    TEXT,
    event,
)
from tests.support.streams import cut, gather, read_all

DIALECT = OpenAIResponses()


def read(*blocks: bytes) -> list[Delta]:
    return read_all(DIALECT.stream_reader(vendor=OPENAI), blocks)


@given(places=st.lists(st.integers(0, len(STREAM)), max_size=30))
@settings(deadline=None)
def test_cuts_anywhere_change_nothing(places: list[int]) -> None:
    assert read(*cut(STREAM, places)) == read(STREAM)
    whole = gather(read(STREAM))
    assert whole.parts == (Text(text=TEXT),)
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (3, 4)


DONE_ITEM = event("response.output_item.done", 5, output_index=0, item=DONE_MESSAGE)


@pytest.mark.parametrize(
    "blocks",
    [
        (CREATED, ADDED, *DELTAS, COMPLETED),
        (CREATED, ADDED, OPENED, DONE_ITEM, COMPLETED),
        (CREATED, ADDED, DONE_ITEM, COMPLETED),
        (CREATED, DONE_ITEM, COMPLETED),
        (CREATED, ADDED, event("response.output_text.done", 5, output_index=0, content_index=0, text=TEXT), COMPLETED),
        (CREATED, ADDED, OPENED, *DELTAS, DONE_ITEM, COMPLETED, b"data: [DONE]\n\n"),
    ],
)
def test_events_that_a_server_leaves_out_are_not_missed(blocks: tuple[bytes, ...]) -> None:
    assert gather(read(*blocks)).parts == (Text(text=TEXT),)


def test_a_last_event_without_its_items_still_says_that_a_tool_was_called() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    blocks = (
        CREATED,
        event("response.output_item.added", 1, output_index=0, item={**call, "arguments": ""}),
        event("response.output_item.done", 2, output_index=0, item=call),
        event("response.completed", 3, response={**RESPONSE, "status": "completed", "output": []}),
    )
    whole = gather(read(*blocks))
    assert whole.stop is not None
    assert whole.stop.kind is StopKind.TOOL_CALLS
    assert whole.parts == (ToolCall(id="c", name="f", arguments="{}"),)


def test_two_summaries_are_parted_by_a_blank_line() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    said = [("One.", 0), ("Two", 1), ("!", 1)]
    blocks = (
        CREATED,
        event("response.output_item.added", 1, output_index=0, item=item),
        *(
            event("response.reasoning_summary_text.delta", 2, output_index=0, summary_index=at, delta=word)
            for word, at in said
        ),
        event("response.output_item.done", 3, output_index=0, item={**item, "encrypted_content": "gAAA"}),
        event("response.completed", 4, response={**RESPONSE, "status": "completed"}),
    )
    assert gather(read(*blocks)).parts == (
        Reasoning(text="One.\n\nTwo!", encrypted="gAAA", id="rs_1", origin="openai"),
    )


@pytest.mark.parametrize("sent", [ERROR, FAILED, ERROR + FAILED])
def test_an_error_event_ends_the_stream(sent: bytes) -> None:
    [failed] = [delta for delta in read(CREATED, ADDED, *DELTAS, sent) if isinstance(delta, Failed)]
    assert (failed.status, failed.code) == (429, "insufficient_quota")


def test_a_flat_error_event_is_read_as_well() -> None:
    sent = event("error", 1, code="server_error", message="Oops", param=None)
    assert read(CREATED, sent)[-1] == Failed(status=500, code="server_error", message="Oops")


def test_unknown_events_are_skipped_and_counted() -> None:
    reader: ResponsesStreamReader = DIALECT.stream_reader(vendor=OPENAI)
    read_all(reader, [CREATED, event("response.dreaming", 1, output_index=0), COMPLETED])
    assert reader.unknown_events == 1


@pytest.mark.parametrize(
    "blocks",
    [
        (CREATED, ADDED, *DELTAS),
        (ADDED,),
        (DELTAS[0],),
        (CREATED, DELTAS[0]),
        (CREATED, ADDED, ADDED),
        (CREATED, CREATED.replace(b"resp_1", b"resp_2")),
        (b"data: {\n\n",),
        (b"data: [1]\n\n",),
        (b'data: {"type":"response.created","response":7}\n\n',),
        (),
    ],
)
def test_what_the_dialect_does_not_allow_is_a_bad_answer(blocks: tuple[bytes, ...]) -> None:
    with pytest.raises(BadAnswer):
        read(*blocks)


@given(garbage=st.binary(max_size=200))
@settings(deadline=None)
def test_garbage_is_a_bad_answer_and_nothing_else(garbage: bytes) -> None:
    reader = DIALECT.stream_reader(vendor=OPENAI)
    line = garbage.replace(b"\n", b" ").replace(b"\r", b" ")
    for sent in SseParser().feed(b"data: [" + line + b"\n\n"):
        with pytest.raises(BadAnswer, match="not a response"):
            reader.read(sent)
