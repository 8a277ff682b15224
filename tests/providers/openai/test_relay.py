"""A stream that passes through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.errors import Unavailable
from samovar.ports.dialect import BadAnswer, UpstreamError, Vendor
from samovar.ports.llm import StopKind
from samovar.providers.openai import OpenAIChat
from samovar.providers.vendors import VENDORS
from tests.providers.openai.samples import DONE, TALK, USAGE, bodies, chunk, cut, event, passed, read_all


def test_what_the_caller_asked_for_passes_byte_for_byte(dialect: OpenAIChat, openai: Vendor) -> None:
    relay = dialect.relay(vendor=openai, wants_usage=True)
    assert passed(relay, [TALK]) == TALK
    assert relay.usage is not None
    assert (relay.usage.input_tokens, relay.usage.cached_input_tokens, relay.usage.reasoning_tokens) == (9, 4, 2)
    assert relay.stop is not None
    assert relay.stop.kind is StopKind.TOOL_CALLS
    # "Hmm." + "Привет, " + the second text + both calls' arguments.
    assert relay.output_chars == 4 + 8 + len('мир "usage":null \n\n🙂') + len('{"city":"Тула"}') + len('{"a":1}')


def test_usage_that_only_we_asked_for_is_taken_out_again(dialect: OpenAIChat, openai: Vendor) -> None:
    relay = dialect.relay(vendor=openai, wants_usage=False)
    seen = bodies(out := passed(relay, [TALK]))
    assert all("usage" not in body for body in seen)
    assert seen[3]["choices"][0]["delta"]["content"] == 'мир "usage":null \n\n🙂'
    assert out.endswith(DONE)
    assert relay.usage is not None
    assert relay.usage.output_tokens == 5


def test_a_chunk_that_nobody_knows_passes_and_is_counted(dialect: OpenAIChat, openai: Vendor) -> None:
    foreign = event({"object": "dream", "choices": []})
    # Azure's first chunk has neither id nor choices, and is known.
    first = event({"object": "", "choices": [], "prompt_filter_results": []})
    relay = dialect.relay(vendor=openai, wants_usage=True)
    assert passed(relay, [first + foreign + TALK]) == first + foreign + TALK
    assert relay.unknown_events == 1
    reader = dialect.stream_reader(vendor=openai)
    assert read_all(reader, [first + foreign + TALK]) == read_all(dialect.stream_reader(vendor=openai), [TALK])
    assert reader.unknown_events == 1


def test_usage_in_the_finish_chunk_stays(dialect: OpenAIChat) -> None:
    stream = chunk({"content": "да"}) + chunk({}, finish="stop", usage=USAGE) + DONE
    relay = dialect.relay(vendor=VENDORS["bigmodel"], wants_usage=False)
    assert passed(relay, [stream]) == stream
    assert relay.usage is not None
    assert relay.usage.input_tokens == 9


@given(at=st.lists(st.integers(0, len(TALK)), max_size=40), wants_usage=st.booleans(), crlf=st.booleans())
def test_a_stream_cut_anywhere_passes_alike(at: list[int], wants_usage: bool, crlf: bool) -> None:
    stream = TALK.replace(b"\n", b"\r\n") if crlf else TALK
    whole = OpenAIChat().relay(vendor=VENDORS["openai"], wants_usage=wants_usage)
    pieces = OpenAIChat().relay(vendor=VENDORS["openai"], wants_usage=wants_usage)
    assert passed(pieces, cut(stream, at)) == passed(whole, [TALK])
    assert (pieces.usage, pieces.stop, pieces.output_chars) == (whole.usage, whole.stop, whole.output_chars)


@given(
    lines=st.lists(st.sampled_from([b"\n", b"\r", b": hi\n", b"data: [DONE]\n", chunk({"content": "x"})]), max_size=12),
    at=st.lists(st.integers(0, 2_000), max_size=12),
)
def test_odd_line_ends_cut_anywhere_pass_alike(lines: list[bytes], at: list[int]) -> None:
    stream = chunk({"content": "a"}) + b"".join(lines) + chunk({}, finish="stop") + DONE

    def outcome(blocks: list[bytes]) -> bytes | type[BadAnswer]:
        try:
            return passed(OpenAIChat().relay(vendor=VENDORS["openai"], wants_usage=True), blocks)
        except BadAnswer:
            return BadAnswer

    assert outcome(cut(stream, at)) == outcome([stream])


def test_nothing_has_started_before_the_first_content(dialect: OpenAIChat, openai: Vendor) -> None:
    relay = dialect.relay(vendor=openai, wants_usage=True)
    relay.feed(b": OPENROUTER PROCESSING\n\n")
    relay.feed(chunk({"role": "assistant", "content": ""}))
    assert not relay.started
    relay.feed(chunk({"reasoning_content": "so"}))
    assert relay.started


def test_an_error_before_content_is_raised(dialect: OpenAIChat, openai: Vendor) -> None:
    relay = dialect.relay(vendor=openai, wants_usage=True)
    relay.feed(chunk({"role": "assistant", "content": ""}))
    with pytest.raises(UpstreamError, match="too many") as caught:
        relay.feed(event({"error": {"message": "too many", "type": "rate_limit_error", "code": None}}))
    assert caught.value.http_status == 429


def test_an_error_after_content_is_passed_on_and_ends_the_stream(dialect: OpenAIChat, openai: Vendor) -> None:
    relay = dialect.relay(vendor=openai, wants_usage=True)
    fault = event({"error": {"message": "overloaded", "code": 503}})
    out = passed(relay, [chunk({"content": "a"}), fault, chunk({"content": "b"})])
    assert out == chunk({"content": "a"}) + fault
    assert relay.failed is not None
    assert relay.failed.upstream_status == 503


def test_an_error_body_instead_of_a_stream_is_raised(dialect: OpenAIChat, openai: Vendor) -> None:
    relay = dialect.relay(vendor=openai, wants_usage=True)
    assert relay.feed(b'{"error":\n\n{"message": "no credit",') == b""
    assert relay.feed(b' "code": 429}}') == b""
    with pytest.raises(UpstreamError, match="no credit"):
        relay.end()


@pytest.mark.parametrize("page", [b"<html>\n\n<body>Bad gateway</body></html>", b"<!doctype html>"])
def test_a_page_is_no_stream(dialect: OpenAIChat, openai: Vendor, page: bytes) -> None:
    with pytest.raises(BadAnswer):
        passed(dialect.relay(vendor=openai, wants_usage=True), [page])


@pytest.mark.parametrize("stream", [b"", chunk({"content": "a"}), chunk({"content": "a"}) + b'data: {"id":"x'])
def test_a_cut_stream_is_a_bad_answer(dialect: OpenAIChat, openai: Vendor, stream: bytes) -> None:
    with pytest.raises(BadAnswer):
        passed(dialect.relay(vendor=openai, wants_usage=True), [stream])


def test_a_malformed_chunk_is_a_bad_answer(dialect: OpenAIChat, openai: Vendor) -> None:
    with pytest.raises(BadAnswer, match="cannot be read"):
        dialect.relay(vendor=openai, wants_usage=True).feed(b'data: {"choices":[{"delta":7}]}\n\n')


def test_a_forgotten_done_is_said_by_us(dialect: OpenAIChat, openai: Vendor) -> None:
    stream = chunk({"content": "a"}) + chunk({}, finish="stop")
    assert passed(dialect.relay(vendor=openai, wants_usage=True), [stream]) == stream + DONE


def test_our_field_stands_in_the_usage_chunk(dialect: OpenAIChat, openai: Vendor) -> None:
    out = passed(dialect.relay(vendor=openai, wants_usage=True), [TALK], {"cost_credits": "0.1"})
    last = bodies(out)[-1]
    assert last["samovar"] == {"cost_credits": "0.1"}
    assert last["usage"] == USAGE
    assert len(bodies(out)) == len(bodies(TALK))


def test_our_field_gets_a_chunk_of_its_own_where_usage_was_not_asked_for(dialect: OpenAIChat, openai: Vendor) -> None:
    last = bodies(passed(dialect.relay(vendor=openai, wants_usage=False), [TALK], {"cost_credits": "0.1"}))[-1]
    assert last["choices"] == []
    assert (last["id"], last["model"], last["samovar"]) == ("chatcmpl-1", "gpt-x", {"cost_credits": "0.1"})


def test_our_own_failure_ends_the_stream(dialect: OpenAIChat, openai: Vendor) -> None:
    relay = dialect.relay(vendor=openai, wants_usage=True)
    relay.feed(chunk({"content": "a"}) + b"data: {")
    (body,) = bodies(relay.fail(Unavailable("gone")))
    assert body["error"] == {"message": "gone", "type": "server_error", "param": None, "code": "unavailable"}
    assert relay.end() == b""


def test_an_event_without_end_is_bounded(dialect: OpenAIChat, openai: Vendor) -> None:
    relay = dialect.relay(vendor=openai, wants_usage=True)
    relay.feed(b"data: ")
    with pytest.raises(BadAnswer, match="more than"):
        relay.feed(b"x" * 17_000_000)
