"""Rules over texts: whole ones, and ones that come in pieces."""

import json
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from samovar.domains.gateway.errors import GuardBlocked
from samovar.domains.gateway.model.guard import (
    EXACT_CHARS,
    LONGEST_FIND_CHARS,
    WINDOW_CHARS,
    Find,
    GrowingText,
    Screen,
    found_in,
    merged,
)
from samovar.domains.gateway.model.screening import ScreenedStream, screened_request, screened_response
from samovar.kernel.guard import Guard, GuardAction, GuardRule, compiled, flaws_of
from samovar.ports.llm import (
    ArgumentsDelta,
    ChatRequest,
    ChatResponse,
    Delta,
    Media,
    MediaKind,
    Message,
    Opaque,
    PartClosed,
    PartOpened,
    Reasoning,
    Role,
    SignatureDelta,
    Stop,
    StopKind,
    Stopped,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from tests.domains.gateway.screens import blocking, redacting, request, screen

KEY = r"sk-[a-z0-9]{4,}"
EMAIL = r"(?i)\b[a-z0-9.]+@[a-z0-9]+\.[a-z]{2,8}\b"
NAME = r"Проект\s+\p{Lu}\p{Ll}+"
CARD = r"\b\d{4}(?:[ -]?\d{4}){3}\b"
LINE = r"(?m)^password: .{1,300}$"
START = r"^\w+"
PATTERNS = [KEY, EMAIL, NAME, CARD, LINE, START, r"a.{0,40}b", r"\bfoo\b", r"(?s)<<.{0,200}?>>", "ёж|ё"]


def grown(pieces: Iterable[str], ruled: Screen) -> str:
    text = GrowingText(ruled)
    return "".join([text.feed(piece) for piece in pieces]) + text.end()


def cut(text: str, at: Sequence[int]) -> list[str]:
    places = sorted({0, len(text), *(place % (len(text) + 1) for place in at)})
    return [text[begin:end] for begin, end in pairwise(places)]


WORDS = st.sampled_from(
    ["sk-abc123 ", "sk-ab", "c1", " a.b@c.org ", "@", "Проект ", "Заря ", "1234 5678 9012 3456 ", "password: хорошо\n", "foo ",
     "foobar ", "a", "b", "<<", ">>", "ё", "ёж", "\n", "日本", "\U0001f600", "x" * 90, " слово" * 40]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    words=st.lists(WORDS, max_size=60),
    at=st.lists(st.integers(0, 10_000), max_size=40),
    chosen=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=5, unique=True),
)
@example(words=["foo "] * 300, at=list(range(550, 1190, 40)), chosen=[START])
@example(words=["x" * 90] * 6 + ["sk-abc123 "] * 3, at=[541, 544, 550], chosen=[KEY])
def test_a_text_in_pieces_is_redacted_as_in_one(words: list[str], at: list[int], chosen: list[str]) -> None:
    ruled, text = redacting(*chosen), "".join(words)
    # What is promised is promised for finds within the window.
    assume(all(find.end - find.start <= WINDOW_CHARS for find in ruled.finds(text)))
    assert grown(cut(text, at), ruled) == ruled.text(text)


@settings(max_examples=60, deadline=None)
@given(words=st.lists(WORDS, min_size=1, max_size=60), chosen=st.sampled_from(PATTERNS))
def test_a_text_letter_by_letter_is_redacted_as_in_one(words: list[str], chosen: str) -> None:
    ruled, text = redacting(chosen), "".join(words)
    assume(all(find.end - find.start <= WINDOW_CHARS for find in ruled.finds(text)))
    assert grown(text, ruled) == ruled.text(text)


@settings(max_examples=200, deadline=None)
@given(before=st.text(max_size=1500), after=st.text(max_size=1500), at=st.lists(st.integers(0, 10_000), max_size=60))
def test_of_a_blocked_text_nothing_of_the_find_gets_out(before: str, after: str, at: list[int]) -> None:
    assume("sk-" not in before + after)
    ruled, text = blocking(KEY), before + " sk-abc123 " + after
    growing = GrowingText(ruled)
    out: list[str] = []

    def say() -> None:
        out.extend(growing.feed(piece) for piece in cut(text, at))
        out.append(growing.end())

    with pytest.raises(GuardBlocked) as blocked:
        say()
    assert "".join((*out, blocked.value.passed)) == before + " "


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_a_find_that_goes_on_growing_is_taken_whole(size: int) -> None:
    text = "so: eyJ" + "abc" * 2000 + ", and on"
    ruled = redacting(r"eyJ[a-z]{3,}")
    assert grown([text[at : at + size] for at in range(0, len(text), size)], ruled) == "so: [redacted], and on"


