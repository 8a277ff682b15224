"""No secret reaches a log, wherever it stands, and no value is too large or too odd to be logged."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from samovar.app.telemetry.redaction import (
    MAX_EVENT_CHARS,
    MAX_ITEMS,
    MAX_TEXT_CHARS,
    REDACTED,
    is_secret_name,
    redact,
    redact_text,
)

_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _of(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most)


_TOKEN = _of(_WORD + "_-", 20, 60)
_HEX = "0123456789abcdef"
# What stands alone and is known by its looks: each gives the part that must not survive, and the whole text.
SHAPES: dict[str, st.SearchStrategy[tuple[str, str]]] = {
    prefix: st.tuples(_TOKEN, st.just(prefix)).map(lambda both: (both[0], both[1] + both[0]))
    for prefix in (
        "sk-samovar-",
        "sk-proj-",
        "sk-ant-api03-",
        "sk-or-v1-",
        "xai-",
        "r8_",
        "gsk_",
        "hf_",
        "ghp_",
        "github_pat_",
        "glpat-",
        "whsec_",
        "xoxb-",
        "AIza",
        "eyJhbGciOiJ",
        "Bearer ",
        "bearer  ",
        "Basic ",
    )
} | {
    "AWS": _of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 16, 16).map(lambda core: (core, f"AKIA{core}")),
    "BigModel": st.tuples(_of(_HEX, 32, 32), _of(_WORD, 16, 16)).map(lambda both: (both[1], ".".join(both))),
    "fal": st.tuples(st.uuids().map(str), _of(_HEX, 32, 32)).map(lambda both: (both[1], ":".join(both))),
    "URL": _of(_WORD + "@:", 8, 40).map(lambda core: (core, f"redis://:{core}@db.internal:6379/0")),
    "URL with a user": _of(_WORD, 8, 40).map(lambda core: (core, f"postgresql://samovar:{core}@db/samovar")),
    "query": _of(_WORD, 6, 40).map(lambda core: (core, f"https://x.test/v1?a=1&key={core}&b=2")),
    "PEM": _of(_WORD + "+/=\n", 40, 200).map(
        lambda core: (core, f"-----BEGIN RSA PRIVATE KEY-----\n{core}\n-----END RSA PRIVATE KEY-----")
    ),
    "JSON in text": _of(_WORD, 6, 40).map(lambda core: (core, f'{{"api_key": "{core}"}}')),
    "JSON in JSON": _of(_WORD, 6, 40).map(lambda core: (core, f'{{\\"client_secret\\":\\"{core}\\"}}')),
    "header": _of(_WORD, 6, 40).map(lambda core: (core, f"X-Admin-Token: {core}")),
    "raw header": _of(_WORD, 6, 40).map(lambda core: (core, f"(b'x-api-key', b'{core}')")),
    "sentence": _of(_WORD, 6, 40).map(lambda core: (core, f"sign-in failed, password={core}; try again")),
}
NAMES = ("api_key", "OPENAI_API_KEY", "Authorization", "x-goog-api-key", "set-cookie", "clientSecret", "refresh_token")
_NEIGHBOURS = st.text(" .,:;!?()[]{}\"'\n\tжЯ我", max_size=10)
_ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)


def _nestings(secret: Any) -> st.SearchStrategy[Any]:
    """``secret`` somewhere inside lists, tuples, sets, mappings (as key and as value) and exceptions."""
    wraps: tuple[Callable[[Any], Any], ...] = (
        lambda inner: [0, inner],
        lambda inner: (inner, "x", "y"),
        lambda inner: {"detail": inner},
        lambda inner: {str(inner): 1},
        lambda inner: frozenset([str(inner)]),
        lambda inner: ValueError(inner),
        lambda inner: str(inner).encode(),
    )
    return st.lists(st.sampled_from(wraps), max_size=5).map(lambda chain: _wrapped(secret, chain))


def _wrapped(value: Any, chain: list[Callable[[Any], Any]]) -> Any:
    for wrap in chain:
        value = wrap(value)
    return value


@pytest.mark.parametrize("family", SHAPES)
@given(data=st.data())
def test_a_secret_of_each_family_survives_nowhere(family: str, data: st.DataObject) -> None:
    core, text = data.draw(SHAPES[family])
    around = data.draw(_NEIGHBOURS), data.draw(_NEIGHBOURS)
    event = {"event": "x", "what": data.draw(_nestings(f"{around[0]} {text} {around[1]}"))}
    assert core not in msgspec.json.encode(redact(event)).decode()


@pytest.mark.parametrize("name", NAMES)
@given(secret=st.text(_WORD, min_size=6), data=st.data())
def test_what_stands_under_a_secrets_name_survives_nowhere(name: str, secret: str, data: st.DataObject) -> None:
    at = data.draw(
        st.sampled_from([{name: secret}, {name: [secret]}, [(name, secret)], [(name.encode(), secret.encode())]])
    )
    clean = redact({"event": "x", "inner": at})
    assert clean["inner"] in ({name: REDACTED}, [[name, REDACTED]])


@given(core=_TOKEN, before=st.integers(MAX_TEXT_CHARS - 80, MAX_TEXT_CHARS + 5000))
def test_a_secret_across_the_cut_leaves_no_piece(core: str, before: int) -> None:
    clean = redact_text("x" * before + " sk-ant-" + core + " " + "y" * 5000)
    assert core[:8] not in clean


@given(
    value=st.recursive(_ATOMS, lambda inner: st.lists(inner) | st.dictionaries(_ATOMS.map(repr) | st.binary(), inner))
)
def test_whatever_is_logged_becomes_json(value: Any) -> None:
    msgspec.json.encode(redact({"event": "x", "what": value}))


@pytest.mark.parametrize("name", ["tokens", "max_tokens", "input_tokens", "keyboard", "author", "monkey", "event"])
def test_a_harmless_name_is_no_secret(name: str) -> None:
    assert not is_secret_name(name)
    assert redact({name: "plain"}) == {name: "plain"}


@pytest.mark.parametrize(
    "text",
    ["openai/gpt-5-mini", "max_tokens=5 tokens: 7", "task-force-one-two-three", "key_01K8ZZZZZZZZZZZZZZZZZZZZZZ"],
)
def test_a_harmless_text_stays(text: str) -> None:
    assert redact_text(text) == text


def test_a_ten_megabyte_value_is_cut() -> None:
    started = time.perf_counter()
    clean = redact({"event": "x", "text": "x" * 10_000_000, "bytes": b"\xff" * 10_000_000})
    assert len(msgspec.json.encode(clean)) < 3 * 3 * MAX_TEXT_CHARS
    assert clean["text"].endswith("(10000000 characters)")
    assert time.perf_counter() - started < 1


def test_a_wide_value_is_cut() -> None:
    clean = redact({"list": list(range(100_000)), "mapping": {str(n): n for n in range(100_000)}})
    assert len(clean["list"]) == len(clean["mapping"]) == MAX_ITEMS + 1
    assert clean["list"][-1] == f"... {100_000 - MAX_ITEMS} more"


def test_many_large_values_share_one_bound() -> None:
    clean = redact({"all": [["x" * 5000] * 90] * 90})
    assert len(msgspec.json.encode(clean)) < 2 * MAX_EVENT_CHARS


def test_a_value_that_holds_itself_ends() -> None:
    ring: dict[str, Any] = {}
    ring["self"] = ring
    assert "..." in str(redact(ring))


def test_a_value_that_cannot_describe_itself_is_named() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert redact({"what": Mute()}) == {"what": "<Mute without words: RuntimeError>"}


def test_numbers_that_json_lacks_become_words() -> None:
    assert redact([float("nan"), float("inf"), 10**5000]) == ["nan", "inf", "an integer of 16610 bits"]


def test_a_sealed_setting_stays_sealed() -> None:
    assert "hunter" not in str(redact({"setting": SecretStr("hunter2hunter2")}))


@pytest.mark.parametrize(
    "piece", ["a-", "token ", "a_", "://", "://a:", ":", "-----BEGIN ", "sk-", "token:", "0a1b2c3d", "?key"]
)
def test_no_text_makes_redaction_slow(piece: str) -> None:
    text = piece * (MAX_TEXT_CHARS // len(piece))
    started = time.thread_time()
    redact_text(text)
    # Linear is a few milliseconds; the bound only has to tell it from seconds.
    assert time.thread_time() - started < 0.5
