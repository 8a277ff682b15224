"""What callers of Gemini's surface send, read into the neutral core."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.errors import Malformed
from samovar.ports.dialect import Head
from samovar.ports.llm import (
    Media,
    MediaKind,
    Message,
    Opaque,
    Reasoning,
    ReasoningSettings,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from samovar.providers.gemini import GeminiContent
from tests.providers.gemini.asking import HELLO, loaded, read
from tests.providers.gemini.conftest import VENDOR, served

DIALECT = GeminiContent()


def parts_of(*parts: dict[str, Any], role: str = "user") -> tuple[Any, ...]:
    (message,) = read({"role": role, "parts": list(parts)}).messages
    return message.parts


def test_the_model_and_streaming_stand_in_the_url_and_are_left_open() -> None:
    body = json.dumps({"contents": HELLO, "generationConfig": {"maxOutputTokens": 7}}).encode()
    assert DIALECT.read_head(body) == Head(model="", stream=False, wants_usage=True, max_output_tokens=7)
    request = DIALECT.read_request(body)
    assert (request.model, request.stream, request.wants_usage) == ("", False, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"generation_config": {"max_output_tokens": 7}},
        {"generation_config": {"maxOutputTokens": 7}},
        {"generationConfig": {"max_output_tokens": 7}},
    ],
)
def test_the_head_is_read_in_either_spelling(fields: dict[str, Any]) -> None:
    body = json.dumps({"contents": HELLO, "drop_params": True, **fields}).encode()
    assert DIALECT.read_head(body) == Head(model="", wants_usage=True, max_output_tokens=7, drop_params=True)


@pytest.mark.parametrize(
    ("config", "choices"),
    [
        ({"candidateCount": 3}, 3),
        ({"candidate_count": 3}, 3),
        ({"candidateCount": 0}, 1),
        ({"candidateCount": None}, 1),
        ({}, 1),
    ],
)
def test_the_head_says_how_many_answers_are_asked_for(config: dict[str, Any], choices: int) -> None:
    body = json.dumps({"contents": HELLO, "generationConfig": config}).encode()
    assert DIALECT.read_head(body).choices == choices


def test_both_spellings_say_the_same_and_what_is_the_callers_own_is_not_respelt() -> None:
    schema = {"type": "object", "properties": {"city_name": {"type": "string"}}}
    camel = {
        "contents": [
            {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
            {
                "role": "model",
                "parts": [{"functionCall": {"name": "get_it", "args": {"city_name": "x"}}, "thoughtSignature": "c2ln"}],
            },
            {"role": "user", "parts": [{"functionResponse": {"name": "get_it", "response": {"the_answer": 1}}}]},
        ],
        "systemInstruction": {"parts": [{"text": "snake_case stays"}]},
        "tools": [{"functionDeclarations": [{"name": "get_it", "parametersJsonSchema": schema}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_it"]}},
        "generationConfig": {
            "topP": 0.5,
            "thinkingConfig": {"thinkingBudget": 5},
            "responseMimeType": "application/json",
        },
        "safetySettings": [],
    }
    snake = {
        "contents": [
            {"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]},
            {
                "role": "model",
                "parts": [
                    {"function_call": {"name": "get_it", "args": {"city_name": "x"}}, "thought_signature": "c2ln"}
                ],
            },
            {"role": "user", "parts": [{"function_response": {"name": "get_it", "response": {"the_answer": 1}}}]},
        ],
        "system_instruction": {"parts": [{"text": "snake_case stays"}]},
        "tools": [{"function_declarations": [{"name": "get_it", "parameters_json_schema": schema}]}],
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["get_it"]}},
        "generation_config": {
            "top_p": 0.5,
            "thinking_config": {"thinking_budget": 5},
            "response_mime_type": "application/json",
        },
        "safety_settings": [],
    }
    plain, respelt = (DIALECT.read_request(json.dumps(body).encode()) for body in (camel, snake))
    assert msgspec.json.encode(plain) == msgspec.json.encode(respelt)
    assert plain.tools[0].schema is not None
    assert loaded(plain.tools[0].schema) == schema
    call = plain.messages[2].parts[0]
    assert isinstance(call, ToolCall)
    assert json.loads(call.arguments) == {"city_name": "x"}


def test_every_kind_of_part_is_read() -> None:
    assert parts_of(
        {"text": "Hi"},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "a.pdf"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x", "mimeType": "video/mp4"}},
        {"fileData": {"fileUri": "https://example.org/cat.PNG?x=1"}},
    ) == (
        Text(text="Hi"),
        Media(kind=MediaKind.AUDIO, base64="AAAA", media_type="audio/wav"),
        Media(kind=MediaKind.FILE, base64="AAAA", media_type="application/pdf", filename="a.pdf"),
        Media(
            kind=MediaKind.VIDEO,
            file_id="https://generativelanguage.googleapis.com/v1beta/files/x",
            media_type="video/mp4",
        ),
        Media(kind=MediaKind.IMAGE, url="https://example.org/cat.PNG?x=1"),
    )


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}, "videoMetadata": {"fps": 2}},
        {"functionResponse": {"name": "f", "response": {}, "scheduling": "SILENT"}},
        {"text": "x", "partMetadata": {"a": 1}},
    ],
)
def test_what_the_core_cannot_hold_is_kept_whole(part: dict[str, Any]) -> None:
    (opaque,) = parts_of(part)
    assert isinstance(opaque, Opaque)
    assert (opaque.dialect, loaded(opaque.raw)) == ("gemini", part)


def test_a_part_in_snake_case_is_kept_as_it_was_spelt() -> None:
    part = {"code_execution_result": {"outcome": "OUTCOME_OK"}}
    (opaque,) = parts_of(part)
    assert isinstance(opaque, Opaque)
    assert loaded(opaque.raw) == part


def test_base64_in_the_urls_alphabet_becomes_plain() -> None:
    (image,) = parts_of({"inline_data": {"mime_type": "image/png", "data": "-_-_"}})
    assert image == Media(kind=MediaKind.IMAGE, base64="+/+/", media_type="image/png")


def test_signatures_stay_with_what_they_sign() -> None:
    assert parts_of(
        {"text": "hm", "thought": True, "thoughtSignature": "YQ=="},
        {"text": "Answer", "thoughtSignature": "Yg=="},
        {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "Yw=="},
        role="model",
    ) == (
        Reasoning(text="hm", signature="YQ==", origin="gemini"),
        Text(text="Answer"),
        Reasoning(signature="Yg==", origin="gemini"),
        ToolCall(id="c1", name="f", arguments="{}", signature="Yw=="),
    )


def test_calls_without_ids_get_stable_ones_and_results_find_them_by_name_and_order() -> None:
    calls = [{"functionCall": {"name": name, "args": {"n": n}}} for n, name in enumerate("fgf")]
    results = [{"functionResponse": {"name": name, "response": {"output": name}}} for name in "gff"]
    contents: list[dict[str, Any]] = [
        {"role": "model", "parts": calls},
        {"role": "user", "parts": [*results, {"text": "go on"}]},
    ]
    asked, *answered, last = read(*contents).messages
    ids = [part.id for part in asked.parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 3
    found = [part.call_id for message in answered for part in message.parts if isinstance(part, ToolResult)]
    assert found == [ids[1], ids[0], ids[2]]
    assert [message.role for message in answered] == [Role.TOOL] * 3
    assert last == Message(role=Role.USER, parts=(Text(text="go on"),))
    assert read(*contents) == read(*contents)


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "sunny"}, "sunny", False),
        ({"error": "no such city"}, "no such city", True),
        ({"error": {"code": 1}}, '{"code": 1}', True),
        ({"result": "sunny"}, '{"result": "sunny"}', False),
        ({"output": 1, "error": 2}, '{"output": 1, "error": 2}', False),
    ],
)
def test_a_result_is_its_output_or_its_error_or_the_whole_object(
    response: dict[str, Any], text: str, is_error: bool
) -> None:
    part = {"functionResponse": {"id": "c", "name": "f", "response": response}}
    (result,) = parts_of(part)
    assert result == ToolResult(call_id="c", content=(Text(text=text),), is_error=is_error, name="f")


def test_a_turn_given_back_chunk_by_chunk_becomes_one_again() -> None:
    chunks: list[dict[str, Any]] = [
        {"text": "thin", "thought": True},
        {"text": "king", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "YQ=="},
        {"text": "An"},
        {"text": "swer"},
    ]
    (message,) = read(*({"role": "model", "parts": [chunk]} for chunk in chunks)).messages
    assert message.parts == (Reasoning(text="thinking", signature="YQ==", origin="gemini"), Text(text="Answer"))


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "$"),
        (b"<html>", "$"),
        (b"\xff", "$"),
        (b"[]", "$"),
        (b"{}", "$.contents"),
        (b'{"contents":[]}', "$.contents"),
        (b'{"contents":[{"role":"robot","parts":[]}]}', "$.contents[0].role"),
        (b'{"contents":[{"parts":[{"text":1}]}]}', "$.contents[0].parts[0].text"),
        (b'{"contents":[{"parts":[{"functionResponse":{"response":1,"name":"f"}}]}]}', "$.contents[0].parts[0]"),
        (b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"topP":"x"}}', "$.generationConfig.topP"),
        (
            b'{"contents":[{"parts":[{"text":"a"}]}],"toolConfig":{"functionCallingConfig":{"mode":"MAYBE"}}}',
            "$.toolConfig.functionCallingConfig.mode",
        ),
        (b'{"contents":[{"parts":[{"functionCall":{"args":' + b"[" * 200_000, "$"),
    ],
    ids=range(12),
)
def test_a_flaw_is_named_with_its_place(body: bytes, where: str) -> None:
    with pytest.raises(Malformed) as raised:
        DIALECT.read_request(body)
    assert raised.value.flaws[0].where == where


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "contents",
                        "parts",
                        "text",
                        "role",
                        "functionCall",
                        "functionResponse",
                        "name",
                        "response",
                        "tools",
                        "functionDeclarations",
                        "parameters",
                        "generation_config",
                        "inlineData",
                        "data",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    for read_one in (DIALECT.read_head, DIALECT.read_request):
        with suppress(Malformed):
            assert read_one(body).model == ""


def test_what_passes_through_keeps_every_byte() -> None:
    body = b'{ "contents":[{"role":"model","parts":[]}] , "generation_config":{}}'
    assert DIALECT.splice(body, model="gemini-3-pro", vendor=VENDOR) is body


def test_our_own_fields_and_a_model_are_taken_out_of_what_passes_through() -> None:
    body = b'{"model":"gemini/x","contents":[ 1 ],"drop_params":true,"dropParams":true}'
    assert DIALECT.splice(body, model="x", vendor=VENDOR) == b'{"contents":[ 1 ]}'
    with pytest.raises(Malformed):
        DIALECT.splice(b"[]", model="x", vendor=VENDOR)


async def test_what_the_sdk_sends_is_understood() -> None:
    config = types.GenerateContentConfig(
        system_instruction="Be brief",
        temperature=0.5,
        max_output_tokens=9,
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW, include_thoughts=True),
        tools=[
            types.Tool(
                function_declarations=[
                    types.FunctionDeclaration(
                        name="f",
                        parameters=types.Schema(
                            type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}
                        ),
                    )
                ]
            )
        ],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    contents: Any = [
        types.Content(role="user", parts=[types.Part.from_bytes(data=b"\0\1\2\3\4\5", mime_type="image/png")]),
        types.Content(role="model", parts=[types.Part(text="x", thought_signature=b"\xff\xfe\xfd")]),
        types.Content(role="user", parts=[types.Part.from_text(text="And now?")]),
    ]
    async with served(b'{"candidates":[{"content":{"parts":[{"text":"ok"}]},"finishReason":"STOP"}]}') as it:
        await it.client.aio.models.generate_content(model="m", contents=contents, config=config)
    request = DIALECT.read_request(it.asked)
    assert request.messages[0] == Message(role=Role.SYSTEM, parts=(Text(text="Be brief"),))
    image = request.messages[1].parts[0]
    assert isinstance(image, Media)
    assert (image.kind, image.media_type) == (MediaKind.IMAGE, "image/png")
    assert isinstance(request.messages[2].parts[1], Reasoning)
    assert request.reasoning == ReasoningSettings(effort="low", summary="auto")
    assert request.tools[0].schema is not None
    assert loaded(request.tools[0].schema) == {"type": "object", "properties": {"city": {"type": "string"}}}
    assert (request.temperature, request.max_output_tokens, request.extensions) == (0.5, 9, {})


def test_a_field_that_nobody_knows_is_refused_under_the_name_the_caller_gave_it() -> None:
    read = DIALECT.read_request(json.dumps({"contents": HELLO, "max_tokens": 5, "safety_settings": []}).encode())
    assert read.extensions.keys() == {"max_tokens", "safetySettings"}