def test_a_text_of_nothing_but_finds_takes_time_in_proportion() -> None:
    started = time.process_time()
    assert grown(["7" * 40_000], redacting(r"\d")) == "[redacted]" * 40_000
    assert time.process_time() - started < 6


SLOW = ["aa*c|a", "a.*c|a", r"a[^b]*b|a"]


@pytest.mark.parametrize("pattern", SLOW)
@pytest.mark.parametrize("way", ["whole", "at once"])
def test_finds_that_look_far_ahead_take_time_in_proportion_to_the_text(pattern: str, way: str) -> None:
    rules = redacting(pattern, replacement="")

    def took_s(chars: int) -> float:
        started = time.process_time()
        assert (rules.text("a" * chars) if way == "whole" else grown(["a" * chars], rules)) == ""
        return time.process_time() - started

    took_s(20_000)
    # Five times the text would take 25 times as long.
    assert took_s(100_000) < 12 * took_s(20_000)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "ab ", "\n", "é", "1"]), st.integers(1, 900)), max_size=6),
    st.sampled_from(["ab?|1", r"\ba+\b", "a$", r"(?m)b$|^a", r"\Aa|a\z", "a{1,900}b", "[^b1]+", "é.{0,600}1", r"\d"]),
)
def test_a_text_of_many_finds_is_ruled_as_by_one_look(runs: list[tuple[str, int]], pattern: str) -> None:
    # So many that what was looked at is spent before the text begins.
    text = "1" * 3_000 + " " + "".join(word * times for word, times in runs)
    rules = redacting(rf"1|(?:{pattern})", replacement="_")
    [rule] = rules.rules
    wanted = [(one.start(), one.end()) for one in rule.pattern.finditer(text)]
    assert [*found_in(text, rule.pattern)] == wanted
    assert sum(len(text) - start for start, _ in wanted) > EXACT_CHARS


def test_a_long_find_is_found_whole_where_there_are_few() -> None:
    far = "x" * 30_000
    assert redacting("(?s)BEGIN.*?END").text(f"{far}BEGIN{far}END{far}") == f"{far}[redacted]{far}"


def test_what_was_cleared_before_a_block_in_the_same_piece_gets_out() -> None:
    growing = GrowingText(blocking("stop"))
    with pytest.raises(GuardBlocked) as blocked:
        growing.feed("word " * 1_000 + "stop" + " word" * 1_000)
    assert blocked.value.passed == "word " * 1_000


def test_what_is_held_back_is_bounded() -> None:
    growing = GrowingText(redacting(r"x+", KEY))
    for _ in range(1000):
        growing.feed("x" * 50)
        assert len(growing._text) <= LONGEST_FIND_CHARS + WINDOW_CHARS + 100
    plain = GrowingText(redacting(KEY))
    out = sum(len(plain.feed("слово ")) for _ in range(200))
    assert out >= 200 * 6 - WINDOW_CHARS - 100


def test_finds_of_several_rules_that_overlap_become_one_replacement() -> None:
    ruled = screen(
        [
            GuardRule(name="a", pattern="bcd", action=GuardAction.REDACT, replacement="<a>"),
            GuardRule(name="b", pattern="abc", action=GuardAction.REDACT, replacement="<b>"),
        ]
    )
    assert ruled.text("xabcdx") == "x<b>x"
    assert grown("xabcdx", ruled) == "x<b>x"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3), st.integers(1, 20)), max_size=20))
def test_merged_finds_cover_what_they_covered_and_do_not_overlap(raw: list[tuple[int, int, int]]) -> None:
    finds = [Find(start, place, start + length) for start, place, length in raw]
    joined = list(merged(finds))
    assert all(one.end <= two.start for one, two in pairwise(joined))
    covered = {at for find in finds for at in range(find.start, find.end)}
    assert covered == {at for find in joined for at in range(find.start, find.end)}


