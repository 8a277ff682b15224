"""The real openai SDK's embeddings against the sandbox."""

import math
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI

from samovar.providers.sandbox.vectors import unit_vector


def nearness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def vectors(openai: AsyncOpenAI, given: Any, **more: Any) -> list[list[float]]:
    answer = await openai.embeddings.create(model="sandbox/embed", input=given, **more)
    assert [each.index for each in answer.data] == list(range(len(answer.data)))
    return [each.embedding for each in answer.data]


async def test_texts_that_share_words_are_nearer(openai: AsyncOpenAI) -> None:
    tea, same, near, far = await vectors(
        openai, ["a samovar boils the tea", "a samovar boils the tea", "The samovar boils water", "ships sail far away"]
    )
    assert tea == same
    assert math.isclose(nearness(tea, tea), 1.0, abs_tol=1e-5)
    assert nearness(tea, near) > 0.4 > nearness(tea, far) + 0.2


async def test_both_encodings_hold_the_same_numbers(openai: AsyncOpenAI) -> None:
    # Unasked, the SDK itself asks for base64 and decodes it.
    (packed,) = await vectors(openai, "hello")
    (plain,) = await vectors(openai, "hello", encoding_format="float")
    assert len(packed) == 1536
    assert packed == pytest.approx(plain)
    answer = await openai.embeddings.with_raw_response.create(
        model="sandbox/embed", input="hello", encoding_format="base64"
    )
    assert '"embedding":"' in answer.text


async def test_dimensions_are_as_wanted_or_as_the_model_has_them(openai: AsyncOpenAI) -> None:
    (short,) = await vectors(openai, "hello", dimensions=64)
    assert len(short) == 64
    assert math.isclose(nearness(short, short), 1.0, abs_tol=1e-5)
    for model, length in (("text-embedding-3-large", 3072), ("mistral-embed", 1024), ("codestral-embed-2505", 1536)):
        answer = await openai.embeddings.create(model=model, input="hello")
        assert len(answer.data[0].embedding) == length
    with pytest.raises(sdk.BadRequestError, match="dimensions"):
        await vectors(openai, "hello", dimensions=0)


async def test_tokens_are_taken_as_input_and_counted(openai: AsyncOpenAI) -> None:
    one = await openai.embeddings.create(model="sandbox/embed", input=[1, 2, 3])
    many = await openai.embeddings.create(model="sandbox/embed", input=[[1, 2, 3], [4, 5]])
    assert (len(one.data), one.usage.prompt_tokens) == (1, 3)
    assert (len(many.data), many.usage.prompt_tokens, many.usage.total_tokens) == (2, 5, 5)
    assert one.data[0].embedding == many.data[0].embedding


@pytest.mark.parametrize("given", ["", [], ["text", 5], ["fine", ""], ["x"] * 2049, "word " * 7_000])
async def test_what_no_model_would_embed_is_refused(openai: AsyncOpenAI, given: Any) -> None:
    with pytest.raises(sdk.BadRequestError):
        await vectors(openai, given)


async def test_a_model_that_talks_embeds_nothing(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.NotFoundError):
        await openai.embeddings.create(model="sandbox/echo", input="x")


async def test_faults_come_here_too(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.RateLimitError):
        await openai.embeddings.create(model="sandbox/embed?fault=429", input="x")
    with pytest.raises(sdk.InternalServerError):
        await vectors(openai, ["fine", "[[fault:503]]"])
    with pytest.raises(sdk.AuthenticationError):
        await vectors(openai.with_options(api_key="sk-sandbox-bad"), "x")


@pytest.mark.parametrize("text", ["", "!?", "слова", "word " * 5_000, "\ud800"])
@pytest.mark.parametrize("dimensions", [1, 2, 1536])
def test_every_text_has_a_vector_of_length_one(text: str, dimensions: int) -> None:
    vector = unit_vector(text, dimensions).tolist()
    assert len(vector) == dimensions
    assert math.isclose(nearness(vector, vector), 1.0, abs_tol=1e-5)
