"""Google's own embeddings and counts of tokens, read, passed on, and asked of vendors of another language."""

import json
from typing import Any

import pytest

from samovar.kernel.errors import Malformed
from samovar.ports.dialect import BadAnswer, Unsupported, UpstreamError
from samovar.ports.embeddings import Embeddings
from samovar.ports.llm import Usage
from samovar.providers.gemini.count import GeminiCount
from samovar.providers.gemini.embedding_surfaces import GeminiBatchEmbedContents, GeminiEmbedContent
from samovar.providers.openai.embeddings import OpenAIEmbeddings
from samovar.providers.vendors import VENDORS

GEMINI, OPENAI = VENDORS["gemini"], VENDORS["openai"]
batch, single, count, openai = GeminiBatchEmbedContents(), GeminiEmbedContent(), GeminiCount(), OpenAIEmbeddings()


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"content": {"parts": [{"text": words}]}, **fields}


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_batch_becomes_one_question_of_another_vendor() -> None:
    body = written({"requests": [text(words, model="models/x", outputDimensionality=8) for words in ("one", "two")]})
    asked = openai.write_request(batch.read_request(body), vendor=OPENAI)
    assert json.loads(asked) == {"model": "", "input": ["one", "two"], "dimensions": 8}


def test_the_parts_of_a_content_are_lines_of_one_text() -> None:
    body = written({"content": {"parts": [{"text": "one"}, {"text": "two"}]}})
    assert single.read_request(body).inputs == ("one\ntwo",)


@pytest.mark.parametrize("name", ["taskType", "task_type", "title", "embedContentConfig"])
def test_what_only_gemini_can_be_told_is_refused_by_the_rest_or_dropped_on_request(name: str) -> None:
    fields = {name: {} if "Config" in name else "RETRIEVAL_QUERY"}
    with pytest.raises(Unsupported) as refused:
        openai.write_request(single.read_request(written(text("a", **fields))), vendor=OPENAI)
    assert refused.value.flaws[0].where in ("$.taskType", "$.title", "$.embedContentConfig")
    dropped = single.read_request(written(text("a", **fields, drop_params=True)))
    assert json.loads(openai.write_request(dropped, vendor=OPENAI)) == {"model": "", "input": ["a"]}


def test_pictures_and_mixed_lengths_pass_to_gemini_alone() -> None:
    picture = {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}}
    mixed = {"requests": [text("a", outputDimensionality=8), text("b")]}
    for surface, body in ((single, picture), (batch, mixed)):
        assert surface.read_head(written(body)).model == ""
        with pytest.raises(Unsupported):
            surface.read_request(written(body))
    assert json.loads(single.splice(written(picture), model="m", vendor=GEMINI)) == {**picture, "model": "models/m"}


def test_bytes_for_gemini_lose_our_own_fields_and_get_its_name_of_the_model() -> None:
    body = {"drop_params": True, "requests": [text("a", taskType="T", model="models/gemini/x")]}
    passed = json.loads(batch.splice(written(body), model="gemini-embedding-001", vendor=GEMINI))
    assert passed == {"requests": [text("a", taskType="T", model="models/gemini-embedding-001")]}


def test_rules_see_titles_too_and_what_they_leave_goes_back_in_its_place() -> None:
    body = written({"requests": [text("one", title="secret"), text("two")]})
    assert batch.texts(body) == ("one", "secret", "two")
    changed = json.loads(batch.amended(body, texts=("1", "2", "3"), drop_params=True))
    assert changed == {"requests": [text("1", title="2"), text("3")], "drop_params": True}
    assert batch.read_head(batch.amended(body, texts=None, drop_params=True)).drop_params


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requests": []},
        {"requests": [{}]},
        {"requests": [{"content": {"parts": []}}]},
        {"requests": [{"content": "a"}]},
        {"requests": "a"},
        [],
    ],
)
def test_batches_of_nothing_are_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        batch.read_head(written(body))


def test_answers_have_the_shape_that_was_asked_for() -> None:
    found = Embeddings(vectors=([1.0], [2.0]), usage=None)
    request = batch.read_request(written({"requests": [text("a"), text("b")]}))
    usage = Usage(input_tokens=3)
    told = json.loads(batch.write_answer(found, request=request, usage=usage))
    assert told == {"embeddings": [{"values": [1.0]}, {"values": [2.0]}], "usageMetadata": {"promptTokenCount": 3}}
    assert json.loads(single.write_answer(found, request=request, usage=usage))["embedding"] == {"values": [1.0]}


def test_gemini_s_own_answers_are_read_for_their_usage() -> None:
    whole = {"embeddings": [{"values": [1]}], "usageMetadata": {"promptTokenCount": 3}}
    assert batch.tap(written(whole), vendor=GEMINI) == Usage(input_tokens=3)
    assert single.tap(written({"embedding": {"values": [1]}}), vendor=GEMINI) is None
    for surface, body in ((single, whole), (batch, {"embedding": {}}), (batch, {})):
        with pytest.raises(BadAnswer):
            surface.tap(written(body), vendor=GEMINI)
    with pytest.raises(UpstreamError):
        batch.tap(written({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}), vendor=GEMINI)


def test_openai_s_vectors_are_put_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]
    answer = {"object": "list", "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    found = openai.read_answer(written(answer), inputs=2)
    assert (found.vectors, found.usage) == (([1.0], [2.0]), Usage(input_tokens=4))


@pytest.mark.parametrize(
    "data",
    [[], [{"index": 0, "embedding": [1]}] * 2, [{"index": 5, "embedding": [1]}], [{"index": 0, "embedding": "AAAA"}]],
)
def test_anything_but_a_vector_for_each_text_is_no_answer(data: list[Any]) -> None:
    with pytest.raises(BadAnswer):
        openai.read_answer(written({"object": "list", "data": data}), inputs=1)


def test_a_count_takes_contents_or_a_whole_request() -> None:
    contents = [{"role": "user", "parts": [{"text": "how much?"}]}]
    whole = {"generateContentRequest": {"model": "models/x", "contents": contents, "systemInstruction": contents[0]}}
    assert len(count.as_prompt(written({"contents": contents})).messages) == 1
    assert len(count.as_prompt(written(whole)).messages) == 2
    passed = json.loads(count.splice(written(whole), model="gemini-2.5-flash", vendor=GEMINI))
    assert passed["generateContentRequest"]["model"] == "models/gemini-2.5-flash"
    assert passed["generateContentRequest"]["contents"] == contents
    for body in ({}, {"contents": []}, {"generateContentRequest": {}}):
        with pytest.raises(Malformed):
            count.read_head(written(body))


def test_a_count_is_told_in_google_s_words() -> None:
    assert json.loads(count.write_answer(7)) == {"totalTokens": 7}
    assert count.tap(b'{"totalTokens": 7, "promptTokensDetails": []}') == 7
    with pytest.raises(BadAnswer):
        count.tap(b'{"input_tokens": 7}')
