"""What only its maker can read again carries the maker's mark, and nothing else of an answer changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.ports.dialect import BadAnswer
from samovar.ports.pins import Pin, maker_of, may_hold_pins, pinned, pinned_json, unpinned
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import VENDORS
from tests.providers.openai_responses.samples import CREATED, DONE, STREAM, event
from tests.support.streams import cut

DIALECT, OPENAI = OpenAIResponses(), VENDORS["openai"]
MAKER = maker_of("prov_1")
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA-thinking_x="}


def _asked(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hello", **fields}).encode()


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_mark_comes_off_as_it_went_on(text: str, provider_id: str) -> None:
    maker = maker_of(provider_id)
    assert unpinned(pinned(text, maker)) == Pin(text, maker)
    assert may_hold_pins(json.dumps(pinned(text, maker)).encode())


@pytest.mark.parametrize(
    "text", ["", "resp_1", "_smv0123abcd", "resp_1_smv0123abc", "resp_1_smv0123ABCD", "r_smv0123abcde"]
)
def test_what_carries_no_mark_is_nobodys(text: str) -> None:
    assert unpinned(text) is None


@given(st.lists(st.integers(0, len(STREAM))))
def test_a_stream_names_its_maker_wherever_it_is_cut(places: list[int]) -> None:
    relay = DIALECT.relay(vendor=OPENAI, wants_usage=True, maker=MAKER)
    out = b"".join(relay.feed(block) for block in cut(STREAM, places)) + relay.end()
    assert out == STREAM.replace(b'"resp_1"', b'"%b"' % pinned("resp_1", MAKER).encode())
    assert out != STREAM


def test_encrypted_reasoning_of_a_stream_is_marked_where_it_first_stands_and_at_the_end() -> None:
    relay = DIALECT.relay(vendor=OPENAI, wants_usage=True, maker=MAKER)
    item = event("response.output_item.done", 1, output_index=0, item=THOUGHT)
    last = event("response.completed", 2, response={**DONE, "output": [THOUGHT]})
    out = b"".join(relay.feed(block) for block in (CREATED, item, last)) + relay.end()
    marked = pinned(str(THOUGHT["encrypted_content"]), MAKER).encode()
    assert out.count(b'"%b"' % marked) == 2
    assert b'gAAAA-thinking_x="' not in out


def test_a_whole_answer_says_what_is_to_be_marked() -> None:
    body = json.dumps({**DONE, "output": [THOUGHT], "metadata": {"note": "resp_1 it is"}}).encode()
    marked = json.loads(pinned_json(body, DIALECT.tap(body, vendor=OPENAI).pins, MAKER))
    assert marked["id"] == pinned("resp_1", MAKER)
    assert marked["output"][0]["encrypted_content"] == pinned("gAAAA-thinking_x=", MAKER)
    assert marked["metadata"] == {"note": "resp_1 it is"}


def test_a_failure_of_ours_keeps_the_name_that_the_stream_began_with() -> None:
    relay = DIALECT.relay(vendor=OPENAI, wants_usage=True, maker=MAKER)
    relay.feed(CREATED)
    with pytest.raises(BadAnswer) as caught:
        relay.end()
    assert pinned("resp_1", MAKER).encode() in relay.fail(caught.value)


def test_the_vendor_gets_its_own_words_back() -> None:
    kept = {**THOUGHT, "encrypted_content": pinned("gAAAA", MAKER)}
    said = {"role": "user", "content": f"what is {pinned('resp_1', MAKER)}"}
    body = _asked(previous_response_id=pinned("resp_1", MAKER), input=[kept, said])
    assert DIALECT.read_head(body).makers == {MAKER}
    sent = json.loads(DIALECT.splice(body, model="m", vendor=OPENAI))
    assert sent["previous_response_id"] == "resp_1"
    assert sent["input"] == [{**THOUGHT, "encrypted_content": "gAAAA"}, said]


def test_all_makers_are_named() -> None:
    other = maker_of("prov_2")
    kept = {**THOUGHT, "encrypted_content": pinned("gAAAA", other)}
    assert DIALECT.read_head(_asked(previous_response_id=pinned("r", MAKER), input=[kept])).makers == {MAKER, other}


@pytest.mark.parametrize("before", ["resp_1", "resp_smv", None])
def test_a_name_without_a_mark_is_left_alone(before: str | None) -> None:
    body = _asked(previous_response_id=before, input=[THOUGHT])
    assert DIALECT.read_head(body).makers == frozenset()
    assert json.loads(DIALECT.splice(body, model="m", vendor=OPENAI))["previous_response_id"] == before


def test_a_call_that_is_taken_apart_loses_its_marks_too() -> None:
    kept = {**THOUGHT, "encrypted_content": pinned("gAAAA", MAKER)}
    said = {"role": "user", "content": "go on"}
    body = _asked(previous_response_id=pinned("resp_1", MAKER), input=[kept, said])
    sent = json.loads(DIALECT.write_request(DIALECT.read_request(body), vendor=OPENAI, drop_params=False))
    assert sent["previous_response_id"] == "resp_1"
    assert sent["input"][0]["encrypted_content"] == "gAAAA"
