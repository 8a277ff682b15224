"""Vision with prompts of the registry: by id, by name, by label, and the default of a namespace and language."""

from typing import Any

import pytest

from tests.e2e.conftest import Samovar
from tests.e2e.pictures import STREAM, ask, base64_of, chunks_of, picture

# A stand-in that repeats what it is told, so that the answer is the prompt.
LOOK = {"model": "openrouter/sandbox/echo", "image_base64": base64_of(picture())}


def make(samovar: Samovar, **fields: Any) -> dict[str, Any]:
    body = {"namespace": "vision", "lang": "ru", **fields}
    status, made, _ = samovar.request("POST", "/v1/prompts", body)
    assert status == 201, made
    return dict(made)


@pytest.fixture(scope="module")
def cat(samovar: Samovar) -> dict[str, Any]:
    return make(samovar, name="cat", text="Опиши кота {{mood}}", variables=[{"name": "mood"}])


def test_a_prompt_is_asked_by_id_and_the_answer_says_which(samovar: Samovar, cat: dict[str, Any]) -> None:
    status, said, _ = ask(samovar, {**LOOK, "prompt_id": cat["id"], "variables": {"mood": "сонного"}})
    assert status == 200, said
    assert said["text"] == "Опиши кота сонного"
    assert said["prompt_id"] == cat["id"]


def test_a_prompt_is_asked_by_name_version_and_label(samovar: Samovar) -> None:
    first = make(samovar, name="dog", version=1, text="первая")
    second = make(samovar, name="dog", version=2, text="вторая")
    named = {**LOOK, "prompt_name": "dog", "namespace": "vision", "lang": "ru"}
    for more, text, prompt_id in (
        ({}, "вторая", second["id"]),
        ({"version": 1}, "первая", first["id"]),
    ):
        status, said, _ = ask(samovar, {**named, **more})
        assert status == 200, said
        assert (said["text"], said["prompt_id"]) == (text, prompt_id)
    status, refused, _ = ask(samovar, {**named, "version": 7})
    assert (status, refused["code"]) == (404, "prompt_not_found")
    status, refused, _ = ask(samovar, {**named, "version": 1, "label": "production"})
    assert status == 422


def test_no_prompt_named_is_the_default_of_its_place_or_a_clear_refusal(samovar: Samovar) -> None:
    place = {"namespace": "defaults", "lang": "ru"}
    status, refused, _ = ask(samovar, {**LOOK, **place})
    assert (status, refused["code"]) == (422, "prompt_missing")
    assert "'defaults'" in refused["detail"]
    make(samovar, **place, name="look", text="Что на фото?", make_default=True)
    status, said, _ = ask(samovar, {**LOOK, **place})
    assert status == 200, said
    assert said["text"] == "Что на фото?"
    status, text, _ = ask(samovar, {**LOOK, **place}, STREAM)
    assert status == 200
    assert chunks_of(text)


def test_variables_that_miss_are_named(samovar: Samovar, cat: dict[str, Any]) -> None:
    status, refused, headers = ask(samovar, {**LOOK, "prompt_id": cat["id"]})
    assert (status, refused["code"]) == (422, "bad_variables")
    assert "mood" in refused["detail"]
    assert headers["content-type"] == "application/problem+json"


def test_an_id_that_is_not_there_is_not_found(samovar: Samovar) -> None:
    status, refused, _ = ask(samovar, {**LOOK, "prompt_id": 2**62})
    assert (status, refused["code"]) == (404, "prompt_not_found")
