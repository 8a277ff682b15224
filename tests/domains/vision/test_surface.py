"""Vision's own way of answering: the same text streamed and whole, and errors as problems."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from samovar.app.problems import problem
from samovar.domains.vision.model.cleanup import Cleanup, cleaner
from samovar.domains.vision.model.surface import VisionSurface
from samovar.kernel.errors import Flaw, Invalid
from samovar.ports.dialect import StreamWriter
from samovar.ports.llm import (
    ChatRequest,
    ChatResponse,
    Delta,
    Opened,
    PartClosed,
    PartOpened,
    Reasoning,
    Stop,
    StopKind,
    Stopped,
    Text,
    TextDelta,
    Usage,
    UsageSeen,
)
from samovar.providers.openai import OpenAIChat
from tests.e2e.pictures import chunks_of, words_of

PATTERNS = [Cleanup(), Cleanup("^(?:System|Meta|Debug).*$", "i"), Cleanup("a\\s+b", "g"), Cleanup("x.*", "gs")]
REQUEST = ChatRequest(model="m", messages=(), wants_usage=True)
PIECES = st.lists(
    st.sampled_from(["System", ": said", "\n", "a", " ", "b", "Debug", "x", "Sys", "tem", ""]), max_size=25
)


def surface(cleanup: Cleanup | None) -> VisionSurface:
    return VisionSurface(
        chat=OpenAIChat(), problem=problem, clean=None if cleanup is None else cleaner(cleanup), prompt_id=7
    )


def written(writer: StreamWriter, deltas: list[Delta]) -> str:
    out = b"".join(writer.write(delta) for delta in deltas)
    return (out + writer.end({"cost_credits": "1"})).decode()


def parts_of(texts: list[list[str]], *, says_why: bool) -> list[Delta]:
    deltas: list[Delta] = [Opened("id", "m"), PartOpened(0, Reasoning()), TextDelta(0, "System: thinks"), PartClosed(0)]
    for place, pieces in enumerate(texts, 1):
        deltas.append(PartOpened(place, Text(text=pieces[0] if pieces else "")))
        deltas += [TextDelta(place, piece) for piece in pieces[1:]]
        deltas.append(PartClosed(place))
    deltas.append(UsageSeen(Usage(input_tokens=3, output_tokens=4)))
    return [*deltas, Stopped(Stop(kind=StopKind.END))] if says_why else deltas


@given(st.lists(PIECES, min_size=1, max_size=3), st.sampled_from([None, *PATTERNS]), st.booleans())
def test_a_stream_says_what_the_whole_answer_says(
    texts: list[list[str]], cleanup: Cleanup | None, says_why: bool
) -> None:
    one = surface(cleanup)
    response = ChatResponse(
        id="id",
        model="m",
        parts=(Reasoning(text="System: thinks"), *(Text(text="".join(pieces)) for pieces in texts)),
        stop=Stop(kind=StopKind.END),
        usage=Usage(input_tokens=3, output_tokens=4),
    )
    whole: dict[str, Any] = msgspec.json.decode(one.write_response(response))
    chunks = chunks_of(written(one.stream_writer(REQUEST), parts_of(texts, says_why=says_why)))
    assert words_of(chunks) == whole["text"]
    assert "".join(c["delta"].get("reasoning_content") or "" for x in chunks for c in x["choices"]) == "System: thinks"
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-1]["samovar"] == {"cost_credits": "1"}
    assert whole["cleanup_applied"] is (cleanup is not None)
    assert (whole["prompt_id"], whole["finish_reason"]) == (7, "stop")


def test_the_words_that_are_held_back_come_before_the_reason_why_it_stopped() -> None:
    deltas: list[Delta] = [Opened("id", "m"), PartOpened(0, Text(text="")), TextDelta(0, "Sys"), PartClosed(0)]
    deltas.append(Stopped(Stop(kind=StopKind.END)))
    chunks = chunks_of(written(surface(Cleanup()).stream_writer(REQUEST), deltas))
    said = [choice for chunk in chunks for choice in chunk["choices"]]
    assert said[-1]["finish_reason"] == "stop"
    assert said[-2]["delta"]["content"] == "Sys"


def test_a_broken_stream_does_not_say_what_it_held_back() -> None:
    writer = surface(Cleanup()).stream_writer(REQUEST)
    for delta in (Opened("id", "m"), PartOpened(0, Text(text="")), TextDelta(0, "System: sec")):
        writer.write(delta)
    last = writer.fail(Invalid("broken"))
    assert b"sec" not in last
    assert json.loads(last[6:])["error"]["message"] == "broken"


def test_an_error_is_a_problem_with_its_flaws() -> None:
    error = Invalid("wrong", flaws=[Flaw("image_url", "is wrong")])
    said = json.loads(surface(None).write_error(error, status=422, request_id="r"))
    assert (said["status"], said["request_id"], said["errors"]) == (
        422,
        "r",
        [{"where": "image_url", "what": "is wrong"}],
    )
