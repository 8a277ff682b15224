"""Embeddings and counts of tokens: the vendors' own SDKs through Samovar, as users run it."""

import json
import math
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import anthropic
import openai
import pytest

from tests.e2e.calling import event_of, fresh, is_error_of
from tests.e2e.conftest import Samovar
from tests.support.sockets import closed_port

NATIVE = ["sandbox/embed", "openai/text-embedding-3-small", "openai/sandbox/embed"]
TRANSLATED = ["gemini/gemini-embedding-001"]
TEXTS = ["a samovar boils water", "a samovar boils tea", "tax law of Liechtenstein"]


@pytest.fixture
def openai_client(samovar: Samovar) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{samovar.url}/v1", api_key=samovar.key, max_retries=0)


@pytest.fixture
def anthropic_client(samovar: Samovar) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=samovar.url, api_key=samovar.key, max_retries=0)


def embed(samovar: Samovar, body: Any, *, key: str | None = None) -> tuple[int, Any, dict[str, str], str]:
    """A plain call: status, body, headers, and the request's id."""
    request_id = uuid.uuid4().hex
    headers = {"Authorization": f"Bearer {key or samovar.key}", "X-Request-Id": request_id}
    status, said, found = samovar.request("POST", "/v1/embeddings", body, headers)
    return status, said, found, request_id


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


@pytest.mark.parametrize("model", NATIVE + TRANSLATED)
def test_the_openai_sdk_gets_a_vector_for_each_text(openai_client: openai.OpenAI, model: str) -> None:
    # The SDK asks for base64 where its user says nothing.
    raw = openai_client.embeddings.with_raw_response.create(model=model, input=TEXTS)
    answer = raw.parse()
    assert [item.index for item in answer.data] == [0, 1, 2]
    first, near, far = (item.embedding for item in answer.data)
    assert likeness(first, near) > likeness(first, far)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    assert raw.headers["x-samovar-model"] == model
    assert raw.headers["x-samovar-attempts"] == "1"
    cost = raw.headers["x-samovar-cost-credits"]
    assert cost == "unknown" if model == "openai/sandbox/embed" else float(cost) > 0
    assert "x-samovar-estimated" not in raw.headers


@pytest.mark.parametrize("model", NATIVE + TRANSLATED)
def test_numbers_and_base64_are_the_same_vector(openai_client: openai.OpenAI, model: str) -> None:
    def ask(form: Any) -> list[float]:
        found = openai_client.embeddings.create(model=model, input="tea", dimensions=64, encoding_format=form)
        return found.data[0].embedding

    numbers = ask("float")
    assert len(numbers) == 64
    # The raw answer holds text where base64 was asked for by name, and the SDK then leaves it as it is.
    raw = openai_client.embeddings.create(model=model, input="tea", dimensions=64)
    assert raw.data[0].embedding == pytest.approx(numbers, abs=1e-6)
    assert isinstance(ask("base64"), str)


def test_tokens_pass_to_openai_and_are_refused_by_gemini(openai_client: openai.OpenAI) -> None:
    found = openai_client.embeddings.create(model="openai/text-embedding-3-small", input=[[1, 2, 3], [4, 5]])
    assert found.usage.prompt_tokens == 5
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.embeddings.create(model=TRANSLATED[0], input=[[1, 2, 3]], extra_body={"drop_params": True})
    assert refused.value.code == "unsupported_by_provider"
    assert refused.value.param == "input[0]"


@pytest.mark.parametrize("model", [NATIVE[1], TRANSLATED[0]])
def test_one_event_says_who_what_and_how_much(samovar: Samovar, model: str) -> None:
    status, said, headers, request_id = embed(samovar, {"model": model, "input": "how much is it?"})
    assert status == 200, said
    event = event_of(samovar, request_id)
    assert event["surface"] == "openai-embeddings"
    assert event["status"] == "ok"
    assert event["input_tokens"] == said["usage"]["prompt_tokens"]
    assert event["usage_estimated"] == 0
    assert event["cost_nano_usd"] > 0
    assert event["id"] == headers["x-samovar-call-id"]


def test_a_vendor_without_embeddings_is_named(samovar: Samovar) -> None:
    for model in ("anthropic/claude-sonnet-4-5", "deepseek/deepseek-chat"):
        status, said, _, _ = embed(samovar, {"model": model, "input": "a"})
        assert status == 400
        assert is_error_of("openai", said)
        assert model.split("/")[0] in said["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"model": "sandbox/embed"}',
        b'{"model": "sandbox/embed", "input": ""}',
        b'{"model": "sandbox/embed", "input": []}',
        b'{"model": "", "input": "a"}',
        b'{"model": "sandbox/embed", "input": "a", "dimensions": 0}',
        b'{"model": "sandbox/embed", "input": "\xff"}',
        b'{"model": "gemini/gemini-embedding-001", "input": ["a", 1]}',
        b'{"model": "gemini/gemini-embedding-001", "input": ["a", ""]}',
        b'{"model": "gemini/gemini-embedding-001", "input": "a", "encoding_format": "hex"}',
        b'{"model": "gemini/gemini-embedding-001", "input": "a", "truncate": true}',
    ],
)
def test_what_cannot_be_read_is_refused_in_openais_shape(samovar: Samovar, body: bytes) -> None:
    status, said, _, _ = embed(samovar, body)
    assert status in (400, 422), said
    assert is_error_of("openai", said)


