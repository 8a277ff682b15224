"""Neutral requests, written for Gemini."""

import base64
import json
from typing import Any

import msgspec
import pytest
from google.genai import types
from msgspec import Raw

from samovar.ports.dialect import Unsupported
from samovar.ports.llm import (
    CacheMark,
    ChatRequest,
    Media,
    MediaKind,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningSettings,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from samovar.providers.gemini import GeminiContent
from tests.providers.gemini.conftest import VENDOR

DIALECT = GeminiContent()
SCHEMA = Raw(b'{"$defs":{"n":{"type":"integer"}},"type":"object","properties":{"n":{"$ref":"#/$defs/n"}}}')
HELLO = Message(role=Role.USER, parts=(Text(text="Hi"),))


def say(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def written(*messages: Message, drop: bool = False, model: str = "gemini-3-pro", **fields: Any) -> dict[str, Any]:
    """The body, whose parts and settings fit the SDK's types."""
    request = ChatRequest(model=model, messages=messages or (HELLO,), **fields)
    body: dict[str, Any] = json.loads(DIALECT.write_request(request, vendor=VENDOR, drop_params=drop))
    for content in body["contents"]:
        types.Content.model_validate(content)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    return body


def refused(*messages: Message, **fields: Any) -> list[str]:
    """The places of what cannot be said."""
    with pytest.raises(Unsupported) as raised:
        written(*messages, **fields)
    return [flaw.where for flaw in raised.value.flaws]


def parts(*given: Part, role: Role = Role.USER, **fields: Any) -> list[dict[str, Any]]:
    body = written(say(role, *given), **fields)
    found: list[dict[str, Any]] = body["contents"][0]["parts"]
    return found


def test_neither_model_nor_stream_stand_in_the_body() -> None:
    assert written(stream=True) == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


def test_system_messages_at_the_head_are_the_instruction() -> None:
    body = written(say(Role.SYSTEM, Text(text="a", cache=CacheMark())), say(Role.DEVELOPER, Text(text="b")), HELLO)
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert len(body["contents"]) == 1


def test_a_later_system_message_is_refused_and_moved_rather_than_dropped() -> None:
    late = (HELLO, say(Role.SYSTEM, Text(text="Be brief")))
    assert refused(*late) == ["messages[1]"]
    assert written(*late, drop=True)["systemInstruction"] == {"parts": [{"text": "Be brief"}]}


def test_nothing_but_system_messages_is_refused() -> None:
    assert refused(say(Role.SYSTEM, Text(text="a"))) == ["messages"]


def test_calls_and_results_of_another_vendor_are_one_turn_each_with_their_names() -> None:
    body = written(
        HELLO,
        say(
            Role.ASSISTANT,
            Text(text="Let me see."),
            ToolCall(id="call_1", name="f", arguments='{"a": 1}'),
            ToolCall(id="call_2", name="g", arguments='{"broken'),
        ),
        say(Role.TOOL, ToolResult(call_id="call_1", content=(Text(text="sunny"),))),
        say(Role.TOOL, ToolResult(call_id="call_2", content=(Text(text='{"n": 1}'),), is_error=True)),
        say(Role.USER, Text(text="So?")),
    )
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Let me see."},
                {
                    "functionCall": {"name": "f", "args": {"a": 1}, "id": "call_1"},
                    "thoughtSignature": "skip_thought_signature_validator",
                },
                {"functionCall": {"name": "g", "args": {"INVALID_JSON": '{"broken'}, "id": "call_2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "sunny"}, "id": "call_1"}},
                {"functionResponse": {"name": "g", "response": {"error": {"n": 1}}, "id": "call_2"}},
            ],
        },
        {"role": "user", "parts": [{"text": "So?"}]},
    ]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "models/gemini-2.5-pro", "gemini-3-pro-preview", "my-own"])
def test_models_that_think_get_google_s_stand_in_for_a_signature(model: str) -> None:
    call = ToolCall(id="call_1", name="f", arguments="")
    (part,) = parts(call, role=Role.ASSISTANT, model=model)
    assert part["thoughtSignature"] == "skip_thought_signature_validator"


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemini-1.5-pro", "models/gemini-pro"])
def test_older_models_need_no_excuse_for_a_call_without_a_signature(model: str) -> None:
    call = ToolCall(id="call_1", name="f", arguments="")
    (part,) = parts(call, role=Role.ASSISTANT, model=model)
    assert part == {"functionCall": {"name": "f", "args": {}, "id": "call_1"}}


