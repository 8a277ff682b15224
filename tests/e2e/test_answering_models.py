"""The usage log names the model that answered, in the provider's own word, where it is not the one that was asked for."""

import uuid

import pytest

from tests.e2e.calling import WAYS, Way, call, event_of
from tests.e2e.conftest import Samovar

GEMINI = [Way("openai", "gemini", False), Way("openai", "gemini", True)]


@pytest.mark.parametrize("way", [*WAYS, *GEMINI], ids=str)
def test_an_answer_of_another_model_is_noted_beside_the_one_that_was_asked(samovar: Samovar, way: Way) -> None:
    answers = f"{'claude' if way.vendor == 'anthropic' else 'gpt'}-{uuid.uuid4().hex[:8]}"
    # The sandbox leaves its directives out of the name under which it answers.
    asked = f"{way.vendor}/{answers}?words=3"
    outcome = call(samovar, way, "one two three", model=asked)
    assert outcome.status == 200, outcome.text
    event = event_of(samovar, outcome.request_id)
    assert (event["requested_model"], event["model"], event["answered_model"]) == (asked, asked, answers)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_answer_of_the_model_that_was_asked_says_nothing_more(samovar: Samovar, way: Way) -> None:
    outcome = call(samovar, way, "one two three")
    assert event_of(samovar, outcome.request_id)["answered_model"] == ""
