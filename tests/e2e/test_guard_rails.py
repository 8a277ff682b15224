"""Guard rails of a key on every surface, whole and streamed, against vendors of the same and of another language."""

import json
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.calling import event_of
from tests.e2e.conftest import Samovar

RULES = [
    {"name": "project", "pattern": r"(?i)top\s+secret", "on": "output", "action": "redact", "replacement": "<gone>"},
    {"name": "no weapons", "pattern": r"death\s+ray", "on": "output", "action": "block"},
    {"name": "keys", "pattern": r"sk-[a-z]{8}", "on": "input", "action": "redact"},
    {"name": "no names", "pattern": r"Voldemort", "on": "input", "action": "block"},
]
VENDORS = ["openai", "anthropic", "gemini", "xai", "deepseek"]
SURFACES = ["chat", "responses", "messages", "gemini"]


@dataclass
class Said:
    """What the caller got."""

    status: int
    raw: str
    events: list[Any]
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """The words of the answer, streamed or whole, in whatever surface."""
        return "".join(_words(event) for event in self.events)


def _words(event: Any) -> str:
    if event.get("type") == "response.output_text.delta":
        return str(event["delta"])
    if str(event.get("type", "")).startswith("response."):
        return ""
    out = []
    for choice in event.get("choices") or ():
        out.append((choice.get("message") or choice.get("delta")).get("content") or "")
    for candidate in event.get("candidates") or ():
        out += [part.get("text", "") for part in candidate.get("content", {}).get("parts", ())]
    if event.get("type") == "content_block_delta":
        out.append(event["delta"].get("text", ""))
    blocks = event.get("content") or ()
    blocks = [*blocks, *(inner for item in event.get("output") or () for inner in item.get("content") or ())]
    out += [block.get("text", "") for block in blocks if isinstance(block, dict)]
    return "".join(out)


def key_with(samovar: Samovar, **fields: Any) -> str:
    status, made, _ = samovar.request("POST", "/api/keys", {"name": "guarded", **fields})
    assert status == 201, made
    return str(made["key"])


@pytest.fixture(scope="module")
def ruled(samovar: Samovar) -> str:
    """A key with rules on both sides."""
    return key_with(samovar, guard={"rules": RULES})


def ask(samovar: Samovar, key: str, surface: str, text: str, *, model: str, stream: bool = False, **more: Any) -> Said:
    body: dict[str, Any]
    if surface == "gemini":
        action = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path, body = (
            f"/gemini/v1beta/models/{model}:{action}",
            {"contents": [{"role": "user", "parts": [{"text": text}]}]},
        )
    elif surface == "responses":
        path, body = "/v1/responses", {"model": model, "input": text, "stream": stream}
    else:
        path = "/v1/chat/completions" if surface == "chat" else "/v1/messages"
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
        if surface == "messages":
            body["max_tokens"] = 3000
    sent = {"Authorization": f"Bearer {key}", "X-Request-Id": uuid.uuid4().hex}
    status, said, headers = samovar.request("POST", path, {**body, **more}, sent)
    if isinstance(said, str):
        lines = [line[6:] for line in said.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]
        return Said(status, said, [json.loads(line) for line in lines], headers)
    return Said(status, json.dumps(said), [said], headers)


def fresh(vendor: str) -> str:
    prefix = {"anthropic": "claude", "gemini": "gemini", "xai": "grok", "deepseek": "deepseek"}.get(vendor, "gpt")
    return f"{vendor}/{prefix}-{uuid.uuid4().hex[:10]}"


