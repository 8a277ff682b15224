"""What callers of Gemini's surface set, read into the neutral core."""

from typing import Any

import pytest

from samovar.kernel.errors import Malformed
from samovar.ports.llm import OutputFormat, ReasoningSettings, ToolChoice, ToolMode
from tests.providers.gemini.asking import loaded, read


def test_settings_of_generation_are_read_and_the_rest_is_kept() -> None:
    request = read(
        generationConfig={
            "maxOutputTokens": 10,
            "temperature": 1.5,
            "topP": 0.9,
            "topK": 40.0,
            "stopSequences": ["END"],
            "seed": 7,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.2,
            "candidateCount": 2,
            "responseLogprobs": True,
            "logprobs": 3,
            "responseModalities": ["TEXT", "IMAGE"],
        },
        safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        cachedContent="cachedContents/x",
        labels={"a": "b"},
    )
    assert (request.max_output_tokens, request.temperature, request.top_p, request.top_k) == (10, 1.5, 0.9, 40)
    assert (request.stop, request.seed, request.choices) == (("END",), 7, 2)
    assert (request.presence_penalty, request.frequency_penalty) == (0.1, 0.2)
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert request.extensions.keys() == {"generationConfig", "safetySettings", "cachedContent", "labels"}
    assert loaded(request.extensions["generationConfig"]) == {"responseModalities": ["TEXT", "IMAGE"]}


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ({"thinkingBudget": 0}, ReasoningSettings(enabled=False)),
        ({"thinkingBudget": -1}, ReasoningSettings(enabled=True)),
        (
            {"thinkingBudget": 99, "includeThoughts": True},
            ReasoningSettings(enabled=True, budget_tokens=99, summary="auto"),
        ),
        ({"thinkingLevel": "HIGH"}, ReasoningSettings(effort="high")),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, ReasoningSettings()),
    ],
)
def test_thinking_is_read(config: dict[str, Any], settings: ReasoningSettings) -> None:
    assert read(generationConfig={"thinkingConfig": config}).reasoning == settings


def test_structured_output_is_read_from_either_kind_of_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": ["integer", "null"], "minimum": 1}}, "required": ["n"]}
    own = {
        "type": "OBJECT",
        "properties": {"n": {"type": "INTEGER", "nullable": True, "minimum": 1}},
        "required": ["n"],
    }
    for name, given_schema in (("responseJsonSchema", schema), ("responseSchema", own)):
        output = read(generationConfig={"responseMimeType": "application/json", name: given_schema}).output
        assert output is not None
        assert output.kind == "json_schema"
        assert output.schema is not None
        assert loaded(output.schema) == schema
    assert read(generationConfig={"responseMimeType": "application/json"}).output == OutputFormat(kind="json_object")
    enum = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    kept = read(generationConfig=enum)
    assert kept.output is None
    assert loaded(kept.extensions["generationConfig"]) == enum


def test_a_schema_of_geminis_own_becomes_json_schema() -> None:
    own = {
        "type": "OBJECT",
        "propertyOrdering": ["b", "a"],
        "properties": {
            "a": {"type": "ARRAY", "items": {"type": "STRING", "format": "enum", "enum": ["x"]}, "minItems": "1"},
            "b": {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": True},
        },
    }
    (tool,) = read(tools=[{"functionDeclarations": [{"name": "f", "parameters": own}]}]).tools
    assert tool.schema is not None
    schema = loaded(tool.schema)
    assert list(schema["properties"]) == ["b", "a"]
    assert schema == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "string", "enum": ["x"]}, "minItems": 1},
            "b": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
        },
    }


@pytest.mark.parametrize(
    ("config", "choice", "strict", "kept"),
    [
        ({"mode": "AUTO"}, ToolChoice(mode=ToolMode.AUTO), None, False),
        ({"mode": "VALIDATED"}, ToolChoice(mode=ToolMode.AUTO), True, False),
        ({"mode": "NONE"}, ToolChoice(mode=ToolMode.NONE), None, False),
        ({"mode": "ANY"}, ToolChoice(mode=ToolMode.REQUIRED), None, False),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice(mode=ToolMode.NAMED, name="f"), None, False),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice(mode=ToolMode.REQUIRED), None, True),
        ({"mode": "AUTO", "streamFunctionCallArguments": True}, None, None, True),
    ],
)
def test_the_choice_of_tools_is_read(
    config: dict[str, Any], choice: ToolChoice | None, strict: bool | None, kept: bool
) -> None:
    request = read(tools=[{"functionDeclarations": [{"name": "f"}]}], toolConfig={"functionCallingConfig": config})
    assert (request.tool_choice, request.tools[0].strict) == (choice, strict)
    assert ("toolConfig" in request.extensions) is kept


def test_tools_that_are_no_functions_are_kept_with_the_whole_list() -> None:
    tools = [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}]}]
    request = read(tools=tools)
    assert [tool.name for tool in request.tools] == ["f"]
    assert loaded(request.extensions["tools"]) == tools


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(100):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(Malformed, match="nested more than"):
        read(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}])
