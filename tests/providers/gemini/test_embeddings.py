"""OpenAI's embeddings read, and asked of Gemini."""

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.errors import Malformed
from samovar.ports.dialect import BadAnswer, Unsupported
from samovar.ports.llm import Usage
from samovar.providers.gemini.embeddings import GeminiEmbeddings
from samovar.providers.openai.embeddings import OpenAIEmbeddings
from samovar.providers.vendors import VENDORS

GEMINI = VENDORS["gemini"]
surface = OpenAIEmbeddings()
language = GeminiEmbeddings()


def asked(**fields: object) -> dict[str, object]:
    request = surface.read_request(json.dumps({"model": "m", **fields}).encode())
    found: dict[str, object] = json.loads(language.write_request(request, vendor=GEMINI))
    return found


def test_each_text_is_a_request_of_the_batch() -> None:
    assert asked(input=["one", "two"], dimensions=8, user="u", encoding_format="base64") == {
        "requests": [
            {"model": "models/m", "content": {"parts": [{"text": text}]}, "outputDimensionality": 8}
            for text in ("one", "two")
        ]
    }
    assert asked(input="one") == {"requests": [{"model": "models/m", "content": {"parts": [{"text": "one"}]}}]}


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_tokens_are_refused_even_where_params_may_be_dropped(tokens: list[object]) -> None:
    with pytest.raises(Unsupported) as refused:
        asked(input=tokens, drop_params=True)
    assert refused.value.flaws[0].where == "$.input[0]"


def test_fields_it_has_no_word_for_are_refused_or_dropped_on_request() -> None:
    with pytest.raises(Unsupported, match="truncate"):
        asked(input="a", truncate=True)
    assert asked(input="a", truncate=True, drop_params=True) == asked(input="a")


@pytest.mark.parametrize("given_input", [[], "", [""], [[]], ["a", 1], [1, [2]], None, {"a": 1}])
def test_inputs_that_are_none_are_malformed(given_input: object) -> None:
    with pytest.raises(Malformed):
        asked(input=given_input)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b'{"embeddings": []}', b'{"embeddings": [{"values": ["a"]}]}', b"[" * 100_000],
)
def test_what_is_not_a_vector_for_each_text_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        language.read_answer(body, inputs=1)


def test_a_missing_count_is_no_usage() -> None:
    assert language.read_answer(b'{"embeddings": [{"values": [1]}]}', inputs=1).usage is None
    told = b'{"embeddings": [{"values": [1]}], "usageMetadata": {"promptTokenCount": 3}}'
    assert language.read_answer(told, inputs=1).usage == Usage(input_tokens=3)


def test_a_number_beyond_float32_cannot_be_packed() -> None:
    request = surface.read_request(b'{"model": "m", "input": "a", "encoding_format": "base64"}')
    found = language.read_answer(b'{"embeddings": [{"values": [1e300]}]}', inputs=1)
    with pytest.raises(BadAnswer):
        surface.write_answer(found, request=request, usage=Usage())


@given(vectors=st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)), min_size=1, max_size=4))
def test_vectors_survive_the_translation_as_numbers_and_as_base64(vectors: list[list[float]]) -> None:
    body = json.dumps({"embeddings": [{"values": vector} for vector in vectors]}).encode()
    found = language.read_answer(body, inputs=len(vectors))
    for form in ("float", "base64"):
        fields = {"model": "m", "input": ["a"] * len(vectors), "encoding_format": form}
        request = surface.read_request(json.dumps(fields).encode())
        answer = json.loads(surface.write_answer(found, request=request, usage=Usage(input_tokens=2)))
        assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
        for index, (item, vector) in enumerate(zip(answer["data"], vectors, strict=True)):
            assert item["index"] == index
            said = item["embedding"]
            if form == "base64":
                raw = base64.b64decode(said)
                said = list(struct.unpack(f"<{len(raw) // 4}f", raw))
            assert said == vector


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"data": [], "usage": {"prompt_tokens": 4, "total_tokens": 4}}', 4),
        (b'{"data": [], "usage": {"prompt_tokens": 0}}', None),
        (b'{"data": [], "usage": null}', None),
        (b'{"data": []}', None),
    ],
)
def test_usage_of_an_answer_that_passes_is_read(body: bytes, tokens: int | None) -> None:
    usage = surface.tap(body, vendor=VENDORS["openai"])
    assert (usage and usage.input_tokens) == tokens


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": 1}', b"[" * 100_000])
def test_an_answer_that_is_no_list_is_not_passed_on(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        surface.tap(body, vendor=VENDORS["openai"])
