"""Cleaning an answer: the same whether it comes whole or in pieces, and the same as the pattern held against the whole text."""

import time

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from samovar.domains.vision.errors import BadPattern
from samovar.domains.vision.model.cleanup import (
    DEFAULT,
    LONGEST_FIND_CHARS,
    WINDOW_CHARS,
    Cleanup,
    LineCleaner,
    WindowCleaner,
    cleaned,
    cleaner,
)

LINE_PATTERNS = [
    ("^(?:System|Meta|Debug).*$", "gmi"),
    ("^(?:System|Meta|Debug).*$", "mi"),
    ("^(?:System|Meta|Debug).*$", "g"),
    ("^Debug", "gm"),
    ("^(Sk|s)x?", "gmi"),
    ("^De{0,2}bug", "gm"),
    ("^De*b", "gm"),
    (r"\bebug\b", "gi"),
    ("a$", "g"),
    ("a$", "gm"),
    ("^a", "g"),
    (r"\Aa|a\z", "g"),
    ("a*|b", "g"),
    ("a*|b", ""),
    ("b|ab", ""),
    ("^$", "m"),
    ("[a-c]+", "g"),
]
WINDOW_PATTERNS = [
    ("<t>.*?</t>", "gs"),
    (r"\s+$", "gm"),
    (r"a[^b]*b", "g"),
    ("(?s)a.b", "g"),
    (r"\n\n+", "g"),
    ("a\nb", ""),
    (r"[[:space:]]b", "g"),
    (r"\x0ab", "g"),
    (r"\Wb$", "gm"),
]
WORDS = [
    "System",
    "meta",
    "DEBUG",
    "ſystem",
    "Debug:",
    "<t>",
    "</t>",
    "a",
    "b",
    "ab",
    "k",
    "\u212a",
    "ß",
    " ",
    "\n",
    "\r\n",
    "x",
    "",
    "é",
    "\ud800",
]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=30).map("".join)


def whole(text: str, pattern: str, flags: str) -> str:
    """The pattern's own word on a whole text, by RE2 itself."""
    inline = "".join(flag for flag in flags if flag in "ims")
    seen = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    found = list(re2.compile(f"(?{inline}){pattern}" if inline else pattern).finditer(seen))
    done, out = 0, []
    for match in found if "g" in flags else found[:1]:
        out.append(text[done : match.start()])
        done = match.end()
    return "".join((*out, text[done:]))


def in_pieces(text: str, cuts: list[int], cleanup: Cleanup) -> str:
    one = cleaner(cleanup)()
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    pieces = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    return "".join(one.feed(piece) for piece in pieces) + one.end()


@given(TEXTS, st.lists(st.integers(0, 200), max_size=12), st.sampled_from(LINE_PATTERNS + WINDOW_PATTERNS))
@example("Debug", [5], ("^(?:System|Meta|Debug).*$", "gmi"))
@example("x\nDebug: y\nz", [2, 3, 4, 9], ("^(?:System|Meta|Debug).*$", "gmi"))
def test_pieces_however_cut_give_what_the_pattern_leaves_of_the_whole_text(
    text: str, cuts: list[int], asked: tuple[str, str]
) -> None:
    cleanup = Cleanup(*asked)
    expected = whole(text, *asked)
    assert cleaned(text, cleaner(cleanup)) == expected
    assert in_pieces(text, cuts, cleanup) == expected


@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.integers(1, 3_000)), max_size=12),
    st.lists(st.integers(0, 50_000), max_size=12),
    st.sampled_from([*WINDOW_PATTERNS, ("[^x]+", "g"), ("(?s)Debug.*$", "g"), ("(?s)Debug.*$", "")]),
)
def test_long_texts_are_cleaned_alike_however_they_are_cut(
    runs: list[tuple[str, int]], cuts: list[int], asked: tuple[str, str]
) -> None:
    text = "".join(word * times for word, times in runs)
    cleanup = Cleanup(*asked)
    assert in_pieces(text, cuts, cleanup) == cleaned(text, cleaner(cleanup))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.integers(1, 1_500)), max_size=4),
    st.lists(st.integers(0, 12_000), max_size=6),
    st.sampled_from(
        [("ab?|x", "g"), (r"\bebug\b", "gi"), ("a$", "g"), ("b$|^a", "gm"), (r"\Aa|a\z", "g"), ("a*", "g")]
    ),
)
@example([("x", 3_000), ("\n", 1), ("a", 1)], [], (r"\Aa|a\z", "g"))
@example([("a", 1_300), ("\n", 1), ("a", 1_400), ("b", 1_400), ("\n", 2), ("a", 1)], [], ("b$|^a", "gm"))
def test_a_long_line_is_cleaned_as_the_whole_text_would_be(
    runs: list[tuple[str, int]], cuts: list[int], asked: tuple[str, str]
) -> None:
    text = "".join(word * times for word, times in runs)
    assert isinstance(cleaner(Cleanup(*asked))(), LineCleaner)
    assert in_pieces(text, cuts, Cleanup(*asked)) == whole(text, *asked)


