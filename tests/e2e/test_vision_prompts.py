"""Vision with prompts of the registry: by id, by name, by label, and the default of a namespace and language."""

import time
from typing import Any

import pytest

from tests.e2e.calling import event_of
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


def test_a_call_tells_the_prompt_that_it_asked_even_when_the_text_changes_later(samovar: Samovar) -> None:
    fox = make(samovar, name="fox", version=1, text="лиса")
    asked = {**LOOK, "prompt_name": "fox", "namespace": "vision", "lang": "ru"}
    _, _, first = ask(samovar, asked)
    status, changed, _ = samovar.request("PUT", f"/v1/prompts/{fox['id']}", {"text": "рыжая лиса"})
    assert status == 200, changed
    _, _, second = ask(samovar, asked, STREAM)
    _, _, plain = ask(samovar, {**LOOK, "prompt": "лиса"})
    told = [event_of(samovar, headers["x-request-id"]) for headers in (first, second, plain)]
    noted = [(one["prompt_id"], one["prompt_version"], one["prompt_revision"]) for one in told]
    assert noted == [(fox["id"], 1, fox["revision"]), (fox["id"], 1, changed["revision"]), (None, None, None)]
    assert changed["revision"] > fox["revision"]


def calls_by_prompt(samovar: Samovar) -> dict[str, int]:
    found = samovar.request("GET", "/api/usage/breakdown?by=prompt")[1]
    return {one["name"]: one["calls"] for one in found["items"]}


def test_usage_is_summed_filtered_and_exported_by_prompt(samovar: Samovar) -> None:
    hare = make(samovar, name="hare", text="заяц")
    for _ in range(2):
        status, said, _ = ask(samovar, {**LOOK, "prompt_id": hare["id"]})
        assert status == 200, said
    name = str(hare["id"])
    deadline = time.monotonic() + 10
    while (found := calls_by_prompt(samovar).get(name)) != 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == 2
    series = samovar.request("GET", f"/api/usage?bucket=day&prompt={name}")[1]
    assert sum(point["calls"] for point in series["points"]) == 2
    lines = samovar.request("GET", f"/api/usage/export?format=csv&prompt={name}")[1].splitlines()
    assert lines[0].endswith("prompt_id,prompt_version,prompt_revision")
    assert [line.rsplit(",", 3)[1:] for line in lines[1:]] == [[name, "1", "1"]] * 2
