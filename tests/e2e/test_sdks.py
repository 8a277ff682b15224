"""The vendors' own SDKs, unchanged but for base URL and key, through Samovar to both vendors' formats."""

import base64
import io
import json
import time
from typing import Any

import anthropic
import openai
import pytest
from PIL import Image

from tests.e2e.conftest import Samovar

OPENAI_MODELS = ["openai/sandbox/{}", "openrouter/sandbox/{}", "xai/sandbox/{}", "bigmodel/sandbox/{}", "sandbox/{}"]
MODELS = [*OPENAI_MODELS, "deepseek/sandbox/{}", "anthropic/sandbox/{}", "gemini/sandbox/{}"]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}


@pytest.fixture
def openai_client(samovar: Samovar) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{samovar.url}/v1", api_key=samovar.key, max_retries=0)


@pytest.fixture
def anthropic_client(samovar: Samovar) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=samovar.url, api_key=samovar.key, max_retries=0)


def picture() -> str:
    """A red PNG of 40 by 30, in base64."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (255, 0, 0)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("model", MODELS)
def test_the_openai_sdk_gets_an_answer_with_usage_and_cost(openai_client: openai.OpenAI, model: str) -> None:
    began = time.monotonic()
    raw = openai_client.chat.completions.with_raw_response.create(
        model=model.format("echo"), messages=[{"role": "user", "content": "Привет, самовар!"}], max_tokens=100
    )
    took_ms = 1000 * (time.monotonic() - began)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Привет, самовар!"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert raw.headers["x-samovar-model"] == model.format("echo")
    assert raw.headers["x-samovar-provider"] == model.split("/")[0]
    assert raw.headers["x-samovar-cost-credits"]
    assert 0 < float(raw.headers["x-samovar-overhead-ms"]) < took_ms


@pytest.mark.parametrize("model", MODELS)
def test_the_openai_sdk_streams_word_by_word(openai_client: openai.OpenAI, model: str) -> None:
    stream = openai_client.chat.completions.create(
        model=model.format("echo"),
        messages=[{"role": "user", "content": "one two three four"}],
        max_tokens=100,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(words) == "one two three four"
    assert len(words) >= 4
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usages) == 1
    assert usages[0].completion_tokens > 0


def test_a_stream_holds_no_usage_where_none_was_asked(openai_client: openai.OpenAI) -> None:
    stream = openai_client.chat.completions.create(
        model="openai/sandbox/echo", messages=[{"role": "user", "content": "a b"}], stream=True
    )
    assert [chunk.usage for chunk in stream if chunk.usage is not None or not chunk.choices] == []


@pytest.mark.parametrize("model", MODELS)
def test_the_openai_sdk_calls_tools_and_gives_their_results_back(openai_client: openai.OpenAI, model: str) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": WEATHER}}]
    messages: list[Any] = [{"role": "user", "content": "The weather, please"}]
    first = openai_client.chat.completions.create(
        model=model.format("tools"), messages=messages, tools=tools, max_tokens=200
    )
    assert first.choices[0].finish_reason == "tool_calls"
    calls = first.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.name == "weather"
    assert isinstance(json.loads(calls[0].function.arguments)["days"], int)
    messages.append(first.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": calls[0].id, "content": "sunny, 25 degrees"})
    second = openai_client.chat.completions.create(
        model=model.format("tools"), messages=messages, tools=tools, max_tokens=200
    )
    assert "sunny, 25 degrees" in str(second.choices[0].message.content)


@pytest.mark.parametrize("model", MODELS)
def test_the_openai_sdk_streams_parallel_tool_calls(openai_client: openai.OpenAI, model: str) -> None:
    tools: Any = [
        {"type": "function", "function": {"name": name, "parameters": WEATHER}} for name in ("weather", "forecast")
    ]
    with openai_client.chat.completions.stream(
        model=model.format("tools"),
        messages=[{"role": "user", "content": "do it in parallel"}],
        tools=tools,
        max_tokens=200,
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [call.function.name for call in calls] == ["weather", "forecast"]
    assert all(json.loads(call.function.arguments) for call in calls)
    assert len({call.id for call in calls}) == 2


@pytest.mark.parametrize("model", MODELS)
def test_the_openai_sdk_shows_an_image(openai_client: openai.OpenAI, model: str) -> None:
    answer = openai_client.chat.completions.create(
        model=model.format("vision"),
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}},
                ],
            }
        ],
        max_tokens=300,
    )
    text = str(answer.choices[0].message.content)
    assert "PNG" in text
    assert "40" in text
    assert "30" in text


@pytest.mark.parametrize("model", MODELS)
def test_the_anthropic_sdk_gets_an_answer_with_usage(anthropic_client: anthropic.Anthropic, model: str) -> None:
    answer = anthropic_client.messages.create(
        model=model.format("echo"),
        max_tokens=100,
        system="Be brief.",
        messages=[{"role": "user", "content": "Привет, самовар!"}],
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Привет, самовар!"
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_the_anthropic_sdk_streams_word_by_word(anthropic_client: anthropic.Anthropic, model: str) -> None:
    with anthropic_client.messages.stream(
        model=model.format("echo"), max_tokens=100, messages=[{"role": "user", "content": "one two three four"}]
    ) as stream:
        words = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(words) == "one two three four"
    assert len(words) >= 4
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens > 0
    assert final.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_the_anthropic_sdk_calls_tools_and_gives_their_results_back(
    anthropic_client: anthropic.Anthropic, model: str
) -> None:
    tools: Any = [{"name": "weather", "description": "d", "input_schema": WEATHER}]
    messages: list[Any] = [{"role": "user", "content": "The weather, please"}]
    first = anthropic_client.messages.create(
        model=model.format("tools"), max_tokens=200, messages=messages, tools=tools
    )
    assert first.stop_reason == "tool_use"
    uses = [block for block in first.content if block.type == "tool_use"]
    assert uses[0].name == "weather"
    assert isinstance(uses[0].input["days"], int)
    messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]})
    result = {"type": "tool_result", "tool_use_id": uses[0].id, "content": "sunny, 25 degrees"}
    messages.append({"role": "user", "content": [result]})
    second = anthropic_client.messages.create(
        model=model.format("tools"), max_tokens=200, messages=messages, tools=tools
    )
    assert second.content[0].type == "text"
    assert "sunny, 25 degrees" in second.content[0].text


@pytest.mark.parametrize("model", MODELS)
def test_the_anthropic_sdk_streams_parallel_tool_calls(anthropic_client: anthropic.Anthropic, model: str) -> None:
    tools: Any = [{"name": name, "input_schema": WEATHER} for name in ("weather", "forecast")]
    with anthropic_client.messages.stream(
        model=model.format("tools"),
        max_tokens=200,
        messages=[{"role": "user", "content": "do it in parallel"}],
        tools=tools,
    ) as stream:
        final = stream.get_final_message()
    uses = [block for block in final.content if block.type == "tool_use"]
    assert [use.name for use in uses] == ["weather", "forecast"]
    assert all(use.input for use in uses)
    assert final.stop_reason == "tool_use"


@pytest.mark.parametrize("model", MODELS)
def test_the_anthropic_sdk_shows_an_image(anthropic_client: anthropic.Anthropic, model: str) -> None:
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture()}}
    answer = anthropic_client.messages.create(
        model=model.format("vision"),
        max_tokens=300,
        messages=[{"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}],
    )
    assert answer.content[0].type == "text"
    text = answer.content[0].text
    assert "PNG" in text
    assert "40" in text


def test_the_models_are_listed_in_the_shape_of_the_sdk_that_asks(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    ours = [model.id for model in openai_client.models.list()]
    theirs = [model.id for model in anthropic_client.models.list(limit=1000)]
    assert "sandbox/echo" in ours
    assert ours == theirs
    assert openai_client.models.retrieve("sandbox/echo").id == "sandbox/echo"
    assert anthropic_client.models.retrieve("sandbox/echo").id == "sandbox/echo"


def test_a_wrong_key_is_the_sdks_own_authentication_error(samovar: Samovar) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{samovar.url}/v1", api_key="sk-samovar-wrong", max_retries=0).chat.completions.create(
            model="sandbox/echo", messages=[{"role": "user", "content": "a"}]
        )
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=samovar.url, api_key="sk-samovar-wrong", max_retries=0).messages.create(
            model="sandbox/echo", max_tokens=5, messages=[{"role": "user", "content": "a"}]
        )


def test_an_unknown_model_is_the_sdks_own_not_found_error(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.NotFoundError, match="nosuch"):
        openai_client.chat.completions.create(model="nosuch/model", messages=[{"role": "user", "content": "a"}])
    with pytest.raises(anthropic.NotFoundError, match="nosuch"):
        anthropic_client.messages.create(
            model="nosuch/model", max_tokens=5, messages=[{"role": "user", "content": "a"}]
        )
