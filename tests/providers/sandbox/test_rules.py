"""The pure rules, pressed: values that fit schemas, pieces that join, counts that add up, directives that never crash."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.providers.sandbox import Pace
from samovar.providers.sandbox.answers import cut, cut_arguments
from samovar.providers.sandbox.ask import Ask
from samovar.providers.sandbox.errors import Refused
from samovar.providers.sandbox.schema import fitting_value
from samovar.providers.sandbox.tokens import PromptCache
from samovar.providers.sandbox.wish import MAX_CHUNKS, MAX_WORDS, magic_words, wish_of

_LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(
        lambda low, span: {"type": "integer", "minimum": low, "maximum": low + span},
        st.integers(-99, 99),
        st.integers(0, 9),
    ),
    st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low}, st.integers(-99, 99)),
    st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, st.integers(-99, 99)),
    st.builds(
        lambda step, low: {"type": "integer", "multipleOf": step, "minimum": low},
        st.integers(1, 9),
        st.integers(-99, 99),
    ),
    st.builds(
        lambda low, span: {"type": "string", "minLength": low, "maxLength": low + span},
        st.integers(0, 40),
        st.integers(0, 9),
    ),
    st.sampled_from(
        [{"type": "string", "format": "date"}, {"const": None}, {"enum": ["a", 1]}, {"type": ["string", "null"]}]
    ),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    return st.one_of(
        properties.map(lambda named: {"type": "object", "properties": named, "required": sorted(named)[:2]}),
        st.builds(lambda item, least: {"type": "array", "items": item, "minItems": least}, inner, st.integers(0, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    )


@given(st.recursive(_LEAVES, _nested, max_leaves=8), st.text(max_size=30))
def test_a_value_fits_its_schema(schema: dict[str, Any], text: str) -> None:
    value = fitting_value(msgspec.json.encode(schema), text)
    assert jsonschema_rs.is_valid(schema, value), value


def test_a_schema_that_refers_to_itself_gives_a_bounded_value() -> None:
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["next"],
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    value = fitting_value(msgspec.json.encode(schema), "x")
    assert jsonschema_rs.is_valid(schema, value), value


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"anyOf": [{"$ref": "#/anyOf/0"}]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 50},
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
    ],
)
def test_a_schema_that_nothing_finite_fits_still_ends(schema: dict[str, Any]) -> None:
    assert len(msgspec.json.encode(fitting_value(msgspec.json.encode(schema), "x"))) < 1_000_000


def test_all_parts_of_an_all_of_are_met() -> None:
    schema = {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"$ref": "#/$defs/b"},
        ],
        "$defs": {"b": {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}},
    }
    value = fitting_value(msgspec.json.encode(schema), "text")
    assert jsonschema_rs.is_valid(schema, value), value


_WORDS = [
    "type",
    "properties",
    "items",
    "anyOf",
    "allOf",
    "$ref",
    "enum",
    "minItems",
    "required",
    "minimum",
    "prefixItems",
]


def _any_json(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4)


@given(
    st.recursive(
        st.none() | st.integers(-9, 9) | st.sampled_from(["object", "array", "#", "a"]), _any_json, max_leaves=12
    )
)
def test_no_json_at_all_can_upset_the_sampler(schema: Any) -> None:
    msgspec.json.encode(fitting_value(msgspec.json.encode(schema), "x"))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {}}, "required": 5},
        {"allOf": [{"required": 5}], "required": True},
        {"type": {"not": "hashable"}},
        {"type": [["nested"]]},
        {"type": "number", "multipleOf": 0},
        {"type": "string", "minLength": 10**9},
    ],
)
def test_a_schema_that_breaks_the_standard_is_got_over(schema: Any) -> None:
    assert len(msgspec.json.encode(fitting_value(msgspec.json.encode(schema), "x"))) < 20_000


@given(st.text(), st.integers(0, 20))
def test_pieces_join_to_their_text(text: str, chunks: int) -> None:
    pieces = cut(text, chunks)
    assert "".join(pieces) == text
    assert all(pieces)
    assert not chunks or len(pieces) <= chunks


def test_a_huge_text_is_cut_into_few_pieces() -> None:
    pieces = cut("a " * 2_000_000)
    assert len(pieces) <= 10_000
    assert "".join(pieces) == "a " * 2_000_000


@given(st.text())
def test_argument_pieces_join_to_the_arguments(text: str) -> None:
    pieces = cut_arguments(text)
    assert "".join(pieces) == text
    assert len(pieces) <= 64


# Each number that can be wished for, and the most it may be.
_MOST = {
    "chunks": MAX_CHUNKS,
    "words": MAX_WORDS,
    "delay_ms": 300_000,
    "first_byte_ms": 600_000,
    "retry_after": 3_600,
    "at": MAX_CHUNKS,
    "flaky": 1_000,
    "cached": 10_000_000,
}
_NUMBERS = st.one_of(st.integers(-99, 99).map(str), st.integers().map(str), st.floats().map(str))


@given(st.one_of(st.text(max_size=60), st.builds("{}={}".format, st.sampled_from(sorted(_MOST)), _NUMBERS)))
def test_any_directive_is_read_within_its_bounds_or_refused(text: str) -> None:
    for directives in (text, magic_words(f"[[{text}]]"), magic_words(f"[[fault:{text}]]")):
        try:
            wish = wish_of(Pace(), directives)
        except Refused:
            continue
        wished = {**msgspec.structs.asdict(wish.pace), **msgspec.structs.asdict(wish)}
        wished["retry_after"] = wish.retry_after_s or 0
        wished["at"] = max(wish.at, 0)
        assert [name for name, most in _MOST.items() if not 0 <= wished[name] <= most] == []
        assert wish.status == 0 or 400 <= wish.status <= 599


@pytest.mark.parametrize("name", _MOST)
def test_a_number_past_its_bounds_is_refused_and_the_most_is_not(name: str) -> None:
    wish_of(Pace(), f"{name}={_MOST[name]}")
    for wrong in (-1, _MOST[name] + 1, "nan", "many"):
        with pytest.raises(Refused):
            wish_of(Pace(), f"{name}={wrong}")


def _ask(*said: str, marks: tuple[int, ...] | None = None) -> Ask:
    return Ask(model="echo", digest="", user_text="", said=list(said), marks=marks)


@given(st.integers(0, 9_000), st.integers(0, 9_000))
def test_cached_tokens_are_a_part_of_the_input(shared: int, own: int) -> None:
    cache = PromptCache()
    cache.count(_ask("a" * shared, "b" * own), b"key", told_cached=0)
    counted = cache.count(_ask("a" * shared, "c" * own), b"key", told_cached=0)
    assert counted.input == -(-(shared + own) // 4)
    assert counted.cached <= shared // 4 or (own == 0 and counted.cached <= counted.input)
    assert counted.cached >= shared // 4 - 127 or shared < 4_096


def test_another_key_has_another_cache() -> None:
    cache = PromptCache()
    book = "a" * 8_000
    assert cache.count(_ask(book), b"one", told_cached=0).cached == 0
    assert cache.count(_ask(book), b"two", told_cached=0).cached == 0
    assert cache.count(_ask(book), b"one", told_cached=0).cached > 1_024


def test_a_marked_prefix_that_grew_is_read_up_to_the_old_mark_and_written_to_the_new() -> None:
    cache = PromptCache()
    first, more = "a" * 8_000, "b" * 4_000
    assert cache.count(_ask(first, marks=(1,)), b"k", told_cached=0) == (2_000, 0, 2_000)
    assert cache.count(_ask(first, more, "c", marks=(1, 2)), b"k", told_cached=0) == (3_001, 2_000, 1_000)


def test_the_cache_forgets_the_oldest() -> None:
    cache = PromptCache(capacity=3)
    for letter in "abcd":
        cache.count(_ask(letter * 4_096), b"k", told_cached=0)
    assert cache.count(_ask("d" * 4_096), b"k", told_cached=0).cached == 1_024
    assert cache.count(_ask("a" * 4_096), b"k", told_cached=0).cached == 0
