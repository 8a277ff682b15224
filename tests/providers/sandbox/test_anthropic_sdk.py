"""The real anthropic SDK against the sandbox."""

from typing import Any

import anthropic as sdk
import pytest
from anthropic import AsyncAnthropic

from tests.providers.sandbox.pictures import picture, text_of

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIME: dict[str, Any] = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}


def said(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def image(content: bytes, media_type: str = "image/png") -> list[Any]:
    source = {"type": "base64", "media_type": media_type, "data": text_of(content)}
    return [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]


async def test_echo_answers_with_the_last_user_text(anthropic: AsyncAnthropic) -> None:
    answer = await anthropic.messages.create(
        model="sandbox/echo", max_tokens=100, system="Be brief", messages=said("hello there")
    )
    assert [block.model_dump(include={"type", "text"}) for block in answer.content] == [
        {"type": "text", "text": "hello there"}
    ]
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 3)


async def test_a_stream_comes_word_by_word_and_joins_to_the_text(anthropic: AsyncAnthropic) -> None:
    async with anthropic.messages.stream(model="echo", max_tokens=100, messages=said("one two three")) as stream:
        pieces = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert pieces == ["one ", "two ", "three"]
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 4


async def test_parallel_tools_stream_and_their_results_are_answered(anthropic: AsyncAnthropic) -> None:
    question = said("Tula, parallel")
    tools: list[Any] = [WEATHER, TIME]
    async with anthropic.messages.stream(
        model="sandbox/tools", max_tokens=100, messages=question, tools=tools
    ) as stream:
        final = await stream.get_final_message()
    assert final.stop_reason == "tool_use"
    calls = [block for block in final.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [
        ("get_weather", {"city": "Tula, parallel"}),
        ("get_time", {}),
    ]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"result {at}"} for at, call in enumerate(calls)
    ]
    turn: Any = {"role": "assistant", "content": [call.model_dump() for call in calls]}
    answer = await anthropic.messages.create(
        model="sandbox/tools", max_tokens=100, tools=tools, messages=[*question, turn, *said(results)]
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "result 0\nresult 1"


async def test_one_tool_is_called_where_parallel_use_is_off(anthropic: AsyncAnthropic) -> None:
    answer = await anthropic.messages.create(
        model="sandbox/tools",
        max_tokens=100,
        messages=said("parallel"),
        tools=[WEATHER, TIME],  # type: ignore[list-item]
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )
    assert [block.type for block in answer.content] == ["tool_use"]


async def test_thinking_carries_a_signature_that_must_come_back(anthropic: AsyncAnthropic) -> None:
    async with anthropic.messages.stream(model="sandbox/reason", max_tokens=1000, messages=said("why")) as stream:
        final = await stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    turn: dict[str, Any] = {
        "role": "assistant",
        "content": [block.model_dump(exclude_none=True) for block in final.content],
    }
    turn["content"][1] = {"type": "text", "text": "why"}
    conversation: list[Any] = [*said("why"), turn, *said("and now?")]
    answer = await anthropic.messages.create(model="sandbox/reason", max_tokens=1000, messages=conversation)
    assert answer.content[-1].type == "text"
    turn["content"][0]["signature"] = "forged"
    with pytest.raises(sdk.BadRequestError, match="Invalid `signature`"):
        await anthropic.messages.create(model="sandbox/reason", max_tokens=1000, messages=conversation)


async def test_no_thinking_comes_where_it_is_switched_off(anthropic: AsyncAnthropic) -> None:
    answer = await anthropic.messages.create(
        model="sandbox/reason", max_tokens=100, messages=said("why"), thinking={"type": "disabled"}
    )
    assert [block.type for block in answer.content] == ["text"]


async def test_vision_opens_the_image(anthropic: AsyncAnthropic) -> None:
    answer = await anthropic.messages.create(
        model="sandbox/vision", max_tokens=1000, messages=said(image(picture("PNG", (30, 60, 220))))
    )
    assert answer.content[0].type == "text"
    assert "PNG, 64 x 48 pixels" in answer.content[0].text
    assert "(blue, 100 %)" in answer.content[0].text


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(picture("PNG")[:80], "image/png"), (picture("PNG"), "image/jpeg"), (b"nothing", "image/png")],
    ids=["cut short", "called by another type", "fake"],
)
async def test_vision_refuses_what_is_no_whole_image(
    anthropic: AsyncAnthropic, content: bytes, media_type: str
) -> None:
    with pytest.raises(
        sdk.BadRequestError, match=r"messages\.0\.content\.0\.image\.source\.base64: Could not process image"
    ):
        await anthropic.messages.create(
            model="sandbox/vision", max_tokens=100, messages=said(image(content, media_type))
        )


