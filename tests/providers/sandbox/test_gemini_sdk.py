"""The real google-genai SDK against the sandbox."""

import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from google.genai import Client, types
from google.genai.client import AsyncClient
from google.genai.errors import ClientError, ServerError

from samovar.providers.sandbox import Address
from tests.providers.sandbox.conftest import KEY, Wire
from tests.providers.sandbox.pictures import picture

GENERATE = "/v1beta/models/sandbox/echo:generateContent"
STREAM = "/v1beta/models/sandbox/echo:streamGenerateContent"
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name="get_weather",
                parameters=types.Schema(
                    type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}
                ),
            ),
            types.FunctionDeclaration(name="get_time", parameters_json_schema={"type": "object"}),
        ]
    )
]


@pytest.fixture
async def gemini(address: Address) -> AsyncIterator[AsyncClient]:
    options = types.HttpOptions(base_url=address.url, retry_options=types.HttpRetryOptions(attempts=1))
    client = Client(api_key=KEY, http_options=options, vertexai=False)
    async with client.aio as opened:
        yield opened
    client.close()


def gemini_post(path: str, text: str, *headers: str, key: str | None = KEY, **more: Any) -> bytes:
    body = msgspec.json.encode({"contents": [{"role": "user", "parts": [{"text": text}]}]} | more)
    lines = [f"POST {path} HTTP/1.1", "Host: sandbox", f"Content-Length: {len(body)}", *headers]
    if key is not None:
        lines.append(f"x-goog-api-key: {key}")
    return "\r\n".join((*lines, "", "")).encode() + body


async def generated(gemini: AsyncClient, model: str, contents: Any, **config: Any) -> types.GenerateContentResponse:
    return await gemini.models.generate_content(
        model=model, contents=contents, config=types.GenerateContentConfig(**config)
    )


async def test_echo_answers_with_the_last_user_text(gemini: AsyncClient) -> None:
    answer = await generated(gemini, "sandbox/echo", "hello, samovar!", system_instruction="Be brief.")
    assert answer.text == "hello, samovar!"
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata is not None
    # 9 and 15 characters are 6 tokens at four characters each, 15 are 4.
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (6, 4, 10)


async def test_a_stream_has_usage_on_every_chunk_and_ends_as_the_whole_answer(gemini: AsyncClient) -> None:
    stream = await gemini.models.generate_content_stream(model="gemini-3-pro", contents="so many words")
    chunks = [chunk async for chunk in stream]
    whole = await generated(gemini, "gemini-3-pro", "so many words")
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text == "so many words"
    assert all(chunk.usage_metadata is not None for chunk in chunks)
    assert chunks[-1].usage_metadata == whole.usage_metadata
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert reasons == [None, None, None, types.FinishReason.STOP]


async def test_thoughts_are_shown_when_asked_and_counted_beside_the_answer(gemini: AsyncClient) -> None:
    thinking = types.ThinkingConfig(include_thoughts=True)
    shown = await generated(gemini, "sandbox/reason", "why", thinking_config=thinking)
    assert shown.parts is not None
    assert [part.thought for part in shown.parts] == [True, None]
    assert shown.parts[1].thought_signature
    assert shown.text == "why"
    usage = shown.usage_metadata
    assert usage is not None
    assert usage.thoughts_token_count is not None
    assert usage.candidates_token_count is not None
    assert usage.prompt_token_count is not None
    assert usage.thoughts_token_count > usage.candidates_token_count > 0
    assert usage.total_token_count == (
        usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
    )
    hidden = await generated(gemini, "sandbox/reason", "why")
    assert [part.thought for part in hidden.parts or []] == [None]
    assert hidden.usage_metadata is not None
    assert hidden.usage_metadata.thoughts_token_count == usage.thoughts_token_count


async def called_in_parallel(gemini: AsyncClient) -> tuple[types.Content, types.Content, types.Content]:
    asked = types.Content(role="user", parts=[types.Part(text="both in parallel")])
    answer = await generated(gemini, "sandbox/tools", [asked], tools=TOOLS)
    calls = answer.function_calls or []
    assert [(call.name, call.args) for call in calls] == [
        ("get_weather", {"city": "both in parallel"}),
        ("get_time", {}),
    ]
    results = [
        types.Part.from_function_response(name=call.name or "", response={"result": f"result {at}"})
        for at, call in enumerate(calls)
    ]
    assert answer.candidates is not None
    turn = answer.candidates[0].content
    assert turn is not None
    return asked, turn, types.Content(role="user", parts=results)