@pytest.mark.parametrize(("pattern", "flags"), [("aa*c|a", "g"), ("a.*c|a", "gs")])
def test_finds_that_look_far_ahead_take_time_in_proportion_to_the_text(pattern: str, flags: str) -> None:
    def took_s(chars: int) -> float:
        started = time.process_time()
        assert cleaned("a" * chars, cleaner(Cleanup(pattern, flags))) == ""
        return time.process_time() - started

    took_s(5_000)
    # Ten times the text would take a hundred times as long.
    assert took_s(50_000) < 15 * took_s(5_000)


@given(st.integers(0, 3 * WINDOW_CHARS), st.integers(0, WINDOW_CHARS - 7), st.integers(0, 3 * WINDOW_CHARS))
def test_a_find_over_several_lines_is_found_up_to_the_window(before: int, inside: int, behind: int) -> None:
    text = "x" * before + "<t>" + "\n" * inside + "</t>" + "y" * behind
    assert cleaned(text, cleaner(Cleanup("<t>.*?</t>", "gs"))) == "x" * before + "y" * behind


def test_a_find_that_goes_on_growing_is_found_whole() -> None:
    text = "kept\n" * 1_000 + "Debug" + "\n." * 20_000
    assert len(text) < LONGEST_FIND_CHARS
    assert cleaned(text, cleaner(Cleanup("Debug.*", "gs"))) == "kept\n" * 1_000


def test_the_default_takes_lines_of_the_systems_voice_and_leaves_the_rest() -> None:
    text = "A cat.\nSystem: you are kind\nmeta data\n  debug is indented\nIt sleeps.\nDEBUG 7"
    assert cleaned(text, cleaner(DEFAULT)) == "A cat.\n\n\n  debug is indented\nIt sleeps.\n"


def test_a_line_goes_out_as_soon_as_it_cannot_be_one_of_those() -> None:
    one = cleaner(DEFAULT)()
    assert one.feed("S") == ""
    assert one.feed("ys") == ""
    assert one.feed("t is a word") == "Syst is a word"
    assert one.feed(" more") == " more"
    assert one.feed("\nDe") == "\n"
    assert one.feed("bug: secret") == ""
    assert one.feed(" more\nDeb") == "\n"
    assert one.feed("ris.") == "Debris."
    assert one.end() == ""


def test_lines_are_held_whole_where_a_find_may_begin_anywhere() -> None:
    one = cleaner(Cleanup("secret.*", "g"))()
    assert isinstance(one, LineCleaner)
    assert one.feed("a sec") == ""
    assert one.feed("ret b") == ""
    assert one.feed("\nc") == "a \n"
    assert one.end() == "c"


def test_no_more_is_held_back_than_a_window() -> None:
    one = cleaner(Cleanup("<t>.*?</t>", "gs"))()
    assert isinstance(one, WindowCleaner)
    out = sum(len(one.feed("x")) for _ in range(10 * WINDOW_CHARS))
    assert 10 * WINDOW_CHARS - out <= WINDOW_CHARS + 256


@pytest.mark.parametrize(
    ("pattern", "flags", "why"),
    [
        (r"(a)\1", "g", "invalid escape"),
        ("(?<=a)b", "g", r"\(\?<"),
        ("(", "g", "missing"),
        (")(", "gm", "unexpected"),
        ("a{1001}", "g", "repetition"),
        ("(((a{100}){100}){100})", "g", "repetition"),
        ("(?:a?){999}(?:b{900}c{900}){1,900}", "g", "RE2"),
        (r"\C", "g", "half a letter"),
        ("", "g", "1 to 1000"),
        ("a" * 1_001, "g", "1 to 1000"),
        ("a", "gg", "flags"),
        ("a", "y", "flags"),
        ("\ud800", "g", "half a character"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, flags: str, why: str) -> None:
    with pytest.raises(BadPattern, match=why) as refused:
        cleaner(Cleanup(pattern, flags))
    assert refused.value.http_status == 422


def test_what_is_catastrophic_elsewhere_takes_linear_time() -> None:
    text = "a" * 30_000 + "!"
    assert cleaned(text, cleaner(Cleanup("^(a+)+$", "gm"))) == text
    assert cleaned(text, cleaner(Cleanup("(?:a|a)*b", "gs"))) == text


def test_a_line_of_nothing_but_finds_takes_time_in_proportion() -> None:
    # A search from the text's beginning for each of them would be some seconds of work, on the event loop.
    for pattern in ("b", "a?"):
        started = time.process_time()
        assert len(cleaned("b" * 60_000, cleaner(Cleanup(pattern, "g")))) in (0, 60_000)
        assert time.process_time() - started < 8