def test_a_key_may_embed_only_with_its_models(samovar: Samovar) -> None:
    status, made, _ = samovar.request("POST", "/api/keys", {"name": "narrow", "allowed_models": ["sandbox/echo"]})
    assert status == 201, made
    assert embed(samovar, {"model": "sandbox/embed", "input": "a"}, key=made["key"])[0] in (403, 404)
    assert embed(samovar, {"model": "sandbox/embed", "input": "a"}, key="sk-samovar-wrong")[0] == 401


def test_a_group_goes_on_to_its_next_member_and_the_vendors_error_is_told(samovar: Samovar) -> None:
    name = f"down{uuid.uuid4().hex[:6]}"
    provider = {"name": name, "vendor": "openai", "base_url": f"http://127.0.0.1:{closed_port()}/v1", "api_key": "sk-x"}
    status, made, _ = samovar.request("POST", "/api/providers", provider)
    assert status == 201, made
    members = {"model_ids": [f"{name}/text-embedding-3-small", TRANSLATED[0]]}
    status, made, _ = samovar.request("PUT", f"/api/groups/group-{name}", members)
    assert status in (200, 201), made
    status, said, headers, request_id = embed(samovar, {"model": f"group-{name}", "input": ["a", "b"]})
    assert status == 200, said
    assert headers["x-samovar-attempts"] == "2"
    assert headers["x-samovar-model"] == TRANSLATED[0]
    assert len(json.loads(event_of(samovar, request_id)["attempts"])) == 2
    status, said, _, _ = embed(samovar, {"model": "sandbox/embed", "input": "[[fault:429 retry_after=7]] a"})
    assert status == 429
    assert is_error_of("openai", said)


class _Plain(BaseHTTPRequestHandler):
    """A server of embeddings that says no usage, and keeps what it was asked."""

    asked: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        self.asked.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        body = b'{"object":"list", "data":[{"object":"embedding","index":0,"embedding":[1.0, 0.50]}],"model":"m","x":1}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_bytes_pass_as_they_are_and_missing_usage_is_estimated_and_marked(samovar: Samovar) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Plain)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        name = f"plain{uuid.uuid4().hex[:6]}"
        provider = {"name": name, "vendor": "vllm", "base_url": f"http://127.0.0.1:{server.server_port}/v1"}
        status, made, _ = samovar.request("POST", "/api/providers", provider)
        assert status == 201, made
        kept = '"input": "' + "x" * 40 + '" , "truncate_prompt_tokens":1.50, "encoding_format":"float"'
        sent = f'{{"model": "{name}/m", {kept}, "drop_params": false}}'
        status, said, headers, request_id = embed(samovar, sent.encode())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert status == 200, said
    assert said["x"] == 1
    assert headers["x-samovar-estimated"] == "1"
    path, got = _Plain.asked[-1]
    assert path == "/v1/embeddings"
    assert b'"truncate_prompt_tokens":1.50' in got
    assert {"model": "m", **json.loads("{" + kept + "}")} == json.loads(got)
    event = event_of(samovar, request_id)
    assert (event["usage_estimated"], event["input_tokens"]) == (1, 10)


# --- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "anthropic/sandbox/echo", "sandbox/echo"])
def test_anthropics_own_count_is_passed_on(anthropic_client: anthropic.Anthropic, model: str) -> None:
    raw = anthropic_client.messages.with_raw_response.count_tokens(
        model=model, messages=[{"role": "user", "content": "how many tokens is this?"}], system="Be brief."
    )
    assert raw.parse().input_tokens > 0
    assert "x-samovar-estimated" not in raw.headers
    assert raw.headers["x-samovar-model"] == model


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "gemini/gemini-2.5-flash"])
def test_others_are_estimated_and_marked(anthropic_client: anthropic.Anthropic, model: str) -> None:
    text: anthropic.types.TextBlockParam = {"type": "text", "text": "x" * 400}
    picture: anthropic.types.ImageBlockParam = {
        "type": "image",
        "source": {"type": "url", "url": "https://example.org/a.png"},
    }
    raw = anthropic_client.messages.with_raw_response.count_tokens(
        model=model, messages=[{"role": "user", "content": [text, picture]}]
    )
    assert raw.parse().input_tokens == 100 + 1_000
    assert raw.headers["x-samovar-estimated"] == "1"


def test_a_count_costs_nothing_and_its_errors_have_anthropics_shape(samovar: Samovar) -> None:
    request_id = uuid.uuid4().hex
    headers = {"X-Api-Key": samovar.key, "X-Request-Id": request_id}
    body: dict[str, Any] = {"model": fresh("anthropic"), "messages": [{"role": "user", "content": "hello"}]}
    status, said, _ = samovar.request("POST", "/anthropic/v1/messages/count_tokens", body, headers)
    assert status == 200, said
    event = event_of(samovar, request_id)
    assert event["surface"] == "anthropic-count-tokens"
    assert not event["cost_nano_usd"]
    for wrong in ({"model": "openai/gpt-4o-mini"}, {**body, "messages": []}, {**body, "model": "nobody/nothing"}):
        status, said, _ = samovar.request("POST", "/v1/messages/count_tokens", wrong, {"X-Api-Key": samovar.key})
        assert 400 <= status < 500
        assert is_error_of("anthropic", said)


def test_a_first_start_embeds_with_the_sandbox(bare: Samovar) -> None:
    status, said, _, _ = embed(bare, {"model": "sandbox/embed", "input": "hello"})
    assert status == 200, said
    _, models, _ = bare.request("GET", "/v1/models", headers={"Authorization": f"Bearer {bare.key}"})
    assert "sandbox/embed" in [model["id"] for model in models["data"]]
