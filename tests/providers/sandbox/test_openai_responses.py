"""The real openai SDK's Responses against the sandbox."""

from typing import Any

import msgspec
import openai as sdk
import pytest
from openai import AsyncOpenAI

from tests.providers.sandbox.conftest import Wire, post
from tests.providers.sandbox.pictures import data_url, picture

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
TIME: dict[str, Any] = {"type": "function", "name": "get_time", "parameters": {"type": "object"}, "strict": False}
SEALED: list[Any] = ["reasoning.encrypted_content"]


async def events_of(openai: AsyncOpenAI, **wanted: Any) -> list[Any]:
    return [event async for event in await openai.responses.create(stream=True, **wanted)]


def responses(text: str, directives: str, **more: Any) -> bytes:
    body = {"model": "sandbox/echo", "input": text, **more}
    return post("/v1/responses", msgspec.json.encode(body), f"x-sandbox: {directives}")


async def test_echo_answers_with_the_last_user_text(openai: AsyncOpenAI) -> None:
    answer = await openai.responses.create(model="sandbox/echo", input="hello, samovar!", instructions="Be brief.")
    assert (answer.output_text, answer.status) == ("hello, samovar!", "completed")
    assert answer.instructions == "Be brief."
    assert answer.usage is not None
    # 9 and 15 characters are 6 tokens at four characters each, 15 are 4.
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (6, 4, 10)
    assert answer.usage.input_tokens_details.cached_tokens == 0


async def test_a_stream_is_the_canonical_sequence_of_events(openai: AsyncOpenAI) -> None:
    events = await events_of(openai, model="sandbox/echo", input="one two")
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    whole = await openai.responses.create(model="sandbox/echo", input="one two")
    assert events[-1].response.output_text == whole.output_text == "one two"
    assert events[-1].response.usage == whole.usage


async def test_reasoning_goes_out_sealed_and_must_come_back_unchanged(openai: AsyncOpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": "why"}]
    first = await openai.responses.create(
        model="sandbox/reason", input=asked, include=SEALED, store=False, reasoning={"summary": "auto"}
    )
    thought, message = (item.model_dump(exclude_none=True) for item in first.output)
    assert (thought["type"], message["type"]) == ("reasoning", "message")
    assert "The user said: why" in thought["summary"][0]["text"]
    assert first.usage is not None
    assert 0 < first.usage.output_tokens_details.reasoning_tokens < first.usage.output_tokens

    async def again(item: dict[str, Any]) -> str:
        conversation: list[Any] = [*asked, item, message, {"role": "user", "content": "again"}]
        answer = await openai.responses.create(model="sandbox/reason", input=conversation, store=False)
        return answer.output_text

    assert await again(thought) == "again"
    with pytest.raises(sdk.BadRequestError) as caught:
        await again({**thought, "encrypted_content": thought["encrypted_content"][:-8] + "AAAAAAAA"})
    assert caught.value.code == "invalid_encrypted_content"
    with pytest.raises(sdk.NotFoundError, match="not persisted"):
        await again({name: value for name, value in thought.items() if name != "encrypted_content"})


async def test_reasoning_streams_its_summary_only_when_asked(openai: AsyncOpenAI) -> None:
    shown = await events_of(openai, model="sandbox/reason", input="why", reasoning={"summary": "auto"}, include=SEALED)
    deltas = [event.delta for event in shown if event.type == "response.reasoning_summary_text.delta"]
    done = next(event.item for event in shown if event.type == "response.output_item.done")
    assert "".join(deltas) == done.summary[0].text
    assert done.encrypted_content
    hidden = await events_of(openai, model="sandbox/reason", input="why")
    assert not [event for event in hidden if "reasoning_summary" in event.type]
    assert hidden[-1].response.output[0].summary == []


async def test_parallel_calls_stream_and_their_results_are_answered(openai: AsyncOpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": "both in parallel"}]
    async with openai.responses.stream(model="sandbox/tools", input=asked, tools=[WEATHER, TIME]) as stream:
        answer = await stream.get_final_response()
    calls: list[Any] = [item for item in answer.output if item.type == "function_call"]
    assert [(call.name, msgspec.json.decode(call.arguments)) for call in calls] == [
        ("get_weather", {"city": "both in parallel"}),
        ("get_time", {}),
    ]
    outputs: list[Any] = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"result {at}"}
        for at, call in enumerate(calls)
    ]
    turn = [call.model_dump(include={"type", "call_id", "name", "arguments"}) for call in calls]
    final = await openai.responses.create(model="sandbox/tools", input=[*asked, *turn, *outputs], tools=[WEATHER, TIME])
    assert final.output_text == "result 0\nresult 1"
    with pytest.raises(sdk.BadRequestError, match="No tool call found"):
        await openai.responses.create(model="sandbox/tools", input=[*asked, *outputs])


async def test_structured_output_fits_its_schema(openai: AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    answer = await openai.responses.create(
        model="sandbox/echo",
        input="Levsha",
        text={"format": {"type": "json_schema", "name": "person", "schema": schema, "strict": True}},
    )
    assert msgspec.json.decode(answer.output_text) == {"name": "Levsha"}


async def test_vision_opens_the_image_of_a_string_address(openai: AsyncOpenAI) -> None:
    def shown(image: Any) -> list[Any]:
        parts = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": image, "detail": "auto"}]
        return [{"role": "user", "content": parts}]

    url = data_url(picture("PNG"), "image/png")
    answer = await openai.responses.create(model="sandbox/vision", input=shown(url))
    assert "PNG, 64 x 48 pixels" in answer.output_text
    with pytest.raises(sdk.BadRequestError):  # the shape that chat has
        await openai.responses.create(model="sandbox/vision", input=shown({"url": url}))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_reaches_its_bound_is_incomplete(openai: AsyncOpenAI, stream: bool) -> None:
    wanted: dict[str, Any] = {"model": "sandbox/echo", "input": "x" * 100, "max_output_tokens": 16}
    if stream:
        last = (await events_of(openai, **wanted))[-1]
        assert last.type == "response.incomplete"
        answer = last.response
    else:
        answer = await openai.responses.create(**wanted)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.output_text == "x" * 64


async def test_a_bound_under_sixteen_tokens_is_refused(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        await openai.responses.create(model="sandbox/echo", input="x", max_output_tokens=15)
    assert caught.value.code == "integer_below_min_value"


@pytest.mark.parametrize(("fault", "code"), [("quota_mid", "insufficient_quota"), ("error_mid", "server_error")])
async def test_an_error_in_mid_stream_is_followed_by_response_failed(wire: Wire, fault: str, code: str) -> None:
    await wire.send(responses("one two three four", f"fault={fault} at=3", stream=True))
    status, _, body = await wire.answer()
    assert status == 200
    events = [msgspec.json.decode(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[-3:]] == ["response.output_text.delta", "error", "response.failed"]
    assert events[-2]["error"]["code"] == code
    assert (events[-1]["response"]["status"], events[-1]["response"]["error"]["code"]) == ("failed", code)


async def test_the_sdk_raises_what_came_in_mid_stream(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.APIError, match="exceeded your current quota"):
        await events_of(openai, model="sandbox/echo", input="[[fault:quota_mid]] one two three")


async def test_a_stored_response_is_not_found(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        await openai.responses.create(model="sandbox/echo", input="x", previous_response_id="resp_1")
    assert caught.value.code == "previous_response_not_found"
