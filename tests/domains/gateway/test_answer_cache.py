"""What makes two calls the same for the cache of answers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.adapters.system import SystemClock
from samovar.domains.gateway.model import Call
from samovar.domains.gateway.model.answer_cache import answer_name, cache_ask, canonical
from samovar.domains.gateway.model.call import CacheAsk
from samovar.kernel.answer_cache import KeyCache
from samovar.kernel.errors import Malformed
from samovar.kernel.guard import Guard
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.dialect import Head
from samovar.providers.openai import OpenAIChat

ASK = CacheAsk(ttl_s=60, own=False, always=True, form="text/event-stream")
NAMES = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
BODIES = st.dictionaries(NAMES.filter(lambda name: name not in ("stream", "stream_options")), JSON, max_size=6)


def somebody(**differences: Any) -> Principal:
    given = {"id": "key_1", "team_id": "default"} | differences
    return Principal(kind=PrincipalKind.KEY, name="k", permissions=frozenset(), **given)


def call(body: bytes, *, stream: bool = False, **differences: Any) -> Call:
    given: dict[str, Any] = {"principal": somebody(), "head": Head(model="gpt", stream=stream), **differences}
    return Call(
        id="call_1",
        request_id="r",
        surface=OpenAIChat(),
        body=body,
        started=0.0,
        started_at=SystemClock().now(),
        **given,
    )


def shuffled(value: Any, draw: Any) -> Any:
    if isinstance(value, dict):
        names = draw(st.permutations(list(value)))
        return {name: shuffled(value[name], draw) for name in names}
    return [shuffled(one, draw) for one in value] if isinstance(value, list) else value


@given(BODIES, st.data())
def test_spelling_does_not_matter(body: dict[str, Any], data: st.DataObject) -> None:
    other = shuffled(body, data.draw)
    indent = data.draw(st.sampled_from([None, 1, 4]))
    spelled = json.dumps(other, indent=indent, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    plain = json.dumps(body).encode()
    assert answer_name(call(plain), ASK) == answer_name(call(spelled), ASK)


@given(BODIES, BODIES)
def test_what_is_asked_does(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical(one, stream=False) == canonical(other, stream=False)) is same


@given(BODIES, st.booleans())
def test_flags_of_streams_are_no_part_of_what_is_asked(body: dict[str, Any], flag: bool) -> None:
    flagged = {**body, "stream": flag, "stream_options": {"include_usage": flag}}
    assert canonical(flagged, stream=False) == canonical(body, stream=False)
    # What is said about usage changes what a stream holds.
    assert canonical(flagged, stream=True) != canonical(body, stream=True)


def test_team_own_key_guard_model_headers_and_form_part_answers() -> None:
    body = b'{"model":"gpt","messages":[]}'
    named = [
        answer_name(call(body), ASK),
        answer_name(call(body, principal=somebody(team_id="other")), ASK),
        answer_name(call(body, principal=somebody(guard=Guard(max_output_tokens=5))), ASK),
        answer_name(call(body), CacheAsk(ttl_s=60, own=True, always=True, form="")),
        answer_name(call(body, principal=somebody(id="key_2")), CacheAsk(ttl_s=60, own=True, always=True, form="")),
        answer_name(call(body, head=Head(model="gpt-5")), ASK),
        answer_name(call(body, forwarded=[("anthropic-beta", "x")]), ASK),
        answer_name(call(body, surface_name="openai-embeddings"), ASK),
        answer_name(call(body, stream=True), ASK),
        answer_name(call(body, stream=True), CacheAsk(ttl_s=60, own=False, always=True, form="application/json")),
    ]
    assert None not in named
    assert len(set(named)) == len(named)
    # Another key of the team shares it, however long each wants it kept.
    shared = answer_name(call(body, principal=somebody(id="key_2")), CacheAsk(ttl_s=9, own=False, always=True, form=""))
    assert shared == named[0]


@pytest.mark.parametrize(
    ("body", "is_cold"),
    [
        ({"temperature": 0}, True),
        ({"temperature": 0.0}, True),
        ({"temperature": -0.0}, True),
        ({"generationConfig": {"temperature": 0}}, True),
        ({"generation_config": {"temperature": 0}}, True),
        ({}, False),
        ({"temperature": 1}, False),
        ({"temperature": 1e-9}, False),
        ({"temperature": False}, False),
        ({"temperature": None}, False),
        ({"temperature": "0"}, False),
        ({"generationConfig": {"temperature": 1}, "temperature": 0}, False),
        ([], False),
    ],
)
def test_a_key_asks_only_for_what_is_made_at_temperature_0(body: Any, is_cold: bool) -> None:
    ask = CacheAsk(ttl_s=60, own=False, always=False, form="")
    assert (answer_name(call(json.dumps(body).encode()), ask) is not None) is is_cold


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'{"a":1e999}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b"\xff"]
)
def test_what_cannot_be_read_is_not_remembered(body: bytes) -> None:
    assert answer_name(call(body), ASK) is None


def test_numbers_past_64_bits_are_no_defect() -> None:
    answer_name(call(b'{"a":%d}' % 2**200), ASK)


def test_a_stream_that_tells_its_cost_is_not_remembered() -> None:
    assert answer_name(call(b"{}", stream=True, wants_cost=True), ASK) is None
    assert answer_name(call(b"{}", wants_cost=True), ASK) is not None


def test_headers_ask_before_the_key_does() -> None:
    key = KeyCache(ttl_s=100, own=True)
    assert cache_ask(None, None, None, form="f") is None
    assert cache_ask(None, None, key, form="f") == CacheAsk(ttl_s=100, own=True, always=False, form="f")
    assert cache_ask(b"0", None, key, form="f") is None
    assert cache_ask(b"0", b"9", None, form="f") is None
    assert cache_ask(b"1", None, None, form="f") == CacheAsk(ttl_s=3600, own=False, always=True, form="f")
    assert cache_ask(None, b"5", key, form="f") == CacheAsk(ttl_s=5, own=True, always=True, form="f")
    assert cache_ask(b"1", None, key, form="f") == CacheAsk(ttl_s=100, own=True, always=True, form="f")


@pytest.mark.parametrize(
    ("switch", "ttl"), [(b"yes", None), (b"", None), (None, b"0"), (None, b"604801"), (b"1", b"-1"), (None, b"\xb2")]
)
def test_headers_that_say_nothing_known_are_refused(switch: bytes | None, ttl: bytes | None) -> None:
    with pytest.raises(Malformed, match="x-samovar-cache"):
        cache_ask(switch, ttl, None, form="")