async def test_a_marked_prefix_is_written_once_and_read_after(anthropic: AsyncAnthropic) -> None:
    system: list[Any] = [{"type": "text", "text": "word " * 2_000, "cache_control": {"type": "ephemeral"}}]
    used = []
    for question in ("first", "other"):
        answer = await anthropic.messages.create(model="echo", max_tokens=10, system=system, messages=said(question))
        usage = answer.usage
        used.append((usage.cache_creation_input_tokens, usage.cache_read_input_tokens, usage.input_tokens))
    assert used == [(2500, 0, 2), (0, 2500, 2)]


async def test_an_unmarked_prefix_is_not_cached(anthropic: AsyncAnthropic) -> None:
    for _ in range(2):
        answer = await anthropic.messages.create(
            model="echo", max_tokens=10, system="word " * 2_000, messages=said("x")
        )
        assert answer.usage.cache_read_input_tokens == 0


async def test_a_stop_sequence_is_named(anthropic: AsyncAnthropic) -> None:
    answer = await anthropic.messages.create(
        model="echo", max_tokens=100, messages=said("one END two"), stop_sequences=["never", "END"]
    )
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "END")


async def test_errors_come_as_the_sdks_own_types(anthropic: AsyncAnthropic) -> None:
    with pytest.raises(sdk.AuthenticationError):
        await anthropic.with_options(api_key="sk-sandbox-bad").messages.create(
            model="echo", max_tokens=9, messages=said("x")
        )
    with pytest.raises(sdk.NotFoundError):
        await anthropic.messages.create(model="sandbox/nothing", max_tokens=9, messages=said("x"))
    with pytest.raises(sdk.InternalServerError) as caught:
        await anthropic.messages.create(model="echo", max_tokens=9, messages=said("[[fault:529]]"))
    assert caught.value.status_code == 529
    assert "overloaded_error" in str(caught.value.body)


async def test_the_models_are_listed_in_its_shape(anthropic: AsyncAnthropic) -> None:
    listed = [model.id async for model in anthropic.models.list()]
    assert "sandbox/echo" in listed


async def test_tokens_are_counted_as_they_are_billed(anthropic: AsyncAnthropic) -> None:
    asked: dict[str, Any] = {"model": "sandbox/echo", "system": "Be brief.", "messages": said("hello, samovar!")}
    counted = await anthropic.messages.count_tokens(**asked)
    answer = await anthropic.messages.create(max_tokens=100, **asked)
    assert counted.input_tokens == answer.usage.input_tokens == 6


async def test_counting_fails_as_messages_do(anthropic: AsyncAnthropic) -> None:
    with pytest.raises(sdk.NotFoundError):
        await anthropic.messages.count_tokens(model="sandbox/nothing", messages=said("x"))
    with pytest.raises(sdk.RateLimitError):
        await anthropic.messages.count_tokens(model="sandbox/echo?fault=429", messages=said("x"))


async def test_an_answer_needs_a_bound_though_a_count_does_not(anthropic: AsyncAnthropic) -> None:
    with pytest.raises(sdk.BadRequestError, match="max_tokens: Field required"):
        await anthropic.post("/v1/messages", body={"model": "sandbox/echo", "messages": said("x")}, cast_to=object)
