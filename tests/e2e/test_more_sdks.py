"""OpenAI's Responses and Google's SDK through Samovar, to every vendor."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from google import genai
from google.genai import errors, types

from tests.e2e.conftest import Samovar
from tests.e2e.test_sdks import MODELS, WEATHER, picture


@pytest.fixture
def openai_client(samovar: Samovar) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{samovar.url}/v1", api_key=samovar.key, max_retries=0)


@pytest.fixture
def google_client(samovar: Samovar) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=f"{samovar.url}/gemini")
    client = genai.Client(api_key=samovar.key, http_options=options)
    yield client
    client.close()


@pytest.mark.parametrize("model", MODELS)
def test_responses_give_an_answer_with_usage(openai_client: openai.OpenAI, model: str) -> None:
    answer = openai_client.responses.create(model=model.format("echo"), input="Привет, самовар!", store=False)
    assert answer.output_text == "Привет, самовар!"
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_responses_stream_word_by_word(openai_client: openai.OpenAI, model: str) -> None:
    with openai_client.responses.stream(model=model.format("echo"), input="one two three four", store=False) as stream:
        words = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(words) == final.output_text == "one two three four"
    assert len(words) >= 4
    assert final.usage is not None
    assert final.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_responses_call_tools_and_take_their_results(openai_client: openai.OpenAI, model: str) -> None:
    tools: Any = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    asked: list[Any] = [{"role": "user", "content": "The weather, please"}]
    first = openai_client.responses.create(model=model.format("tools"), input=asked, tools=tools, store=False)
    calls = [item for item in first.output if item.type == "function_call"]
    assert calls[0].name == "weather"
    assert isinstance(json.loads(calls[0].arguments)["days"], int)
    asked += [item.model_dump(exclude_none=True) for item in first.output]
    asked.append({"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny, 25 degrees"})
    second = openai_client.responses.create(model=model.format("tools"), input=asked, tools=tools, store=False)
    assert "sunny, 25 degrees" in second.output_text


@pytest.mark.parametrize("model", MODELS)
def test_googles_sdk_gets_an_answer_with_usage(google_client: genai.Client, model: str) -> None:
    answer = google_client.models.generate_content(model=model.format("echo"), contents="Привет, самовар!")
    assert answer.text == "Привет, самовар!"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count
    assert answer.usage_metadata.candidates_token_count


@pytest.mark.parametrize("model", MODELS)
def test_googles_sdk_streams_word_by_word(google_client: genai.Client, model: str) -> None:
    stream = google_client.models.generate_content_stream(model=model.format("echo"), contents="one two three four")
    words = [chunk.text for chunk in stream if chunk.text]
    assert "".join(words) == "one two three four"
    assert len(words) >= 4


@pytest.mark.parametrize("model", MODELS)
def test_googles_sdk_calls_tools_and_gives_their_results_back(google_client: genai.Client, model: str) -> None:
    declared = types.FunctionDeclaration(name="weather", description="d", parameters_json_schema=WEATHER)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    asked: list[Any] = [types.Content(role="user", parts=[types.Part(text="The weather, please")])]
    first = google_client.models.generate_content(model=model.format("tools"), contents=asked, config=config)
    assert first.function_calls
    assert first.function_calls[0].name == "weather"
    assert first.candidates
    asked.append(first.candidates[0].content)
    call = first.function_calls[0]
    answered = types.FunctionResponse(id=call.id, name="weather", response={"result": "sunny, 25 degrees"})
    asked.append(types.Content(role="user", parts=[types.Part(function_response=answered)]))
    second = google_client.models.generate_content(model=model.format("tools"), contents=asked, config=config)
    assert "sunny, 25 degrees" in str(second.text)


@pytest.mark.parametrize("model", MODELS)
def test_googles_sdk_shows_an_image(google_client: genai.Client, model: str) -> None:
    image = types.Part.from_bytes(data=base64.b64decode(picture()), mime_type="image/png")
    answer = google_client.models.generate_content(model=model.format("vision"), contents=[image, "What is this?"])
    assert "PNG" in str(answer.text)


def test_a_stream_without_alt_sse_is_one_json_array(samovar: Samovar) -> None:
    path = "/gemini/v1beta/models/anthropic%2Fsandbox%2Fecho:streamGenerateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]}
    status, chunks, headers = samovar.request("POST", path, body, {"x-goog-api-key": samovar.key})
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    words = [part["text"] for chunk in chunks for part in chunk["candidates"][0]["content"].get("parts", [])]
    assert "".join(words) == "one two three"


def test_an_unknown_action_and_model_are_googles_own_not_found(samovar: Samovar, google_client: genai.Client) -> None:
    status, body, _ = samovar.request("POST", "/gemini/v1beta/models/sandbox/echo:paint", {"contents": []})
    assert status == 404
    assert body["error"]["status"] == "NOT_FOUND"
    with pytest.raises(errors.ClientError, match="nosuch"):
        google_client.models.generate_content(model="nosuch/model", contents="hi")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["anthropic/sandbox/echo", "gemini/sandbox/echo"])
def test_an_answer_is_dated_where_its_vendor_dates_none(openai_client: openai.OpenAI, model: str, stream: bool) -> None:
    before = int(time.time()) - 1
    asked: Any = [{"role": "user", "content": "hello"}]
    if stream:
        dates = {
            chunk.created for chunk in openai_client.chat.completions.create(model=model, messages=asked, stream=True)
        }
    else:
        dates = {openai_client.chat.completions.create(model=model, messages=asked).created}
        dates.add(int(openai_client.responses.create(model=model, input="hello", store=False).created_at))
    assert all(before <= date <= time.time() for date in dates), dates