LONG = "one two three four five " * 60


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_find_is_redacted_in_the_answer_wherever_it_is_cut(
    samovar: Samovar, ruled: str, surface: str, vendor: str, stream: bool
) -> None:
    said = ask(samovar, ruled, surface, f"it is TOP  secret, {LONG}top secret too", model=fresh(vendor), stream=stream)
    assert said.status == 200, said.raw
    assert said.text.count("<gone>") == 2, said.raw
    assert "it is <gone>, one two" in said.text
    assert said.text.endswith("<gone> too")
    assert "secret" not in said.raw.lower()


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_blocked_answer_is_an_error_and_still_counts(samovar: Samovar, ruled: str, surface: str, vendor: str) -> None:
    said = ask(samovar, ruled, surface, "build a death ray", model=fresh(vendor))
    assert said.status == 422, said.raw
    assert "no weapons" in said.raw
    assert "death" not in said.raw
    event = event_of(samovar, said.headers["x-request-id"])
    assert (event["error_code"], event["status"]) == ("guard_blocked", "error")
    assert event["input_tokens"] > 0
    assert event["output_tokens"] > 0


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_blocked_stream_ends_in_the_surfaces_error_event(
    samovar: Samovar, ruled: str, surface: str, vendor: str
) -> None:
    # Slowly, so that the first words are out before the last are in.
    asked = f"[[delay_ms:3]] {LONG}a death ray and more"
    said = ask(samovar, ruled, surface, asked, model=fresh(vendor), stream=True)
    assert said.status == 200, said.raw
    assert "no weapons" in said.raw
    assert "death" not in said.raw
    assert "one two three" in said.text
    assert "ray" not in said.text
    failed = [event for event in said.events if "error" in event or event.get("type") in ("error", "response.failed")]
    assert failed, said.raw
    event = event_of(samovar, said.headers["x-request-id"])
    assert (event["error_code"], event["status"]) == ("guard_blocked", "broken")
    assert event["output_tokens"] > 0


@pytest.mark.parametrize("surface", SURFACES)
def test_a_stream_blocked_before_its_first_words_is_a_plain_error_and_counts(
    samovar: Samovar, ruled: str, surface: str
) -> None:
    said = ask(samovar, ruled, surface, "a death ray", model=fresh("openai"), stream=True)
    assert said.status == 422, said.raw
    event = event_of(samovar, said.headers["x-request-id"])
    assert (event["error_code"], event["status"]) == ("guard_blocked", "error")
    assert event["output_tokens"] > 0


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("surface", SURFACES)
def test_what_is_sent_is_ruled_before_it_goes_out(samovar: Samovar, ruled: str, surface: str, vendor: str) -> None:
    said = ask(samovar, ruled, surface, "my key is sk-abcdefgh, ok", model=fresh(vendor))
    assert said.status == 200, said.raw
    assert said.text.endswith("my key is [redacted], ok")
    refused = ask(samovar, ruled, surface, "call Voldemort", model=fresh(vendor))
    assert refused.status == 400, refused.raw
    assert "no names" in refused.raw
    assert "Voldemort" not in refused.raw


def test_a_key_with_rules_over_input_alone_lets_bytes_pass_where_nothing_is_found(samovar: Samovar) -> None:
    key = key_with(samovar, guard={"rules": RULES[2:]})
    for text, native in (("hello", 1), ("sk-abcdefgh", 0)):
        said = ask(samovar, key, "chat", text, model=fresh("openai"))
        assert said.status == 200, said.raw
        assert event_of(samovar, said.headers["x-request-id"])["native"] == native


@pytest.mark.parametrize("surface", SURFACES)
def test_more_tokens_than_the_key_may_ask_for_are_refused(samovar: Samovar, surface: str) -> None:
    key = key_with(samovar, guard={"max_output_tokens": 16})
    field: dict[str, Any] = {
        "chat": {"max_tokens": 17},
        "responses": {"max_output_tokens": 17},
        "messages": {"max_tokens": 17},
        "gemini": {"generationConfig": {"maxOutputTokens": 17}},
    }[surface]
    said = ask(samovar, key, surface, "hello", model=fresh("openai"), **field)
    assert said.status == 400, said.raw
    assert "16" in said.raw
    allowed = json.loads(json.dumps(field).replace("17", "16"))
    assert ask(samovar, key, surface, "hello", model=fresh("openai"), **allowed).status == 200


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("surface", ["chat", "responses", "gemini"])
def test_a_call_that_names_no_bound_gets_the_keys(samovar: Samovar, surface: str, vendor: str) -> None:
    key = key_with(samovar, guard={"max_output_tokens": 20})
    said = ask(samovar, key, surface, LONG, model=fresh(vendor))
    assert said.status == 200, said.raw
    assert event_of(samovar, said.headers["x-request-id"])["output_tokens"] <= 20
    assert 0 < len(said.text) < len(LONG) / 2


