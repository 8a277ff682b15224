"""Usage is believed where it can be true, and estimated where it cannot; files that a short request names are held for."""

import json
from datetime import UTC, datetime

import pytest

from samovar.domains.gateway.model import Call
from samovar.domains.gateway.service.estimate import (
    MOST_TOKENS_A_FILE,
    may_hold_files,
    most_file_tokens,
    most_prompt_tokens,
    settled,
)
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.dialect import Head, Surface
from samovar.ports.llm import Usage
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.gemini import GeminiContent
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai_responses import OpenAIResponses

BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"tea " * 40 + b'"}]}'
CALL = Call(
    id="call_1",
    request_id="call_1",
    principal=Principal(
        id="key_1", kind=PrincipalKind.KEY, team_id="default", name="k", permissions=frozenset({"gateway:call"})
    ),
    surface=OpenAIChat(),
    head=Head(model="m"),
    body=BODY,
    started=0.0,
    started_at=datetime(2026, 11, 21, tzinfo=UTC),
)
TRUE = Usage(input_tokens=12, output_tokens=7)


def test_usage_that_can_be_true_is_believed() -> None:
    assert settled(TRUE, call=CALL, output_chars=4000, ended=True) is TRUE


def test_a_call_without_an_answer_of_tokens_is_believed() -> None:
    vectors = Usage(input_tokens=3)
    assert settled(vectors, call=CALL, output_chars=0, ended=True) is vectors


@pytest.mark.parametrize(
    "said",
    [
        None,
        Usage(),
        Usage(input_tokens=-5, output_tokens=-5),
        Usage(input_tokens=10**15, output_tokens=1),
        Usage(input_tokens=1, output_tokens=10**400),
    ],
)
def test_usage_that_says_nothing_or_nonsense_is_estimated(said: Usage | None) -> None:
    usage = settled(said, call=CALL, output_chars=400, ended=True)
    assert usage.estimated
    assert (usage.input_tokens, usage.output_tokens) == (40, 100)


def test_an_answer_that_is_said_to_have_cost_no_token_is_estimated() -> None:
    usage = settled(Usage(input_tokens=12), call=CALL, output_chars=400, ended=True)
    assert (usage.estimated, usage.input_tokens, usage.output_tokens) == (True, 12, 100)


def test_money_is_held_for_the_larger_of_two_bounds() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_completion_tokens":1,"max_tokens":900}'
    assert OpenAIChat().read_head(body).max_output_tokens == 900


PLACE = "https://things.example.org/1"
PICTURE = {"type": "image", "source": {"type": "url", "url": PLACE}}
FILM = {"fileData": {"fileUri": PLACE, "mimeType": "video/mp4"}}
SCREEN: dict[str, object] = {
    "type": "computer_call_output",
    "call_id": "c",
    "output": {"type": "computer_screenshot", "image_url": PLACE},
}
NAMING: dict[str, tuple[Surface, str, dict[str, object]]] = {
    "a film": (OpenAIChat(), "messages", {"content": [{"type": "video_url", "video_url": {"url": PLACE}}]}),
    "a picture with a field of its own": (AnthropicMessages(), "messages", {"content": [{**PICTURE, "fidelity": 1}]}),
    "a film with a field of its own": (GeminiContent(), "contents", {"parts": [{**FILM, "videoMetadata": {"fps": 5}}]}),
    "a picture in an item of its own": (OpenAIResponses(), "input", SCREEN),
}


@pytest.mark.parametrize(
    "said",
    [
        b'{"input":[{"type":"input_image","image_url":"x"}]}',
        b'{"input":[{"type":"input_file","file_id":"x"}]}',
        b'{"messages":[{"content":[{"type":"\\u0069mage","source":{}}]}]}',
        b'{"messages":[{"content":[{"type":"im\\u0061ge","source":{}}]}]}',
        b'{"contents":[{"parts":[{"inline_data":{}}]}]}',
        b'{"messages":[{"content":[{"type":"document","source":{}}]}]}',
    ],
)
def test_a_file_is_seen_under_each_of_its_names(said: bytes) -> None:
    assert may_hold_files(said)


@pytest.mark.parametrize("what", NAMING)
def test_whatever_names_a_file_counts_as_one(what: str) -> None:
    surface, field, said = NAMING[what]
    body = json.dumps({"model": "m", "max_tokens": 9, field: [{"role": "user", **said}]}).encode()
    assert may_hold_files(body)
    request = surface.read_request(body)
    assert most_file_tokens(request) == MOST_TOKENS_A_FILE
    assert most_prompt_tokens(request) >= MOST_TOKENS_A_FILE


def test_what_names_no_file_counts_as_none() -> None:
    assert not may_hold_files(BODY)
    tool = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    body = json.dumps({"model": "m", "input": [{"role": "user", "content": "x"}, tool]}).encode()
    assert most_file_tokens(OpenAIResponses().read_request(body)) == 0