async def test_parallel_calls_come_back_with_the_one_signature_they_have(gemini: AsyncClient) -> None:
    asked, turn, results = await called_in_parallel(gemini)
    assert [bool(part.thought_signature) for part in turn.parts or []] == [True, False]
    answer = await generated(gemini, "sandbox/tools", [asked, turn, results], tools=TOOLS)
    assert answer.text == "result 0\nresult 1"


async def test_a_lost_or_changed_signature_is_refused(gemini: AsyncClient) -> None:
    asked, turn, results = await called_in_parallel(gemini)
    assert turn.parts is not None
    good = turn.parts[0].thought_signature
    turn.parts[0].thought_signature = None
    with pytest.raises(ClientError, match="missing a thought_signature"):
        await generated(gemini, "sandbox/tools", [asked, turn, results], tools=TOOLS)
    # What is over may have lost it: a new question begins a new turn.
    later = types.Content(role="user", parts=[types.Part(text="thanks")])
    said = types.Content(role="model", parts=[types.Part(text="done")])
    over = await generated(gemini, "sandbox/echo", [asked, turn, results, said, later], tools=TOOLS)
    assert over.text == "thanks"
    turn.parts[0].thought_signature = b"forged"
    with pytest.raises(ClientError, match="Corrupted"):
        await generated(gemini, "sandbox/tools", [asked, turn, results], tools=TOOLS)
    turn.parts[0].thought_signature = good
    assert turn.parts[0].function_call is not None
    turn.parts[0].function_call.args = {"city": "elsewhere"}
    with pytest.raises(ClientError, match="Corrupted"):
        await generated(gemini, "sandbox/tools", [asked, turn, results], tools=TOOLS)


async def test_the_stand_in_for_another_models_signature_is_taken(gemini: AsyncClient) -> None:
    asked, turn, results = await called_in_parallel(gemini)
    assert turn.parts is not None
    turn.parts[0].thought_signature = b"skip_thought_signature_validator"
    answer = await generated(gemini, "sandbox/tools", [asked, turn, results], tools=TOOLS)
    assert answer.text == "result 0\nresult 1"


async def test_every_call_needs_its_result(gemini: AsyncClient) -> None:
    asked, turn, results = await called_in_parallel(gemini)
    assert results.parts is not None
    results.parts.pop()
    with pytest.raises(ClientError, match="number of function response parts"):
        await generated(gemini, "sandbox/tools", [asked, turn, results], tools=TOOLS)


async def test_calls_stream_each_as_a_whole(gemini: AsyncClient) -> None:
    stream = await gemini.models.generate_content_stream(
        model="sandbox/tools", contents="in parallel", config=types.GenerateContentConfig(tools=list(TOOLS))
    )
    names = [call.name async for chunk in stream for call in chunk.function_calls or []]
    assert names == ["get_weather", "get_time"]


async def test_structured_output_fits_a_schema_of_either_kind(gemini: AsyncClient) -> None:
    own = types.Schema(type=types.Type.OBJECT, properties={"name": types.Schema(type=types.Type.STRING)})
    plain = {"type": "object", "properties": {"name": {"type": "string"}}}
    for schema in ({"response_schema": own}, {"response_json_schema": plain}):
        answer = await generated(gemini, "sandbox/echo", "Levsha", response_mime_type="application/json", **schema)
        assert msgspec.json.decode(answer.text or "") == {"name": "Levsha"}


async def test_vision_opens_the_image(gemini: AsyncClient) -> None:
    part = types.Part.from_bytes(data=picture("PNG"), mime_type="image/png")
    answer = await generated(gemini, "sandbox/vision", [types.Content(role="user", parts=[part])])
    assert "PNG, 64 x 48 pixels" in (answer.text or "")
    assert answer.usage_metadata is not None
    modalities = {detail.modality for detail in answer.usage_metadata.prompt_tokens_details or []}
    assert modalities == {types.MediaModality.TEXT, types.MediaModality.IMAGE}
    fake = types.Part.from_bytes(data=b"not an image", mime_type="image/png")
    with pytest.raises(ClientError):
        await generated(gemini, "sandbox/vision", [types.Content(role="user", parts=[fake])])


async def test_the_answer_ends_at_its_bounds(gemini: AsyncClient) -> None:
    short = await generated(gemini, "sandbox/echo", "12345678abc", max_output_tokens=2)
    assert short.text == "12345678"
    assert short.candidates is not None
    assert short.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    stopped = await generated(gemini, "sandbox/echo", "one STOP two", stop_sequences=["STOP"])
    assert stopped.text == "one "


async def test_tokens_are_counted_as_they_are_billed(gemini: AsyncClient) -> None:
    counted = await gemini.models.count_tokens(model="sandbox/echo", contents="hello, samovar!")
    answer = await generated(gemini, "sandbox/echo", "hello, samovar!")
    assert answer.usage_metadata is not None
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count == 4


