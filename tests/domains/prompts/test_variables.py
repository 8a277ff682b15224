"""Filling variables: what is filled in is never looked at again, and whatever is wrong is named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.prompts.errors import BadVariables
from samovar.domains.prompts.model import Variable, VariableType, placeholders, render
from samovar.domains.prompts.model.variables import flaws_of_variables

KIND = VariableType
NAMES = st.from_regex(r"[A-Za-zа-я_][A-Za-zа-я0-9_]{0,10}", fullmatch=True)
PLAIN = st.text(st.characters(exclude_characters="{\0", exclude_categories=("Cs",)), max_size=20)


@given(st.lists(st.tuples(PLAIN, NAMES), max_size=8), PLAIN, st.data())
def test_a_text_is_its_pieces_with_the_values_between(
    pieces: list[tuple[str, str]], rest: str, data: st.DataObject
) -> None:
    hostile = st.sampled_from(["{{x}}", "{{{{", "$&", "\\1", "}}", "{", "", "{{_}}"]) | PLAIN
    values = {name: data.draw(hostile) for _, name in pieces}
    text = "".join(f"{plain}{{{{ {name} }}}}" for plain, name in pieces) + rest
    assert placeholders(text) == tuple(dict.fromkeys(name for _, name in pieces))
    assert render(text, (), values) == "".join(plain + values[name] for plain, name in pieces) + rest


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{{{x}}", "{{x}}"),
        ("{{{{ {{x}} }}}}", "{{ 1 }}}}"),
        ("{{{x}}}", "{1}"),
        ('{"a": {"b": {"c": {{x}}}}}', '{"a": {"b": {"c": 1}}}'),
        ("{{}} {{ }} {{1}} {{a-b}} {{a b}} {{x\n}} { {x} }", "{{}} {{ }} {{1}} {{a-b}} {{a b}} {{x\n}} { {x} }"),
        ("{{x}}{{x}}", "11"),
    ],
)
def test_braces_that_are_no_variable_stay(text: str, filled: str) -> None:
    assert render(text, (), {"x": 1} if "1" in filled.replace("{{1}}", "") else {}) == filled


def test_all_that_is_missing_wrong_or_unknown_is_named_at_once() -> None:
    declared = (
        Variable(name="count", type=KIND.INTEGER),
        Variable(name="style", type=KIND.ENUM, options=("plain", "rich")),
        Variable(name="loud", type=KIND.BOOLEAN, default=False),
    )
    text = "{{count}} {{style}} {{loud}} {{who}}"
    with pytest.raises(BadVariables) as refused:
        render(text, declared, {"count": "three", "style": "odd", "tonne": 1})
    told = {flaw.where: flaw.what for flaw in refused.value.flaws}
    assert set(told) == {"variables.count", "variables.style", "variables.who", "variables.tonne"}
    assert "integer" in told["variables.count"]
    assert "plain, rich" in told["variables.style"]
    assert "missing" in told["variables.who"]
    assert "missing" not in told["variables.tonne"]
    assert render(text, declared, {"count": 3.0, "style": "rich", "who": True}) == "3 rich false true"


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        (KIND.STRING, "x", True),
        (KIND.STRING, 1, False),
        (KIND.NUMBER, 1.5, True),
        (KIND.NUMBER, True, False),
        (KIND.NUMBER, float("nan"), False),
        (KIND.NUMBER, 10**40, False),
        (KIND.INTEGER, 1.5, False),
        (KIND.INTEGER, True, False),
        (KIND.BOOLEAN, 0, False),
        (KIND.BOOLEAN, True, True),
        (KIND.STRING, "a\0b", False),
        (KIND.STRING, "\ud800", False),
        (KIND.STRING, "x" * 100_001, False),
        (KIND.STRING, ["x"], False),
    ],
)
def test_a_value_must_be_what_its_variable_is(kind: VariableType, value: Any, fits: bool) -> None:
    declared = (Variable(name="x", type=kind),)
    if fits:
        assert render("{{x}}", declared, {"x": value})
        return
    with pytest.raises(BadVariables, match=r"variables\.x"):
        render("{{x}}", declared, {"x": value})


def test_a_short_text_with_a_long_value_at_many_places_is_refused() -> None:
    with pytest.raises(BadVariables, match="more than 1000000 characters"):
        render("{{x}}" * 1000, (), {"x": "y" * 10_000})


def test_a_default_that_does_not_fit_is_no_declaration() -> None:
    for wrong in (
        Variable(name="x", type=KIND.INTEGER, default="1"),
        Variable(name="x", options=("a",)),
        Variable(name="x", type=KIND.ENUM),
        Variable(name="x", type=KIND.ENUM, options=("a",), default="b"),
        Variable(name="1x"),
        Variable(name=""),
    ):
        assert flaws_of_variables((wrong,), "")
    assert flaws_of_variables((Variable(name="x"), Variable(name="x")), "")
    assert flaws_of_variables((), "".join(f"{{{{v{n}}}}}" for n in range(101)))
    assert not flaws_of_variables((Variable(name="имя", default=""),), "{{имя}}")