def test_each_string_of_json_is_looked_at_without_its_escapes_and_the_rest_stays() -> None:
    ruled = redacting(NAME, CARD, "secret")
    text = (
        r'{ "a" : "\u041f\u0440\u043e\u0435\u043a\u0442 Заря", "n":4111111111111111, "secret":[1.50,true,null,"é\n"] }'
    )
    said = ruled.json(text)
    assert said == '{ "a" : "[redacted]", "n":"[redacted]", "[redacted]":[1.50,true,null,"é\\n"] }'
    assert json.loads(said)["n"] == "[redacted]"
    untouched = r'{"x": "\u0041", "y": 1e2 }'
    assert ruled.json(untouched) is untouched or ruled.json(untouched) == untouched


def test_a_replacement_cannot_break_json() -> None:
    ruled = redacting("secret", replacement='"}\\')
    assert json.loads(ruled.json('{"a": "my secret"}')) == {"a": 'my "}\\'}


def test_half_characters_do_not_stop_the_search() -> None:
    assert redacting("secret").text("\ud800 secret \udfff") == "\ud800 [redacted] \udfff"


def test_everything_that_is_said_in_a_request_is_looked_at() -> None:
    asked = ChatRequest(
        model="secret",
        messages=(
            Message(role=Role.SYSTEM, parts=(Text(text="a secret"),)),
            Message(role=Role.ASSISTANT, parts=(ToolCall(id="secret", name="secret", arguments='{"q":"secret"}'),)),
            Message(role=Role.TOOL, parts=(ToolResult(call_id="secret", content=(Text(text="secret!"),)),)),
            Message(
                role=Role.ASSISTANT, parts=(Reasoning(text="secret thought", signature="sig", origin="anthropic"),)
            ),
            Message(role=Role.USER, parts=(Opaque(dialect="d", raw=msgspec.Raw(b'{"secret":"secret","n":1}')),)),
            Message(
                role=Role.USER,
                parts=(Media(kind=MediaKind.FILE, base64="bXkgc2VjcmV0", media_type="text/plain"),),
            ),
        ),
        tools=(Tool(name="secret", description="finds a secret", schema=msgspec.Raw(b'{"description":"secret"}')),),
        stop=("secret",),
        user="secret",
        metadata=msgspec.Raw(b'{"k":"secret"}'),
        extensions={"prediction": msgspec.Raw(b'{"content":"secret"}')},
    )
    ruled = screened_request(asked, redacting("secret", replacement="*"))
    assert [message.parts[0] for message in ruled.messages] == [
        Text(text="a *"),
        ToolCall(id="secret", name="secret", arguments='{"q":"*"}'),
        ToolResult(call_id="secret", content=(Text(text="*!"),)),
        Reasoning(text="* thought", signature=None, origin="anthropic"),
        Opaque(dialect="d", raw=msgspec.Raw(b'{"secret":"*","n":1}')),
        Media(kind=MediaKind.FILE, base64="bXkgKg==", media_type="text/plain"),
    ]
    assert (ruled.tools[0].description, bytes(ruled.tools[0].schema or b"")) == ("finds a *", b'{"description":"*"}')
    assert (ruled.stop, ruled.user, bytes(ruled.metadata or b"")) == (("*",), "*", b'{"k":"*"}')
    assert bytes(ruled.extensions["prediction"]) == b'{"content":"*"}'
    assert ruled.model == "secret"


def test_a_request_in_which_nothing_is_found_is_the_very_same() -> None:
    asked = request(Text(text="hello"), ToolCall(id="1", name="f", arguments='{"a": 1}'))
    assert screened_request(asked, redacting("secret")) is asked


def answer_as_stream(response: ChatResponse, size: int) -> list[Delta]:
    """The same answer in deltas of so many characters."""
    deltas: list[Delta] = []
    for index, part in enumerate(response.parts):
        match part:
            case Text() | Reasoning():
                deltas.append(PartOpened(index, type(part)(text="")))
                deltas += [TextDelta(index, part.text[at : at + size]) for at in range(0, len(part.text), size)]
                if isinstance(part, Reasoning) and part.signature:
                    deltas.append(SignatureDelta(index, part.signature))
            case ToolCall():
                deltas.append(PartOpened(index, msgspec.structs.replace(part, arguments="")))
                said = part.arguments
                deltas += [ArgumentsDelta(index, said[at : at + size]) for at in range(0, len(said), size)]
        deltas.append(PartClosed(index))
    return [*deltas, Stopped(response.stop)]


