"""The accents of OpenAI's format, through the real openai SDK and on a bare socket."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import openai as sdk
import pytest
from openai import AsyncOpenAI

from samovar.providers.sandbox import Address
from tests.providers.sandbox.conftest import KEY, Wire, chat_body, post

BASES = {
    "xai": "/xai/v1",
    "openrouter": "/openrouter/api/v1",
    "bigmodel": "/bigmodel/api/paas/v4",
    "deepseek": "/deepseek/v1",
}
ASKED: list[Any] = [{"role": "user", "content": "[[cached:2]] why"}]
Flavoured = Callable[[str], AsyncOpenAI]


@pytest.fixture
def flavoured(address: Address) -> Flavoured:
    return lambda base: AsyncOpenAI(base_url=f"{address.url}{base}", api_key=KEY, max_retries=0, timeout=10)


@asynccontextmanager
async def speaking(flavoured: Flavoured, name: str) -> AsyncIterator[AsyncOpenAI]:
    async with flavoured(BASES[name]) as client:
        yield client


async def whole_and_streamed(client: AsyncOpenAI) -> tuple[Any, list[Any]]:
    whole = await client.chat.completions.create(model="sandbox/reason", messages=ASKED)
    stream = await client.chat.completions.create(model="sandbox/reason", messages=ASKED, stream=True)
    return whole.model_dump(), [chunk.model_dump() async for chunk in stream]


@pytest.mark.parametrize("name", BASES)
async def test_usage_comes_unasked_and_once_and_is_that_of_the_whole_answer(flavoured: Flavoured, name: str) -> None:
    async with speaking(flavoured, name) as client:
        whole, chunks = await whole_and_streamed(client)
    said = [chunk["usage"] for chunk in chunks if chunk["usage"]]
    assert len(said) == 1
    assert chunks[-1]["usage"] == said[0]
    known = {field: value for field, value in said[0].items() if value is not None}
    assert known == {field: value for field, value in whole["usage"].items() if value is not None}
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == whole["choices"][0]["message"]["content"]


async def test_openai_itself_says_no_usage_unasked(flavoured: Flavoured) -> None:
    async with flavoured("/v1") as client:
        _, chunks = await whole_and_streamed(client)
    assert not [chunk for chunk in chunks if chunk["usage"]]


async def test_xai_counts_reasoning_beside_the_completion_and_says_the_cost(flavoured: Flavoured) -> None:
    async with speaking(flavoured, "xai") as client:
        whole, _ = await whole_and_streamed(client)
    usage = whole["usage"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert reasoning > usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] + reasoning
    assert usage["cost_in_usd_ticks"] == 10_000 * (
        usage["prompt_tokens"] + 2 * (usage["completion_tokens"] + reasoning)
    )


async def test_xai_counts_reasoning_within_the_output_of_responses(flavoured: Flavoured) -> None:
    async with speaking(flavoured, "xai") as client:
        answer = await client.responses.create(model="sandbox/reason", input="why")
    assert answer.usage is not None
    usage = answer.usage.model_dump()
    assert usage["output_tokens"] > usage["output_tokens_details"]["reasoning_tokens"] > 0
    assert usage["cost_in_usd_ticks"] == 10_000 * (usage["input_tokens"] + 2 * usage["output_tokens"])


async def test_openrouter_says_the_cost_and_its_reasoning_under_its_own_name(flavoured: Flavoured) -> None:
    async with speaking(flavoured, "openrouter") as client:
        whole, chunks = await whole_and_streamed(client)
    usage = whole["usage"]
    assert usage["cost"] == pytest.approx(1e-6 * usage["prompt_tokens"] + 2e-6 * usage["completion_tokens"])
    message = whole["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_details"][0]["text"]
    assert "reasoning_content" not in message
    streamed = "".join(choice["delta"].get("reasoning") or "" for chunk in chunks for choice in chunk["choices"])
    assert streamed == message["reasoning"]


async def test_openrouter_begins_with_a_comment(wire: Wire) -> None:
    await wire.send(post("/openrouter/v1/chat/completions", chat_body(stream=True)))
    assert (await wire.answer())[2].startswith(b": OPENROUTER PROCESSING\n\ndata: {")


async def test_openrouter_hides_an_error_behind_a_200(wire: Wire) -> None:
    await wire.send(post("/openrouter/v1/chat/completions", chat_body("[[fault:error_200]]")))
    status, _, body = await wire.answer()
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (200, 500)


async def test_openrouter_ends_a_failed_stream_with_a_finish_reason(wire: Wire) -> None:
    await wire.send(post("/openrouter/v1/chat/completions", chat_body("[[fault:error_mid]] a b c", stream=True)))
    last = msgspec.json.decode((await wire.answer())[2].split(b"data: ")[-1])
    assert last["error"]["code"] == 500
    assert last["choices"][0]["finish_reason"] == "error"


async def test_bigmodel_and_deepseek_say_usage_with_the_finish_reason(flavoured: Flavoured) -> None:
    for name in ("bigmodel", "deepseek"):
        async with speaking(flavoured, name) as client:
            whole, chunks = await whole_and_streamed(client)
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert "The user said" in whole["choices"][0]["message"]["reasoning_content"]


async def test_deepseek_tells_hits_from_misses(flavoured: Flavoured) -> None:
    async with speaking(flavoured, "deepseek") as client:
        whole, _ = await whole_and_streamed(client)
    usage = whole["usage"]
    assert (usage["prompt_cache_hit_tokens"], usage["prompt_cache_miss_tokens"]) == (2, usage["prompt_tokens"] - 2)


@pytest.mark.parametrize(
    ("name", "switch"),
    [
        ("bigmodel", {"thinking": {"type": "disabled"}}),
        ("deepseek", {"thinking": {"type": "disabled"}}),
        ("openrouter", {"reasoning": {"effort": "none"}}),
        ("openrouter", {"reasoning": {"enabled": False}}),
        ("xai", {"reasoning_effort": "none"}),
    ],
)
async def test_reasoning_can_be_switched_off(flavoured: Flavoured, name: str, switch: dict[str, Any]) -> None:
    async with speaking(flavoured, name) as client:
        answer = await client.chat.completions.create(model="sandbox/reason", messages=ASKED, extra_body=switch)
    assert not {"reasoning", "reasoning_content"} & set(answer.choices[0].message.model_dump(exclude_none=True))


@pytest.mark.parametrize(
    ("name", "fault", "status", "body"),
    [
        ("xai", "429", 429, {"code": "Some resource has been exhausted"}),
        ("bigmodel", "429", 429, {"error": {"code": "1302"}}),
        ("bigmodel", "quota", 429, {"error": {"code": "1113"}}),
        ("bigmodel", "context", 400, {"error": {"code": "1261"}}),
        ("openrouter", "429", 429, {"error": {"code": 429}}),
        ("openrouter", "quota", 402, {"error": {"code": 402}}),
        ("deepseek", "quota", 402, {"error": {"code": "insufficient_quota"}}),
    ],
)
async def test_errors_are_in_each_vendors_shape(
    wire: Wire, name: str, fault: str, status: int, body: dict[str, Any]
) -> None:
    await wire.send(post(f"{BASES[name]}/chat/completions", chat_body(f"[[fault:{fault}]]")))
    answered, _, content = await wire.answer()
    assert answered == status
    error = msgspec.json.decode(content)
    for field, value in body.items():
        assert error[field] == value if not isinstance(value, dict) else value.items() <= error[field].items()


@pytest.mark.parametrize("base", ["/v1", *BASES.values()])
async def test_models_are_listed_and_shown_one_by_one(flavoured: Flavoured, base: str) -> None:
    async with flavoured(base) as client:
        names = [model.id async for model in client.models.list()]
        assert {"sandbox/echo", "sandbox/embed"} <= set(names)
        assert [(await client.models.retrieve(name)).id for name in names] == names
        with pytest.raises(sdk.NotFoundError):
            await client.models.retrieve("sandbox/nothing")
