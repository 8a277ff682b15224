"""What a body says of models beside its own."""

import json
from typing import Any

import pytest

from samovar.domains.gateway.model.other_models import OtherModels, other_models


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, OtherModels()),
        ({"models": None, "fallbacks": None, "route": None, "preset": None}, OtherModels()),
        ({"models": ["a/b", "c"]}, OtherModels(("a/b", "c"))),
        ({"models": ["a/b"], "route": "fallback"}, OtherModels(("a/b",))),
        ({"fallbacks": [{"model": "c", "max_tokens": 1}]}, OtherModels(("c",))),
        ({"route": "fallback"}, OtherModels((), ("route",))),
        ({"models": [], "route": "fallback"}, OtherModels((), ("route",))),
        ({"preset": "mine"}, OtherModels((), ("preset",))),
        ({"models": "a/b", "fallbacks": "default"}, OtherModels((), ("models", "fallbacks"))),
        ({"messages": [{"role": "user", "content": 'the "models" here'}]}, OtherModels()),
    ],
)
def test_other_models_are_read_and_what_cannot_be_read_is_named(said: dict[str, Any], expected: OtherModels) -> None:
    assert other_models(json.dumps({"model": "m", **said}).encode()) == expected


def test_a_field_whose_name_is_escaped_is_read() -> None:
    assert other_models(rb'{"m\u006fdels": ["a"]}') == OtherModels(("a",))