def gathered(deltas: Iterable[Delta]) -> dict[int, str]:
    said: dict[int, str] = {}
    for delta in deltas:
        if isinstance(delta, TextDelta):
            said[delta.index] = said.get(delta.index, "") + delta.text
        elif isinstance(delta, ArgumentsDelta):
            said[delta.index] = said.get(delta.index, "") + delta.json
        elif isinstance(delta, SignatureDelta):
            said[delta.index] = said.get(delta.index, "") + "+" + delta.signature
    return said


@settings(max_examples=100, deadline=None)
@given(words=st.lists(WORDS, min_size=1, max_size=50), size=st.integers(1, 700))
def test_an_answer_is_ruled_alike_whole_and_as_a_stream(words: list[str], size: int) -> None:
    text = "".join(words)
    response = ChatResponse(
        id="1",
        model="m",
        parts=(
            Reasoning(text=text[::2], signature="sig"),
            Text(text=text),
            ToolCall(id="c", name="f", arguments=json.dumps({"q": text})),
        ),
        stop=Stop(kind=StopKind.END),
        usage=Usage(),
    )
    ruled = redacting(KEY, EMAIL, NAME, CARD)
    whole = screened_response(response, ruled)
    stream = ScreenedStream(ruled)
    said = gathered([one for delta in answer_as_stream(response, size) for one in stream.pass_on(delta)])
    thought, words_out, call = whole.parts
    assert isinstance(thought, Reasoning)
    assert isinstance(words_out, Text)
    assert isinstance(call, ToolCall)
    assert said.get(0, "") == thought.text + ("+sig" if thought.signature else "")
    assert said.get(1, "") == words_out.text
    assert said[2] == call.arguments


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        ({"pattern": "("}, "guard.rules[0].pattern"),
        ({"pattern": "(?=x)"}, "guard.rules[0].pattern"),
        ({"pattern": r"(a)\1"}, "guard.rules[0].pattern"),
        ({"pattern": "x*"}, "guard.rules[0].pattern"),
        ({"pattern": r"\b"}, "guard.rules[0].pattern"),
        ({"pattern": r"\b|secret"}, "guard.rules[0].pattern"),
        ({"pattern": r"a$\b|\B\n?"}, "guard.rules[0].pattern"),
        ({"pattern": r"(?m)x*$"}, "guard.rules[0].pattern"),
        ({"pattern": r"\C"}, "guard.rules[0].pattern"),
        ({"pattern": "\ud800"}, "guard.rules[0].pattern"),
        ({"pattern": r"\p{L}{1,1000}"}, "guard.rules[0].pattern"),
        ({"pattern": "x" * 1001}, "guard.rules[0].pattern"),
        ({"name": ""}, "guard.rules[0].name"),
        ({"name": "a\nb"}, "guard.rules[0].name"),
        ({"replacement": "a\nb"}, "guard.rules[0].replacement"),
        ({"replacement": "x" * 201}, "guard.rules[0].replacement"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_place(rule: dict[str, str], where: str) -> None:
    made = GuardRule(**{"name": "r", "pattern": "x", "action": GuardAction.BLOCK, **rule})  # type: ignore[arg-type]
    assert [flaw.where for flaw in flaws_of(Guard(rules=(made,)))] == [where]


def test_too_many_rules_and_two_of_one_name_are_refused() -> None:
    rule = GuardRule(name="r", pattern="x", action=GuardAction.BLOCK)
    assert [flaw.where for flaw in flaws_of(Guard(rules=(rule, rule)))] == ["guard.rules[1].name"]
    assert [flaw.where for flaw in flaws_of(Guard(rules=(rule,) * 21))] == ["guard.rules"]
    assert [flaw.where for flaw in flaws_of(Guard(max_output_tokens=0, max_input_tokens=-1))] == [
        "guard.max_output_tokens",
        "guard.max_input_tokens",
    ]


@settings(deadline=1000)
@given(
    st.text(max_size=60) | st.text(alphabet=r"ab^$\bB.*?|()", max_size=12),
    st.text(alphabet="ab-\n ", max_size=20),
)
@example(r"\b", "ab")
def test_any_text_is_a_pattern_that_never_matches_the_empty_text_or_is_refused(text: str, looked_at: str) -> None:
    made = GuardRule(name="r", pattern=text, action=GuardAction.BLOCK)
    if not flaws_of(Guard(rules=(made,))):
        assert all(match.end() > match.start() for match in compiled(text).finditer(looked_at))


def test_a_pattern_that_would_explode_elsewhere_takes_linear_time() -> None:
    assert redacting(r"(a+)+$").text("a" * 200_000 + "b") == "a" * 200_000 + "b"
