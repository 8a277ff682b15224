"""The real openai SDK against the sandbox."""

from typing import Any

import msgspec
import openai as sdk
import pytest
from openai import AsyncOpenAI

from tests.providers.sandbox.pictures import data_url, picture

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
            "required": ["city"],
        },
    },
}
TIME: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def shown(url: str, text: str = "What is this?") -> list[Any]:
    return [
        {"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]}
    ]


async def test_echo_answers_with_the_last_user_text(openai: AsyncOpenAI) -> None:
    conversation: list[Any] = [*said("first"), {"role": "assistant", "content": "first"}, *said("second thing")]
    answer = await openai.chat.completions.create(model="sandbox/echo", messages=conversation)
    assert answer.choices[0].message.content == "second thing"
    assert answer.choices[0].finish_reason == "stop"
    # 5 + 5 + 12 characters are 6 tokens at four characters each, 12 are 3.
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (6, 3, 9)


async def test_the_same_request_gets_the_same_answer(openai: AsyncOpenAI) -> None:
    first = await openai.chat.completions.create(model="echo", messages=said("hello"))
    again = await openai.chat.completions.create(model="echo", messages=said("hello"))
    other = await openai.chat.completions.create(model="echo", messages=said("hello!"))
    assert first.model_dump() == again.model_dump()
    assert other.id != first.id


async def test_a_stream_comes_word_by_word_and_joins_to_the_text(openai: AsyncOpenAI) -> None:
    text = "so many  words,\nand a new line "
    stream = await openai.chat.completions.create(
        model="sandbox/echo", messages=said(text), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(pieces) == text
    assert len(pieces) == 7
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8


async def test_a_stream_says_no_usage_unasked(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(model="sandbox/echo", messages=said("hello"), stream=True)
    assert [chunk.usage async for chunk in stream if chunk.usage is not None] == []


async def test_fifty_chunks_come_when_asked_for(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(
        model="sandbox/echo", messages=said("a b c"), stream=True, extra_headers={"x-sandbox": "chunks=50"}
    )
    pieces = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices[0].delta.content]
    assert len(pieces) == 50


async def test_the_first_tool_is_called_with_fitting_arguments(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(model="sandbox/tools", messages=said("Tula"), tools=[WEATHER, TIME])
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert [(call.function.name, msgspec.json.decode(call.function.arguments)) for call in calls] == [
        ("get_weather", {"city": "Tula", "days": 3})
    ]


async def test_parallel_calls_stream_and_their_results_are_answered(openai: AsyncOpenAI) -> None:
    async with openai.chat.completions.stream(
        model="sandbox/tools", messages=said("both in parallel"), tools=[WEATHER, TIME]
    ) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    assert [call.function.name for call in message.tool_calls or ()] == ["get_weather", "get_time"]
    ids = [call.id for call in message.tool_calls or ()]
    assert len(set(ids)) == 2
    results: list[Any] = [
        {"role": "tool", "tool_call_id": name, "content": f"result {at}"} for at, name in enumerate(ids)
    ]
    turn = message.model_dump(exclude_none=True, include={"role", "tool_calls"})
    conversation: list[Any] = [*said("both in parallel"), turn, *results]
    answer = await openai.chat.completions.create(model="sandbox/tools", messages=conversation, tools=[WEATHER, TIME])
    assert answer.choices[0].message.content == "result 0\nresult 1"


async def test_the_named_tool_is_the_one_that_is_called(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(
        model="sandbox/tools",
        messages=said("x"),
        tools=[WEATHER, TIME],
        tool_choice={"type": "function", "function": {"name": "get_time"}},
    )
    assert [call.function.name for call in answer.choices[0].message.tool_calls or ()] == ["get_time"]


async def test_no_tool_is_called_when_none_is_allowed(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(
        model="sandbox/tools", messages=said("just talk"), tools=[WEATHER], tool_choice="none"
    )
    assert answer.choices[0].message.content == "just talk"


async def test_structured_output_fits_its_schema(openai: AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "kind": {"enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "boolean"}},
        },
    }
    answer = await openai.chat.completions.create(
        model="sandbox/echo",
        messages=said("Levsha"),
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema}},
    )
    assert msgspec.json.decode(answer.choices[0].message.content or "") == {
        "name": "Levsha",
        "kind": "a",
        "tags": [True],
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_comes_before_the_answer(openai: AsyncOpenAI, stream: bool) -> None:
    if stream:
        order: list[str] = []
        async for chunk in await openai.chat.completions.create(
            model="sandbox/reason", messages=said("why"), stream=True
        ):
            delta = chunk.choices[0].delta.model_dump(exclude_none=True)
            order += [name for name in ("reasoning_content", "content") if delta.get(name)]
        assert order == sorted(order, reverse=True)
        assert {"reasoning_content", "content"} == set(order)
        return
    answer = await openai.chat.completions.create(model="sandbox/reason", messages=said("why"))
    assert "The user said: why" in answer.choices[0].message.model_dump()["reasoning_content"]
    assert answer.choices[0].message.content == "why"
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert 0 < (answer.usage.completion_tokens_details.reasoning_tokens or 0) < answer.usage.completion_tokens


async def test_the_answer_ends_at_max_tokens_and_at_a_stop_sequence(openai: AsyncOpenAI) -> None:
    short = await openai.chat.completions.create(model="sandbox/echo", messages=said("12345678abc"), max_tokens=2)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("12345678", "length")
    stopped = await openai.chat.completions.create(model="sandbox/echo", messages=said("one STOP two"), stop=["STOP"])
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("one ", "stop")


async def test_vision_opens_the_image(openai: AsyncOpenAI) -> None:
    url = data_url(picture("JPEG"), "image/jpeg")
    answer = await openai.chat.completions.create(model="sandbox/vision", messages=shown(url))
    text = answer.choices[0].message.content or ""
    assert "sandbox" in text
    assert "JPEG, 64 x 48 pixels" in text
    assert "(red, 100 %)" in text
    assert "Make = Tula Works" in text
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 256 + 4


async def test_vision_does_not_fetch_an_address(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(model="sandbox/vision", messages=shown("https://example.com/cat.png"))
    assert "https://example.com/cat.png was not fetched" in (answer.choices[0].message.content or "")


@pytest.mark.parametrize(
    "content",
    [picture("JPEG", size=(600, 400))[:900], picture("PNG")[:80], b"not an image at all", picture("BMP")],
    ids=["jpeg cut short", "png cut short", "fake", "unknown format"],
)
async def test_vision_refuses_what_is_no_whole_image(openai: AsyncOpenAI, content: bytes) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        await openai.chat.completions.create(model="sandbox/vision", messages=shown(data_url(content)))
    assert caught.value.code == "invalid_image"
    assert caught.value.param == "messages[0].content[1].image_url"


async def test_a_large_image_is_opened_too(openai: AsyncOpenAI) -> None:
    content = picture("PNG") + b"\0" * 1_500_000
    answer = await openai.chat.completions.create(model="sandbox/vision", messages=shown(data_url(content)))
    assert f"{len(content)} bytes" in (answer.choices[0].message.content or "")


async def test_a_vendors_own_model_name_is_stood_in_for(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(model="gpt-5-mini", messages=said("Tula"), tools=[WEATHER])
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.model == "gpt-5-mini"


async def test_an_unknown_model_is_not_found(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.NotFoundError) as caught:
        await openai.chat.completions.create(model="sandbox/nothing", messages=said("x"))
    assert caught.value.code == "model_not_found"


async def test_a_bad_key_is_refused(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.AuthenticationError) as caught:
        await openai.with_options(api_key="sk-sandbox-bad").chat.completions.create(model="echo", messages=said("x"))
    assert caught.value.code == "invalid_api_key"


async def test_a_long_prefix_seen_before_is_reported_as_cached(openai: AsyncOpenAI) -> None:
    book: list[Any] = [{"role": "system", "content": "word " * 2_000}]
    cached = []
    for question in ("first question", "second question"):
        answer = await openai.chat.completions.create(model="sandbox/echo", messages=[*book, *said(question)])
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        cached.append(answer.usage.prompt_tokens_details.cached_tokens)
    # 10,000 characters are 2,500 tokens; whole steps of 128 above 1,024 fit 2,432 of them.
    assert cached == [0, 2432]
    told = await openai.chat.completions.create(model="sandbox/echo", messages=said("[[cached:3]] some words"))
    assert told.usage is not None
    assert told.usage.prompt_tokens_details is not None
    assert told.usage.prompt_tokens_details.cached_tokens == 3


async def test_the_models_are_listed(openai: AsyncOpenAI) -> None:
    listed = [model.id async for model in openai.models.list()]
    assert "sandbox/echo" in listed
    assert "sandbox/vision" in listed