def test_a_signed_call_goes_back_with_its_signature_and_without_an_id_that_we_made_up() -> None:
    answer = DIALECT.read_response(
        b'{"responseId":"r","candidates":[{"finishReason":"STOP","content":{"parts":['
        b'{"functionCall":{"name":"f","args":{}},"thoughtSignature":"c2ln"}]}}]}',
        vendor=VENDOR,
    )
    (call,) = answer.parts
    assert isinstance(call, ToolCall)
    body = written(HELLO, say(Role.ASSISTANT, call), say(Role.TOOL, ToolResult(call_id=call.id, content=())))
    assert body["contents"][1]["parts"] == [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]
    assert body["contents"][2]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": ""}}}]


def test_a_result_of_no_known_call_is_refused() -> None:
    assert refused(say(Role.TOOL, ToolResult(call_id="x", content=()))) == ["messages[0].content[0]"]


def test_an_image_in_a_result_stands_beside_its_words() -> None:
    image = Media(kind=MediaKind.IMAGE, base64="AAAA", media_type="image/png")
    (part,) = parts(ToolResult(call_id="x", name="f", content=(Text(text="see"), image)), role=Role.TOOL)
    assert part["functionResponse"]["response"] == {"output": "see"}
    assert part["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]


def test_media_are_inline_or_by_address() -> None:
    assert parts(
        Media(kind=MediaKind.FILE, base64="AAAA", media_type="application/pdf", filename="a.pdf"),
        Media(kind=MediaKind.IMAGE, url="https://example.org/a.jpg", detail="high"),
        Media(kind=MediaKind.VIDEO, url="https://youtu.be/x"),
    ) == [
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA", "displayName": "a.pdf"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.org/a.jpg"}},
        {"fileData": {"fileUri": "https://youtu.be/x"}},
    ]


@pytest.mark.parametrize(
    "media",
    [
        Media(kind=MediaKind.FILE, file_id="file-123"),
        Media(kind=MediaKind.IMAGE, base64="AAAA"),
        Media(kind=MediaKind.IMAGE),
    ],
)
def test_media_that_gemini_cannot_find_are_refused(media: Media) -> None:
    assert refused(say(Role.USER, Text(text="x"), media)) == ["messages[0].content[1]"]


def test_only_geminis_own_thinking_goes_back_and_beside_the_words_it_signs() -> None:
    assert parts(
        Reasoning(text="of another", signature="s", origin="anthropic"),
        Reasoning(text="summary"),
        Reasoning(text="own", signature="YQ==", origin="gemini"),
        Text(text="Answer"),
        Reasoning(signature="Yg==", origin="gemini"),
        role=Role.ASSISTANT,
    ) == [
        {"text": "own", "thought": True, "thoughtSignature": "YQ=="},
        {"text": "Answer", "thoughtSignature": "Yg=="},
    ]


def test_another_dialects_parts_and_settings_are_refused_by_name() -> None:
    foreign = say(Role.ASSISTANT, Text(text="x"), Opaque(dialect="anthropic-messages", raw=Raw(b"{}")))
    assert refused(
        foreign,
        dialect="anthropic-messages",
        extensions={"container": Raw(b"1")},
        choices=2,
        logprobs=True,
        metadata=Raw(b"{}"),
        service_tier="turbo",
        parallel_tool_calls=False,
        tools=(Tool(name="f"),),
    ) == [
        "messages[0].content[1]",
        "parallel_tool_calls",
        "n",
        "logprobs",
        "metadata",
        "service_tier",
        "container",
    ]
    assert written(foreign, extensions={"container": Raw(b"1")}, choices=2, drop=True)["contents"] == [
        {"role": "model", "parts": [{"text": "x"}]}
    ]