def test_answers_side_by_side_share_the_bound(samovar: Samovar) -> None:
    key = key_with(samovar, guard={"max_output_tokens": 30})
    said = ask(samovar, key, "chat", "hello", model=fresh("openai"), n=2, max_completion_tokens=16)
    assert said.status == 400, said.raw


def test_more_input_than_the_key_may_send_is_refused(samovar: Samovar) -> None:
    key = key_with(samovar, guard={"max_input_tokens": 50})
    assert ask(samovar, key, "chat", "hello", model=fresh("openai")).status == 200
    said = ask(samovar, key, "chat", LONG, model=fresh("openai"))
    assert said.status == 400
    assert said.events[0]["error"]["code"] == "beyond_key_limit"


@pytest.mark.parametrize("model", ["gemini/gemini-embedding-001", "openai/text-embedding-3-small"])
def test_embeddings_in_google_s_words_are_ruled_down_to_their_titles(samovar: Samovar, ruled: str, model: str) -> None:
    path = f"/gemini/v1/models/{model}:embedContent"
    headers = {"Authorization": f"Bearer {ruled}"}

    def ask(words: str, **fields: str) -> tuple[int, Any]:
        body = {"content": {"parts": [{"text": words}]}, "drop_params": True, **fields}
        return samovar.request("POST", path, body, headers)[:2]

    status, said = ask("tea")
    assert status == 200, said
    assert len(said["embedding"]["values"]) > 100
    for status, said in (ask("the Voldemort"), ask("tea", title="the Voldemort")):
        assert (status, said["error"]["status"]) == (400, "INVALID_ARGUMENT"), said


def test_embeddings_are_ruled_and_tokens_are_refused(samovar: Samovar, ruled: str) -> None:
    def embed(model: str, what: Any) -> tuple[int, Any, dict[str, str]]:
        headers = {"Authorization": f"Bearer {ruled}"}
        return samovar.request("POST", "/v1/embeddings", {"model": model, "input": what}, headers)

    for model in ("openai/text-embedding-3-small", "gemini/gemini-embedding-001"):
        status, clean, _ = embed(model, "a [redacted] b")
        assert status == 200, clean
        assert embed(model, "a sk-abcdefgh b")[1]["data"][0]["embedding"] == clean["data"][0]["embedding"]
        status, refused, _ = embed(model, ["fine", "Voldemort"])
        assert (status, refused["error"]["code"]) == (400, "guard_blocked")
    status, refused, _ = embed("openai/text-embedding-3-small", [1, 2, 3])
    assert status == 400, refused


def test_tokens_are_counted_of_what_would_go_out(samovar: Samovar, ruled: str) -> None:
    def count(text: str) -> tuple[int, Any, dict[str, str]]:
        body = {"model": fresh("anthropic"), "messages": [{"role": "user", "content": text}]}
        return samovar.request("POST", "/v1/messages/count_tokens", body, {"Authorization": f"Bearer {ruled}"})

    status, said, headers = count("hello")
    assert (status, headers.get("x-samovar-estimated")) == (200, None), said
    status, said, headers = count("sk-abcdefgh")
    assert (status, headers.get("x-samovar-estimated")) == (200, "1"), said
    assert count("Voldemort")[0] == 400


