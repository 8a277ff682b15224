"""What a caller is told of a body that breaks a rule."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from samovar.app.problems import flaws_of


@dataclass(frozen=True)
class Order:
    tags: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    more: dict[str, str] | None = None


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        ({"tags": {}}, "tags", "a list"),
        ({"words": 1}, "words", "a list"),
        ({"more": []}, "more", "an object"),
        ([], "", "an object"),
        ({"tags": [1]}, "tags.0", "a valid string"),
    ],
)
def test_a_wrong_type_is_named_as_json_names_it(body: Any, where: str, what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Order).validate_python(body)
    (flaw,) = flaws_of(caught.value.errors())
    assert (flaw.where, flaw.what) == (where, f"Input should be {what}")
