"""Routing through a whole gateway, over sandboxes on real sockets: what it explains is what it does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from samovar.domains.gateway.http.explain import ExplainAnswer
from samovar.providers.sandbox import Pace, SandboxServer
from tests.app.conftest import ADMIN, Answer
from tests.domains.gateway.conftest import Gateway, Start

SLOW_MS = 90.0


@asynccontextmanager
async def two_sandboxes(start: Start, *, first_ms: float = 0.0, second_ms: float = 0.0) -> AsyncIterator[Gateway]:
    """A gateway whose ``openai`` and ``deepseek`` are sandboxes with paces of their own."""
    first, second = SandboxServer(pace=Pace(first_byte_ms=first_ms)), SandboxServer(pace=Pace(first_byte_ms=second_ms))
    one, other = await first.start(), await second.start()
    try:
        yield await start(vendors={"openai": f"{one.url}/v1", "deepseek": f"{other.url}/deepseek/v1"})
    finally:
        await first.close()
        await second.close()


async def put(gateway: Gateway, path: str, body: Any) -> None:
    answer = await gateway.served.ask("PUT", path, body=json.dumps(body).encode(), headers=ADMIN)
    assert answer.status == 200, answer.body


async def group(gateway: Gateway, strategy: str, **more: Any) -> None:
    await put(
        gateway,
        "/api/groups/both",
        {"model_ids": ["openai/gpt-4o", "deepseek/deepseek-chat"], "strategy": strategy, **more},
    )


def asking(text: str, model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}


async def explained(gateway: Gateway, body: dict[str, Any], *, key: str | None = None) -> ExplainAnswer:
    answer = await explain(gateway, body, key=key)
    assert answer.status == 200, answer.body
    found = ExplainAnswer.model_validate_json(answer.body)
    # The description's own check: no field more, none less (what is not known of a target is left out).
    assert found.model_dump(exclude_unset=True, mode="json") == answer.json
    return found


async def explain(gateway: Gateway, body: dict[str, Any], *, key: str | None = None) -> Answer:
    bearer = {"Authorization": f"Bearer {key or gateway.key}", "Content-Type": "application/json"}
    return await gateway.served.ask("POST", "/api/routes/explain", body=json.dumps(body).encode(), headers=bearer)


async def test_latency_moves_to_the_faster_provider_and_explains_it(start: Start) -> None:
    async with two_sandboxes(start, first_ms=SLOW_MS) as gateway:
        await group(gateway, "latency")
        seen = [(await gateway.chat("hello", model="both")).headers["x-samovar-provider"]]
        # Both must have been seen for one to be known as the faster; a call by name is a lesson too.
        await gateway.chat("hello", model="deepseek/deepseek-chat")
        said = await explained(gateway, asking("hello", "both", stream=True))
        assert said.attempts == ("deepseek/deepseek-chat", "openai/gpt-4o")
        answer = await gateway.chat("hello", model="both")
        seen.append(answer.headers["x-samovar-provider"])
        assert seen == ["openai", "deepseek"]
        assert answer.headers["x-samovar-route"].startswith("latency: fastest of 2, about 0.")
        slow = said.targets[1].seen.first_s
        assert slow is not None
        assert slow >= SLOW_MS / 1000


async def test_each_strategy_does_what_it_explains(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        for strategy in ("order", "cost", "quality", "balanced", "latency"):
            await group(gateway, strategy)
            said = await explained(gateway, asking("hello", "both"))
            answer = await gateway.chat("hello", model="both", stream=False)
            assert answer.headers["x-samovar-model"] == said.attempts[0], strategy
            assert answer.headers["x-samovar-route"].split(",")[0] == said.why.split(",")[0]


async def test_a_call_may_ask_for_another_strategy_by_name(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        await group(gateway, "order")
        plain = await gateway.chat("hello", model="both", stream=False)
        assert (plain.headers["x-samovar-provider"], plain.headers["x-samovar-route"]) == (
            "openai",
            "in the group's order",
        )
        cheap = await gateway.chat("hello", model="both:cost", stream=False)
        assert cheap.headers["x-samovar-provider"] == "deepseek"
        assert cheap.headers["x-samovar-route"].startswith("cost: cheapest of 2, about 0.")
        wrong = await gateway.chat("hello", model="auto:order", stream=False)
        assert wrong.status == 404
        assert b"auto:balanced" in wrong.body


async def test_of_a_group_of_one_the_answer_and_the_explanation_say_the_same(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        await put(gateway, "/api/groups/one", {"model_ids": ["openai/gpt-4o"], "strategy": "quality"})
        answer = await gateway.chat("hello", model="one", stream=False)
        for cheaper in (False, True):
            said = await explained(gateway, {"request": asking("hello", "one"), "prefer_cheaper": cheaper})
            assert said.why == answer.headers["x-samovar-route"] == "only target"


async def test_auto_takes_the_best_few_of_all_that_may_be_used(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        said = await explained(gateway, asking("hello", "auto:quality"))
        assert len(said.attempts) == 4
        assert len(said.targets) > 20
        answer = await gateway.chat("hello", model="auto:quality", stream=False)
        assert answer.headers["x-samovar-model"] == said.attempts[0]
        body = json.dumps({"name": "narrow", "allowed_models": ["deepseek/*"]}).encode()
        narrow = (await gateway.served.ask("POST", "/api/keys", body=body, headers=ADMIN)).json["key"]
        seen = await explained(gateway, asking("hello", "auto:cost"), key=narrow)
        assert {one.provider for one in seen.targets} == {"deepseek"}


async def test_what_a_call_needs_rules_targets_out(start: Start) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    picture = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    async with two_sandboxes(start) as gateway:
        await group(gateway, "cost")
        body = asking("", "both", tools=[tool])
        body["messages"] = [{"role": "user", "content": [{"type": "text", "text": "what?"}, picture]}]
        said = await explained(gateway, {"surface": "chat", "request": body})
        assert said.asked.needs == ("tools", "vision")
        assert said.attempts == ("openai/gpt-4o",)
        assert [(one.model, one.reasons) for one in said.excluded] == [("deepseek/deepseek-chat", ("lacks vision",))]


async def test_a_score_of_the_admins_decides_about_quality(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        await group(gateway, "quality")
        for score, best in ((100, "deepseek/deepseek-chat"), (1, "openai/gpt-4o")):
            await put(gateway, "/api/models/deepseek/deepseek-chat/override", {"quality": score})
            assert (await explained(gateway, asking("hello", "both"))).attempts[0] == best


async def test_a_provider_that_sends_us_away_goes_last_until_then(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        await group(gateway, "order")
        away = await gateway.chat("[[fault:429 retry_after=30]] hello", model="openai/gpt-4o", stream=False)
        assert away.status == 429
        answer = await gateway.chat("hello", model="both", stream=False)
        assert answer.headers["x-samovar-provider"] == "deepseek"
        assert answer.headers["x-samovar-route"] == "in the group's order, 1 cooling down last"
        (last,) = [one for one in (await explained(gateway, asking("hello", "both"))).targets if one.attempt == 2]
        assert (last.model, last.standing) == ("openai/gpt-4o", "cooling down")
        assert last.seen.cooling_s > 20


async def test_a_conversation_keeps_the_provider_that_has_its_prompt(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        rates = {"input": "10", "output": "10"}
        cached = {"price": {"rates": {**rates, "cached_input": "1"}}}
        await put(gateway, "/api/models/openai/gpt-4o/override", cached)
        await put(gateway, "/api/models/deepseek/deepseek-chat/override", {"price": {"rates": {**rates, "input": "5"}}})
        await put(gateway, "/api/groups/both", {"model_ids": ["openai/gpt-4o"], "strategy": "cost"})
        text = "A long story. " * 1000
        # The group had one member when the story began, and got a cheaper one.
        await group(gateway, "cost")
        began = await explained(gateway, asking(text, "both"))
        assert (began.attempts[0], began.conversation) == ("deepseek/deepseek-chat", None)
        away = {"price": {"rates": {"input": "90", "output": "90"}}}
        await put(gateway, "/api/models/deepseek/deepseek-chat/override", away)
        assert (await gateway.chat(text, model="both", stream=False)).headers["x-samovar-provider"] == "openai"
        await put(gateway, "/api/models/deepseek/deepseek-chat/override", {"price": {"rates": {**rates, "input": "5"}}})
        said = await explained(gateway, asking(text, "both"))
        assert said.attempts[0] == "openai/gpt-4o"
        assert said.conversation is not None
        assert said.conversation.cached_tokens > 3000
        answer = await gateway.chat(text, model="both", stream=False)
        assert answer.headers["x-samovar-provider"] == "openai"
        assert answer.headers["x-samovar-route"].endswith("keeps its prompt cache")
        # Another conversation of the same key goes where it is cheapest.
        other = await gateway.chat("Another " + text, model="both", stream=False)
        assert other.headers["x-samovar-provider"] == "deepseek"


async def test_every_surface_can_be_explained(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        said = [{"role": "user", "content": "hello"}]
        for surface, request in (
            ("chat", {"model": "auto:cost", "messages": said}),
            ("responses", {"model": "auto:cost", "input": "hello"}),
            ("messages", {"model": "auto:cost", "max_tokens": 10, "messages": said}),
            ("gemini", {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
        ):
            found = await explained(gateway, {"surface": surface, "request": request, "model": "auto:cost"})
            assert len(found.attempts) == 4, surface
            assert found.asked.input_tokens > 0
        await put(
            gateway,
            "/api/groups/vectors",
            {"model_ids": ["openai/text-embedding-3-large", "openai/text-embedding-3-small"], "strategy": "cost"},
        )
        vectors = await explained(
            gateway, {"surface": "embeddings", "request": {"model": "vectors", "input": ["a", "b"]}}
        )
        assert vectors.attempts[0] == "openai/text-embedding-3-small"


async def test_what_cannot_be_explained_says_why(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        for body, status, words in (
            ({"surface": "fax", "request": {}}, 400, "must be one of chat"),
            ({"surface": "chat", "request": []}, 400, "must be an object"),
            ({"request": {}, "colour": 1}, 400, "colour is not known"),
            ({"surface": "gemini", "request": {"contents": [{"parts": [{"text": "x"}]}]}}, 400, "model is missing"),
            (asking("x", "nothing"), 404, "no model"),
            ({"request": asking("x", "both"), "prefer_cheaper": "yes"}, 400, "must be a boolean"),
        ):
            answer = await explain(gateway, body)
            assert answer.status == status, answer.body
            assert words in answer.json["detail"]
        body = json.dumps({"name": "usage", "scopes": ["usage"]}).encode()
        reader = (await gateway.served.ask("POST", "/api/keys", body=body, headers=ADMIN)).json["key"]
        assert (await explain(gateway, asking("x", "auto:cost"), key=reader)).status == 403


async def test_weights_must_be_of_members_and_not_all_nothing(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        for weights in ({"openai/o3": 1}, {"openai/gpt-4o": 0, "deepseek/deepseek-chat": 0}, {"openai/gpt-4o": 1001}):
            body = {"model_ids": ["openai/gpt-4o", "deepseek/deepseek-chat"], "weights": weights}
            answer = await gateway.served.ask("PUT", "/api/groups/both", body=json.dumps(body).encode(), headers=ADMIN)
            assert answer.status == 422
        await group(gateway, "weighted", weights={"openai/gpt-4o": 0})
        answer = await gateway.chat("hello", model="both", stream=False)
        assert answer.headers["x-samovar-route"] == "weighted: drawn of 2 with weight 1"
        assert answer.headers["x-samovar-provider"] == "deepseek"


async def test_metrics_say_what_was_chosen_and_how_targets_do(start: Start) -> None:
    async with two_sandboxes(start) as gateway:
        await group(gateway, "cost")
        await gateway.chat("hello", model="both")
        text = (await gateway.served.ask("GET", "/metrics", headers=ADMIN)).body.decode()
        assert 'samovar_routes_total{how="best",strategy="cost"} 1.0' in text
        assert 'samovar_target_failure_ratio{model="' in text
