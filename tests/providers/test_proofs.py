"""Proofs of thinking and of calls: they travel through every surface and come back to their maker alone."""

import json
from typing import Any

import pytest

from samovar.ports.dialect import Dialect, Unsupported
from samovar.ports.llm import (
    ArgumentsDelta,
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
    ToolCall,
    Usage,
)
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.gemini import GeminiContent
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import VENDORS
from tests.support.streams import gather, read_all

CALL = ToolCall(id="call_1", name="weather", arguments='{"city": "Tula"}', signature="Z29vZ2xl")
ANSWER = ChatResponse(
    id="a", model="m", parts=(CALL,), stop=Stop(kind=StopKind.TOOL_CALLS), usage=Usage(input_tokens=1, output_tokens=1)
)
SURFACES = [AnthropicMessages(), OpenAIResponses(), OpenAIChat(), GeminiContent()]


def sent_back(surface: Dialect, answer: Any) -> ChatRequest:
    """The next request of a client that gives the answer back as it came."""
    match surface.name:
        case "anthropic-messages":
            turn = {"role": "assistant", "content": answer["content"]}
            body = {"messages": [{"role": "user", "content": "?"}, turn], "max_tokens": 9}
        case "openai-responses":
            body = {"input": [{"role": "user", "content": "?"}, *answer["output"]]}
        case "openai-chat":
            body = {"messages": [{"role": "user", "content": "?"}, answer["choices"][0]["message"]]}
        case _:
            body = {"contents": [{"parts": [{"text": "?"}]}, answer["candidates"][0]["content"]]}
    return surface.read_request(json.dumps({"model": "m", **body}).encode())


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_the_signature_of_a_call_comes_back_with_the_call(surface: Dialect) -> None:
    request = sent_back(surface, json.loads(surface.write_response(ANSWER)))
    assert request.messages[-1].parts == (CALL,)
    written = GeminiContent().write_request(request, vendor=VENDORS["gemini"], drop_params=False)
    assert b'"thoughtSignature":"Z29vZ2xl"' in written


@pytest.mark.parametrize("surface", SURFACES[:2], ids=lambda surface: surface.name)
def test_a_stream_carries_it_as_the_whole_answer_does(surface: Dialect) -> None:
    deltas: list[Delta] = [
        Opened("a", "m"),
        PartOpened(0, ToolCall(id="call_1", name="weather", arguments="", signature="Z29vZ2xl")),
        ArgumentsDelta(0, '{"city": "Tula"}'),
        PartClosed(0),
        Stopped(Stop(kind=StopKind.TOOL_CALLS)),
    ]
    writer = surface.stream_writer(ChatRequest(model="m", messages=()))
    stream = b"".join(writer.write(delta) for delta in deltas) + writer.end()
    vendor = VENDORS["anthropic" if surface.name == "anthropic-messages" else "openai"]
    whole = gather(read_all(surface.stream_reader(vendor=vendor), [stream]))
    again = ChatResponse(id="a", model="m", parts=whole.parts, stop=whole.stop, usage=Usage())
    assert sent_back(surface, json.loads(surface.write_response(again))).messages[-1].parts == (CALL,)


def test_a_call_goes_to_servers_of_openais_format_without_the_signature_they_did_not_make() -> None:
    request = sent_back(AnthropicMessages(), json.loads(AnthropicMessages().write_response(ANSWER)))
    written = OpenAIChat().write_request(request, vendor=VENDORS["mistral"], drop_params=False)
    assert b"Z29vZ2xl" not in written
    kept = OpenAIChat().write_request(request, vendor=VENDORS["openai-compatible"], drop_params=False)
    assert b'"thought_signature":"Z29vZ2xl"' in kept


@pytest.mark.parametrize(
    ("surface", "vendor"),
    [(AnthropicMessages(), "anthropic"), (GeminiContent(), "gemini")],
    ids=["anthropic", "gemini"],
)
def test_a_call_passed_on_in_its_own_language_leaves_the_thinking_of_others_out(surface: Dialect, vendor: str) -> None:
    signed = Reasoning(text="hm", signature="c2lnbmVk", origin="somebody")
    sealed = Reasoning(encrypted="c2VjcmV0", origin="somebody")
    own = Reasoning(text="ja", signature="b3du", origin=vendor)

    def body(*parts: Reasoning) -> bytes:
        answer = ChatResponse(id="a", model="m", parts=(*parts, CALL), stop=ANSWER.stop, usage=Usage())
        wire = json.loads(surface.write_response(answer))
        if vendor == "gemini":
            return json.dumps({"contents": [wire["candidates"][0]["content"]]}).encode()
        turn = {"role": "assistant", "content": wire["content"]}
        return json.dumps({"model": "m", "max_tokens": 9, "messages": [turn]}).encode()

    spliced = surface.splice(body(own, signed), model="m", vendor=VENDORS[vendor])
    assert b"hm" not in spliced
    assert b"b3du" in spliced
    assert b"c2Ftb3Zhci" not in spliced
    assert b"samovar." not in spliced
    with pytest.raises(Unsupported, match="somebody made"):
        surface.splice(body(sealed), model="m", vendor=VENDORS[vendor])


DETAILS = [
    {"type": "reasoning.summary", "summary": "hm", "id": "rs_1", "format": "openai-responses-v1"},
    {"type": "reasoning.encrypted", "data": "c2VjcmV0", "id": "rs_1", "format": "openai-responses-v1"},
    {"type": "reasoning.text", "text": "ja", "signature": "c2ln", "format": "anthropic-claude-v1"},
]


@pytest.mark.parametrize("surface", [AnthropicMessages(), GeminiContent()], ids=["anthropic", "gemini"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_openrouters_entries_come_back_as_they_were(surface: Dialect, streamed: bool) -> None:
    vendor = VENDORS["openrouter"]
    message = {"role": "assistant", "content": "yes", "reasoning": "hmja", "reasoning_details": DETAILS}
    if streamed:
        pieces: list[Any] = [{"reasoning_details": [{**each, "index": at}]} for at, each in enumerate(DETAILS)]
        chunks = [{"id": "a", "choices": [{"index": 0, "delta": piece}]} for piece in [*pieces, {"content": "yes"}]]
        chunks.append({"id": "a", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
        parts = gather(read_all(OpenAIChat().stream_reader(vendor=vendor), [stream])).parts
    else:
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps({"id": "a", "model": "m", "choices": [choice]}).encode()
        parts = OpenAIChat().read_response(body, vendor=vendor).parts
    answer = ChatResponse(id="a", model="m", parts=parts, stop=Stop(kind=StopKind.END), usage=Usage())
    request = sent_back(surface, json.loads(surface.write_response(answer)))
    written = json.loads(OpenAIChat().write_request(request, vendor=vendor, drop_params=False))
    assert written["messages"][-1]["reasoning_details"] == DETAILS


def test_mistrals_thinking_is_a_part_of_its_content() -> None:
    vendor = VENDORS["mistral"]
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    content = [thinking, {"type": "text", "text": "yes"}]
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    whole = OpenAIChat().read_response(json.dumps({"id": "a", "choices": [choice]}).encode(), vendor=vendor).parts
    deltas: list[Any] = [{"content": [thinking]}, {"content": "yes"}]
    chunks = [{"id": "a", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"id": "a", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    assert gather(read_all(OpenAIChat().stream_reader(vendor=vendor), [stream])).parts == whole
    relay = OpenAIChat().relay(vendor=vendor, wants_usage=False)
    assert b'"thinking"' in relay.feed(stream) + relay.end()
    assert relay.output_chars == len("hmyes")