def test_arguments_of_tools_are_ruled_and_stay_json(samovar: Samovar, ruled: str) -> None:
    tool = {"name": "look", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
    for stream in (False, True):
        said = ask(
            samovar,
            ruled,
            "chat",
            'call look {"q": "the top secret"}',
            model=fresh("openai"),
            stream=stream,
            tools=[{"type": "function", "function": tool}],
            tool_choice="required",
        )
        assert said.status == 200, said.raw
        assert "secret" not in said.raw


def test_answers_that_cannot_be_ruled_are_refused_unless_dropped(samovar: Samovar, ruled: str) -> None:
    said = ask(samovar, ruled, "chat", "hello", model=fresh("openai"), logprobs=True)
    assert said.status == 400
    assert "logprobs" in said.raw
    assert ask(samovar, ruled, "chat", "hello", model=fresh("openai"), logprobs=True, drop_params=True).status == 200


def test_a_key_may_drop_what_a_provider_cannot_take_and_a_call_may_say_otherwise(samovar: Samovar) -> None:
    key = key_with(samovar, drop_params=True)
    for given, status in (({}, 200), ({"drop_params": False}, 400), ({"drop_params": True}, 200)):
        said = ask(samovar, key, "chat", "hello", model=fresh("anthropic"), seed=1, **given)
        assert said.status == status, said.raw
    assert ask(samovar, samovar.key, "chat", "hello", model=fresh("anthropic"), seed=1).status == 400


def test_what_guards_did_is_counted(samovar: Samovar, ruled: str) -> None:
    ask(samovar, ruled, "chat", "top secret", model=fresh("openai"))
    ask(samovar, ruled, "chat", "Voldemort", model=fresh("openai"))
    sent = {"X-Admin-Token": "admin-token-of-the-tests"}
    with urllib.request.urlopen(urllib.request.Request(f"{samovar.url}/metrics", headers=sent), timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    for action, direction in (("redact", "output"), ("block", "input")):
        assert f'samovar_guard_actions_total{{action="{action}",direction="{direction}"}}' in text


@pytest.mark.parametrize("surface", ["chat", "messages"])
def test_a_key_for_some_models_cannot_ask_for_others_as_fallbacks(samovar: Samovar, surface: str) -> None:
    field, vendor, names = {
        "chat": ("models", "openrouter", ("openai/gpt-4o", "openai/gpt-5", "openai/o1-pro")),
        "messages": ("fallbacks", "anthropic", ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1")),
    }[surface]
    key = key_with(samovar, allowed_models=[f"{vendor}/{name}" for name in names[:2]])

    def asked(key: str, *others: str, **more: Any) -> Said:
        listed = list(others) if surface == "chat" else [{"model": name} for name in others]
        return ask(samovar, key, surface, "hi", model=f"{vendor}/{names[0]}", **{field: listed}, **more)

    refused = asked(key, *names[1:])
    assert refused.status == 403, refused.raw
    assert f"{vendor}/{names[2]}" in refused.raw
    for unclear in ({"route": "fallback"}, {"preset": "mine"}):
        refused = asked(key, **unclear)
        assert (refused.status, next(iter(unclear)) in refused.raw) == (400, True), refused.raw
    assert asked(key, names[1]).status == 200
    assert asked(samovar.key, names[2]).status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("surface", ["chat", "gemini"])
def test_a_conversation_goes_on_after_a_call_of_geminis_was_redacted(
    samovar: Samovar, surface: str, stream: bool
) -> None:
    rule = {"name": "r", "pattern": "look", "on": "output", "action": "redact"}
    key = key_with(samovar, guard={"rules": [rule]})
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    asked = 'call look {"q": "look there"}'
    if surface == "gemini":
        tools: list[Any] = [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": schema}]}]
    else:
        tools = [{"type": "function", "function": {"name": "look", "parameters": schema}}]
    model = "gemini/gemini-3-pro-preview"
    said = ask(samovar, key, surface, asked, model=model, stream=stream, tools=tools)
    assert said.status == 200, said.raw
    assert "[redacted]" in said.raw
    assert "ignature" not in said.raw
    if surface == "gemini":
        parts = [part for event in said.events for part in event["candidates"][0]["content"]["parts"]]
        call = next(part for part in parts if "functionCall" in part)
        turn = [{"role": "user", "parts": [{"text": asked}]}, {"role": "model", "parts": [call]}]
        result = {"functionResponse": {"name": "look", "response": {"output": "ok"}}}
        history: dict[str, Any] = {"contents": [*turn, {"role": "user", "parts": [result]}]}
    else:
        call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"q": "[redacted] there"}'}}
        turn = [{"role": "user", "content": asked}, {"role": "assistant", "tool_calls": [call]}]
        history = {"messages": [*turn, {"role": "tool", "tool_call_id": "c", "content": "ok"}]}
    went_on = ask(samovar, key, surface, "", model=model, tools=tools, **history)
    assert went_on.status == 200, went_on.raw
