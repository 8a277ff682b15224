"""Thinking, and that it goes back to its maker alone."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.ports.dialect import Unsupported
from samovar.ports.llm import (
    ChatRequest,
    ChatResponse,
    Message,
    Reasoning,
    Role,
    Stop,
    StopKind,
    Text,
    Usage,
)
from tests.providers.openai_responses.conftest import OPENAI, XAI
from tests.providers.openai_responses.requests import DIALECT, asked, read, written


def _thought(part: Reasoning) -> ChatRequest:
    return asked(Message(role=Role.ASSISTANT, parts=(part, Text(text="Yes."))))


def test_encrypted_reasoning_goes_back_to_its_maker_alone() -> None:
    openai = _thought(Reasoning(text="hm", encrypted="gAAAA", id="rs_1", origin="openai"))
    assert written(openai)["input"][0] == {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "gAAAA",
    }
    xai = _thought(Reasoning(encrypted="xxx", origin="xai"))
    assert written(xai, vendor=XAI)["input"][0]["encrypted_content"] == "xxx"
    with pytest.raises(Unsupported, match="only xai can read"):
        written(xai)
    assert [item["type"] for item in written(xai, drop_params=True)["input"]] == ["message"]


def test_signed_reasoning_of_others_is_left_out() -> None:
    request = _thought(Reasoning(text="hm", signature="sig", origin="anthropic"))
    assert [item["type"] for item in written(request)["input"]] == ["message"]


@given(
    part=st.builds(
        Reasoning,
        text=st.text(),
        signature=st.none() | st.text(),
        encrypted=st.none() | st.text(min_size=1),
        id=st.none() | st.text(min_size=1),
        origin=st.sampled_from(["anthropic", "gemini", "xai", "openai"]),
    )
)
def test_reasoning_travels_through_a_caller_and_keeps_its_maker(part: Reasoning) -> None:
    answer = ChatResponse(id="r", model="m", parts=(part,), stop=Stop(kind=StopKind.END), usage=Usage())
    output = json.loads(DIALECT.write_response(answer))["output"]
    [message] = read(input=output).messages
    [back] = message.parts
    assert isinstance(back, Reasoning)
    assert (back.text, back.signature, back.encrypted) == (part.text, part.signature, part.encrypted)
    if part.signature is not None or part.encrypted is not None:
        assert back.origin == part.origin
        assert part.id is None or back.id == part.id


def test_an_envelope_never_reaches_a_vendor() -> None:
    parts = (Reasoning(text="hm", encrypted="eee", id="i", origin="xai"), Text(text="Yes."))
    answer = ChatResponse(id="r", model="m", parts=parts, stop=Stop(kind=StopKind.END), usage=Usage())
    output = json.loads(DIALECT.write_response(answer))["output"]
    body = msgspec.json.encode({"model": "m", "input": output})
    with pytest.raises(Unsupported, match="encrypted by xai"):
        DIALECT.splice(body, model="m", vendor=OPENAI)
    kept = json.loads(DIALECT.splice(body, model="m", vendor=XAI))["input"]
    assert (kept[0]["encrypted_content"], kept[0]["id"]) == ("eee", "i")
    dropping = msgspec.json.encode({"model": "m", "input": output, "drop_params": True})
    dropped = json.loads(DIALECT.splice(dropping, model="m", vendor=OPENAI))["input"]
    assert [item["type"] for item in dropped] == ["message"]