async def test_embeddings_are_unit_vectors_of_the_wanted_length(gemini: AsyncClient) -> None:
    texts: list[Any] = ["a samovar boils", "a samovar boils"]
    answer = await gemini.models.embed_content(
        model="gemini-embedding-001", contents=texts, config=types.EmbedContentConfig(output_dimensionality=256)
    )
    one, same = (each.values or [] for each in answer.embeddings or [])
    assert one == same
    assert len(one) == 256
    assert math.isclose(sum(value * value for value in one), 1.0, abs_tol=1e-5)


async def test_one_embedding_is_made_alone(wire: Wire) -> None:
    body = {"content": {"parts": [{"text": "hello"}]}}
    await wire.send(gemini_post("/v1beta/models/sandbox/embed:embedContent", "unused", **body))
    status, _, answer = await wire.answer()
    assert status == 200
    assert len(msgspec.json.decode(answer)["embedding"]["values"]) == 1536


async def test_sse_frames_end_in_crlf_and_no_done_follows(wire: Wire) -> None:
    await wire.send(gemini_post(f"{STREAM}?alt=sse", "one two"))
    _, headers, body = await wire.answer()
    assert headers["content-type"].startswith("text/event-stream")
    frames = body.split(b"\r\n\r\n")
    assert frames.pop() == b""
    assert len(frames) == 3
    assert all(frame.startswith(b"data: {") for frame in frames)
    assert b"[DONE]" not in body


async def test_without_alt_sse_a_stream_is_one_json_array(wire: Wire) -> None:
    await wire.send(gemini_post(STREAM, "one two"))
    _, headers, body = await wire.answer()
    assert headers["content-type"] == "application/json"
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in msgspec.json.decode(body)]
    assert texts == ["one ", "two", ""]


@pytest.mark.parametrize("at", [0, 2])
async def test_an_error_in_mid_array_ends_it_in_good_order(wire: Wire, at: int) -> None:
    await wire.send(gemini_post(STREAM, "one two three", f"x-sandbox: fault=quota_mid at={at}"))
    items = msgspec.json.decode((await wire.answer())[2])
    assert len(items) == at + 1
    assert items[-1]["error"]["status"] == "RESOURCE_EXHAUSTED"


async def test_429_says_in_its_body_when_to_come_back(wire: Wire) -> None:
    await wire.send(gemini_post(GENERATE, "x", "x-sandbox: fault=429 retry_after=7"))
    status, headers, body = await wire.answer()
    assert status == 429
    assert "retry-after" not in headers
    error = msgspec.json.decode(body)["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["details"] == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]


async def test_keys_are_taken_from_header_or_query_and_refused_as_there(wire: Wire) -> None:
    await wire.send(gemini_post(f"{GENERATE}?key=anything", "x", key=None))
    assert (await wire.answer())[0] == 200
    await wire.send(gemini_post(GENERATE, "x", key=None))
    status, _, body = await wire.answer()
    assert (status, msgspec.json.decode(body)["error"]["status"]) == (403, "PERMISSION_DENIED")
    await wire.send(gemini_post(GENERATE, "x", key="sk-sandbox-bad"))
    status, _, body = await wire.answer()
    assert (status, msgspec.json.decode(body)["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")


async def test_the_sdk_raises_the_sandboxes_errors(gemini: AsyncClient) -> None:
    with pytest.raises(ServerError):
        await generated(gemini, "sandbox/echo", "[[fault:503]]")
    with pytest.raises(ClientError, match="exceeds the maximum number of tokens"):
        await generated(gemini, "sandbox/echo", "[[fault:context]]")
    with pytest.raises(ClientError) as caught:
        await generated(gemini, "sandbox/nothing", "x")
    assert caught.value.code == 404


async def test_both_spellings_of_a_field_are_read_and_the_callers_own_names_left_alone(wire: Wire) -> None:
    schema = {"type": "OBJECT", "properties": {"first_name": {"type": "STRING"}}}
    config = {"response_mime_type": "application/json", "response_schema": schema}
    await wire.send(gemini_post(GENERATE, "Levsha", generation_config=config))
    answer = msgspec.json.decode((await wire.answer())[2])
    text = answer["candidates"][0]["content"]["parts"][0]["text"]
    assert msgspec.json.decode(text) == {"first_name": "Levsha"}


async def test_a_part_of_no_known_kind_is_refused_not_ignored(wire: Wire) -> None:
    await wire.send(gemini_post(GENERATE, "unused", contents=[{"role": "user", "parts": [{"hologram": {}}]}]))
    status, _, body = await wire.answer()
    assert status == 400
    assert b"must have one initialized field" in body
