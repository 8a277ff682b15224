"""What a caller sees of a provider that fails, on both surfaces, over both vendors' formats, whole and streamed."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.calling import STREAMS, WAYS, WHOLE, Outcome, Way, call, event_of, is_error_of
from tests.e2e.conftest import Running, Samovar, start_samovar

TIMEOUT_S = 0.8
SLACK_S = 1.5


@pytest.fixture(scope="module")
def hasty(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samovar]:
    """A Samovar with short time limits."""
    running = start_samovar(
        tmp_path_factory.mktemp("hasty"),
        {
            "OPENAI_API_KEY": "sk-vendor-openai",
            "OPENAI_BASE_URL": f"{sandbox.url}/v1",
            "ANTHROPIC_API_KEY": "sk-vendor-anthropic",
            "ANTHROPIC_BASE_URL": sandbox.url,
            "SAMOVAR_JSON_TIMEOUT_S": str(TIMEOUT_S),
            "SAMOVAR_FIRST_BYTE_TIMEOUT_S": str(TIMEOUT_S),
            "SAMOVAR_IDLE_TIMEOUT_S": str(TIMEOUT_S),
        },
    )
    yield running
    running.stop()


def all_ways(samovar: Samovar, ways: Sequence[Way], text: str) -> list[tuple[Way, Outcome]]:
    """One call each way, at the same time."""
    with ThreadPoolExecutor(8) as pool:
        return list(zip(ways, pool.map(lambda way: call(samovar, way, text), ways), strict=True))


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("[[fault:429 retry_after=30]]", 429),
        ("[[fault:400]]", 400),
        ("[[fault:404]]", 404),
        ("[[fault:401]]", 502),
        ("[[fault:500]]", 502),
        ("[[fault:503]]", 502),
        ("[[fault:529]]", 502),
        ("[[fault:html]]", 502),
        ("[[fault:html_502]]", 502),
        ("[[fault:error_200]]", 502),
        ("[[fault:context]]", 400),
        ("[[fault:hang]]", 504),
        ("[[fault:slow]]", 504),
    ],
)
def test_a_provider_that_fails_before_it_answers_is_an_error_of_the_surface(
    hasty: Samovar, fault: str, status: int
) -> None:
    for way, outcome in all_ways(hasty, WAYS, f"{fault} hello"):
        assert outcome.status == status, (str(way), outcome.text)
        assert is_error_of(way.surface, outcome.json), str(way)
        assert outcome.took_s < TIMEOUT_S + SLACK_S
        event = event_of(hasty, outcome.request_id)
        assert (event["status"], event["http_status"]) == ("error", status)
        assert event["cost_nano_usd"] is None


def test_a_long_retry_after_is_handed_on(hasty: Samovar) -> None:
    for way, outcome in all_ways(hasty, WAYS, "[[fault:429 retry_after=30]] hello"):
        assert outcome.headers["retry-after"] == "30", str(way)
        assert len(json.loads(event_of(hasty, outcome.request_id)["attempts"])) == 1


def test_a_short_retry_after_is_waited_for(samovar: Samovar) -> None:
    for way, outcome in all_ways(samovar, WAYS, f"[[flaky:1 fault=429 retry_after=1]] for {id(samovar)}"):
        # The same text counts as flaky once for each format: of two calls that share one, one may be first.
        assert outcome.status == 200, (str(way), outcome.text)
        attempts = json.loads(event_of(samovar, outcome.request_id)["attempts"])
        assert len(attempts) == int(outcome.headers["x-samovar-attempts"])
        assert outcome.took_s >= 1 or len(attempts) == 1


def test_spent_money_is_told_in_the_surfaces_words(hasty: Samovar) -> None:
    for way, outcome in all_ways(hasty, WAYS, "[[fault:quota]] hello"):
        assert outcome.status in (429, 502), str(way)
        assert is_error_of(way.surface, outcome.json), str(way)


@pytest.mark.parametrize("fault", ["cut", "cut_body", "truncate", "malformed", "bad_utf8", "hang_mid", "error_mid"])
def test_a_whole_answer_that_breaks_off_is_an_error_of_the_surface(hasty: Samovar, fault: str) -> None:
    for way, outcome in all_ways(hasty, WHOLE, f"[[fault:{fault}]] one two three four five six"):
        assert outcome.status == (504 if fault == "hang_mid" else 502), (str(way), outcome.text)
        assert is_error_of(way.surface, outcome.json), str(way)
        assert outcome.took_s < TIMEOUT_S + SLACK_S


@pytest.mark.parametrize("fault", ["cut", "cut_body", "truncate", "malformed", "bad_utf8", "hang_mid", "error_mid"])
def test_a_stream_that_breaks_off_ends_with_the_error_event_of_the_surface(hasty: Samovar, fault: str) -> None:
    for way, outcome in all_ways(hasty, STREAMS, f"[[fault:{fault} at=3 delay_ms=40]] one two three"):
        assert outcome.status == 200, (str(way), outcome.text)
        assert outcome.said.startswith("[[fault:"), (str(way), outcome.text)
        assert "three" not in outcome.said
        assert is_error_of(way.surface, outcome.events[-1]), (str(way), outcome.text)
        assert "data: [DONE]" not in outcome.text
        assert "event: message_stop" not in outcome.text
        assert outcome.took_s < TIMEOUT_S + SLACK_S
        event = event_of(hasty, outcome.request_id)
        assert event["status"] == "broken", (str(way), event)
        assert event["usage_estimated"] == 1
        assert event["input_tokens"] > 0
        assert event["output_tokens"] > 0


def test_an_event_that_nobody_knows_does_not_end_a_stream_and_is_counted(hasty: Samovar) -> None:
    before = unknown_events(hasty)
    for way, outcome in all_ways(hasty, STREAMS, "[[fault:unknown_event]] one two three four"):
        assert "one two three four" in outcome.said, (str(way), outcome.text)
        assert event_of(hasty, outcome.request_id)["status"] == "ok"
    # Two streams each, one passed through and one translated.
    after = unknown_events(hasty)
    assert {vendor: after[vendor] - before[vendor] for vendor in after} == {"openai": 2, "anthropic": 2}


def unknown_events(samovar: Samovar) -> Counter[str]:
    """``samovar_unknown_events_total``, by vendor."""
    _, text, _ = samovar.request("GET", "/metrics")
    found = re.findall(r'^samovar_unknown_events_total\{vendor="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return Counter({vendor: int(float(count)) for vendor, count in found})


def test_a_first_byte_within_its_time_is_waited_for(hasty: Samovar) -> None:
    for way, outcome in all_ways(hasty, WAYS, "[[first_byte_ms:300]] hello"):
        assert outcome.status == 200, (str(way), outcome.text)


def test_after_all_that_it_answers_as_before(hasty: Samovar) -> None:
    for way, outcome in all_ways(hasty, WAYS, "still there"):
        assert outcome.said == "still there", str(way)
    assert hasty.process.poll() is None
    assert "Traceback" not in hasty.output.read_text()