def test_tools_keep_their_json_schema_as_it_is() -> None:
    body = written(tools=(Tool(name="f", description="d", schema=SCHEMA), Tool(name="g")))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": json.loads(bytes(SCHEMA))},
                {"name": "g"},
            ]
        }
    ]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "strict", "config"),
    [
        (ToolChoice(mode=ToolMode.AUTO), None, {"mode": "AUTO"}),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice(mode=ToolMode.NONE), True, {"mode": "NONE"}),
        (ToolChoice(mode=ToolMode.REQUIRED), None, {"mode": "ANY"}),
        (ToolChoice(mode=ToolMode.NAMED, name="f"), True, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_the_choice_of_tools_is_written(choice: ToolChoice | None, strict: bool | None, config: dict[str, Any]) -> None:
    body = written(tools=(Tool(name="f", strict=strict),), tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": config}


def test_settings_are_written_under_geminis_names() -> None:
    body = written(
        max_output_tokens=10,
        temperature=2.0,
        top_p=0.9,
        top_k=40,
        stop=("END",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        output=OutputFormat(kind="json_schema", name="x", schema=SCHEMA, strict=True),
        service_tier="default",
        user="u1",
    )
    assert body["generationConfig"] == {
        "maxOutputTokens": 10,
        "temperature": 2.0,
        "topP": 0.9,
        "topK": 40,
        "stopSequences": ["END"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseMimeType": "application/json",
        "responseJsonSchema": json.loads(bytes(SCHEMA)),
    }
    assert body.keys() == {"contents", "generationConfig", "serviceTier"}
    assert body["serviceTier"] == "standard"


@pytest.mark.parametrize(
    ("model", "settings", "config"),
    [
        ("gemini-3-pro", ReasoningSettings(effort="minimal"), {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro", ReasoningSettings(effort="high", summary="auto"), {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3-pro", ReasoningSettings(enabled=True, budget_tokens=2048), {"thinkingBudget": 2048, "includeThoughts": True}),
        ("gemini-3-pro", ReasoningSettings(enabled=True, summary="omitted"), None),
        ("gemini-2.5-flash", ReasoningSettings(effort="medium"), {"thinkingBudget": 8192}),
        ("gemini-2.5-flash", ReasoningSettings(effort="none"), {"thinkingBudget": 0}),
        ("gemini-2.5-flash", ReasoningSettings(enabled=True, summary="omitted"), {"thinkingBudget": -1}),
    ],
)  # fmt: skip
def test_thinking_is_asked_for_in_the_models_own_way(
    model: str, settings: ReasoningSettings, config: dict[str, Any] | None
) -> None:
    assert written(model=model, reasoning=settings).get("generationConfig", {}).get("thinkingConfig") == config


def test_thinking_that_cannot_be_switched_off_or_named_is_refused() -> None:
    assert refused(reasoning=ReasoningSettings(enabled=False)) == ["reasoning"]
    assert refused(reasoning=ReasoningSettings(effort="very")) == ["reasoning.effort"]


FULL: dict[str, Any] = {
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "Look"},
                {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"png").decode()}},
                {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://bucket/a.mp4"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True, "thoughtSignature": "YQ=="},
                {"executableCode": {"language": "PYTHON", "code": "1"}},
                {"text": "So", "thoughtSignature": "Yg=="},
                {"functionCall": {"id": "c1", "name": "f", "args": {"a": [1]}}, "thoughtSignature": "Yw=="},
                {"functionCall": {"name": "f", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "x"}}},
                {"functionResponse": {"name": "f", "response": {"any": {"thing": 1}}}},
            ],
        },
    ],
    "systemInstruction": {"parts": [{"text": "Be brief"}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "maxOutputTokens": 5,
        "candidateCount": 1,
        "responseLogprobs": True,
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "speechConfig": {"languageCode": "ru"},
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
    "cachedContent": "cachedContents/1",
}


def test_a_request_of_this_dialect_read_and_written_is_the_same() -> None:
    request = DIALECT.read_request(json.dumps(FULL).encode())
    request = msgspec.structs.replace(request, model="gemini-3-pro")
    assert json.loads(DIALECT.write_request(request, vendor=VENDOR, drop_params=False)) == FULL


def test_tools_and_choices_that_were_kept_are_written_as_they_were() -> None:
    kept = {
        "contents": FULL["contents"][:1],
        "tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}},
    }
    request = DIALECT.read_request(json.dumps(kept).encode())
    assert json.loads(DIALECT.write_request(request, vendor=VENDOR, drop_params=False)) == kept
