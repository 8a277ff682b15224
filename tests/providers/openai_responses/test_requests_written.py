"""Requests of callers of other dialects, written for a vendor of this one."""

import json

import msgspec
import pytest

from samovar.ports.dialect import Unsupported
from samovar.ports.llm import (
    Media,
    MediaKind,
    Message,
    ReasoningSettings,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolMode,
)
from tests.providers.openai_responses.conftest import OPENAI, XAI
from tests.providers.openai_responses.requests import DIALECT, asked, read, written


def test_another_dialects_call_is_not_kept_at_the_vendor() -> None:
    body = written(asked())
    assert body["store"] is False
    assert body["input"] == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Чай?"}]}]


def test_thinking_comes_sealed_where_thinking_is_asked_for() -> None:
    assert "include" not in written(asked())
    assert "include" not in written(asked(reasoning=ReasoningSettings(enabled=False)))
    body = written(asked(reasoning=ReasoningSettings(budget_tokens=10_000, summary="auto")))
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["reasoning"] == {"effort": "medium", "summary": "auto"}


def test_functions_are_not_made_strict_unasked() -> None:
    body = written(
        asked(tools=(Tool(name="f"),), tool_choice=ToolChoice(mode=ToolMode.NAMED, name="f"), parallel_tool_calls=True)
    )
    assert body["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
    ]
    assert body["tool_choice"] == {"type": "function", "name": "f"}


def test_what_there_is_no_setting_for_is_named_all_at_once() -> None:
    request = asked(stop=("x",), seed=1, choices=2, top_k=3, presence_penalty=1.0, frequency_penalty=1.0, logprobs=True)
    with pytest.raises(Unsupported) as raised:
        written(request)
    assert {flaw.where for flaw in raised.value.flaws} == {
        "stop",
        "seed",
        "n",
        "top_k",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
    }
    assert set(written(request, drop_params=True)) == {"model", "input", "store"}
    assert set(written(asked(choices=1, presence_penalty=0.0, logprobs=False))) == {"model", "input", "store"}


def test_another_dialects_own_fields_are_refused_and_its_hints_left_out() -> None:
    request = asked(extensions={"verbosity": msgspec.Raw(b'"low"')}, hints={"cache_key": msgspec.Raw(b"1")})
    with pytest.raises(Unsupported, match="verbosity"):
        written(request)
    assert set(written(msgspec.structs.replace(request, extensions={}))) == {"model", "input", "store"}


def test_pictures_and_files_without_a_place_are_refused() -> None:
    stored = Media(kind=MediaKind.IMAGE, file_id="file-1")
    film = Media(kind=MediaKind.VIDEO, url="https://example.org/a.mp4")
    user = Message(role=Role.USER, parts=(stored, film))
    own = Message(role=Role.ASSISTANT, parts=(Media(kind=MediaKind.IMAGE, base64="aGk=", media_type="image/png"),))
    with pytest.raises(Unsupported) as raised:
        written(asked(user, own))
    assert [flaw.where for flaw in raised.value.flaws] == [
        "messages[0].parts[0]",
        "messages[0].parts[1]",
        "messages[1].parts[0]",
    ]


def test_a_vendor_without_the_developer_role_gets_the_system_role() -> None:
    request = asked(
        Message(role=Role.DEVELOPER, parts=(Text(text="a"),)), Message(role=Role.USER, parts=(Text(text="b"),))
    )
    assert [item["role"] for item in written(request)["input"]] == ["developer", "user"]
    assert [item["role"] for item in written(request, vendor=XAI)["input"]] == ["system", "user"]
    body = b'{"model":"m","input":[{"role":"developer","content":"\\"developer\\""},{"role":"user","content":"x"}]}'
    spliced = json.loads(DIALECT.splice(body, model="m", vendor=XAI))
    assert [item["role"] for item in spliced["input"]] == ["system", "user"]
    assert json.loads(DIALECT.splice(body, model="m", vendor=OPENAI))["input"][0]["role"] == "developer"


def test_a_field_that_the_vendor_rejects_is_refused_or_dropped() -> None:
    request = read(metadata={"a": "b"})
    with pytest.raises(Unsupported, match="metadata"):
        written(request, vendor=XAI)
    assert "metadata" not in written(request, vendor=XAI, drop_params=True)
    body = b'{"model":"m","input":"x","metadata":{"a":"b"},"drop_params":true}'
    assert json.loads(DIALECT.splice(body, model="m", vendor=XAI)) == {"model": "m", "input": "x"}


def test_a_background_answer_must_be_streamed() -> None:
    with pytest.raises(Unsupported, match="background"):
        DIALECT.splice(b'{"model":"m","input":"x","background":true}', model="m", vendor=OPENAI)
    with pytest.raises(Unsupported, match="background"):
        written(read(background=True))
    body = b'{"model":"m","input":"x","background":true,"stream":true}'
    assert json.loads(DIALECT.splice(body, model="m", vendor=OPENAI))["background"] is True
