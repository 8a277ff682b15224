"""Real answers of the vendors, priced and compared with a table made by hand.

Each row names an answer, the prices of its model (US dollars for a million tokens, as its price page gave them), and what it
must cost: the quantities as they stand in the answer's usage, times the nano-dollars of one, which is the price a million
times a thousand. ``3,000`` is three dollars a million.

* Anthropic's input excludes what was read from or written to the cache; OpenAI's, Google's and xAI's includes it.
* Reasoning is part of OpenAI's, Anthropic's and xAI's (Responses) output; Google and xAI (chat) count it beside.
* What a vendor charged itself is charged; a tick of xAI is 1e-10 dollars.
* No recording has sound, pictures, an hour's cache or OpenRouter's cost: the last rows say them as the references do.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from samovar.domains.billing.model import REPORTED, Charge, price
from samovar.domains.catalog.model import Rates, flat
from samovar.ports.dialect import Dialect, Vendor
from samovar.ports.llm import Usage
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.gemini import GeminiContent
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import VENDORS

FOLDER = Path(__file__).parents[4] / "shared" / "recordings"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def usd(**dollars: str) -> Rates:
    """Dollars for a million tokens, or for one request or search."""
    return Rates(**{kind: int(Decimal(amount) * 10**9) for kind, amount in dollars.items()})


SONNET = usd(input="3", cached_input="0.3", cache_write="3.75", cache_write_1h="6", output="15", web_search="0.01")
HAIKU = usd(input="1", cached_input="0.1", cache_write="1.25", cache_write_1h="2", output="5", web_search="0.01")
OPUS = usd(input="5", cached_input="0.5", cache_write="6.25", cache_write_1h="10", output="25", web_search="0.01")
NANO_41 = usd(input="0.1", cached_input="0.025", output="0.4")
NANO_5 = usd(input="0.05", cached_input="0.005", output="0.4")
MINI_5 = usd(input="0.25", cached_input="0.025", output="2", web_search="0.01")
GPT_52 = usd(input="1.75", cached_input="0.175", output="14")
GEMINI_3 = usd(input="2", cached_input="0.2", output="12")
THINKING_APART = usd(input="0.15", output="0.6", reasoning="3.5")
GROK_MINI = usd(input="0.3", cached_input="0.075", output="0.5")
GROK_FAST = usd(input="0.2", cached_input="0.05", output="0.5")
GROK_SEARCH = usd(input="0.2", cached_input="0.05", output="0.5", web_search="0.005")
BY_REQUEST = usd(input="1", output="1", request="0.005")


class Row(NamedTuple):
    """``parts`` are quantities and the nano-dollars of one; ``total`` their sum, added up by hand."""

    file: str
    rates: Rates
    parts: tuple[tuple[int, int], ...]
    total: int


TABLE = (
    # A short question and a short answer: 36,000 + 435,000.
    Row("anthropic/anthropic-text.json", SONNET, ((12, 3_000), (29, 15_000)), 471_000),
    # The stream of the same counts its output twice, one and then thirty: the last word counts. 36,000 + 450,000.
    Row("anthropic/anthropic-text.chunks.txt", SONNET, ((12, 3_000), (30, 15_000)), 486_000),
    # 859,000 + 660,000.
    Row("anthropic/anthropic-clear-tool-uses.1.json", HAIKU, ((859, 1_000), (132, 5_000)), 1_519_000),
    # 1,151,000 + 435,000.
    Row("anthropic/anthropic-json-tool.1.json", HAIKU, ((1_151, 1_000), (87, 5_000)), 1_586_000),
    # 139 tokens of thought are among the 1,699: 255,000 + 42,475,000.
    Row("anthropic/anthropic-claude-opus-5-reasoning-high.1.json", OPUS, ((51, 5_000), (1_699, 25_000)), 42_730_000),
    # Two runs, one that compacts and one that answers, and only the second in the sums that Anthropic gives:
    # 301,925,000 + 3,410,000 + 14,800,000 + 33,000,000.
    Row(
        "anthropic/anthropic-compaction.1.json",
        OPUS,
        ((60_385, 5_000), (682, 5_000), (592, 25_000), (1_320, 25_000)),
        353_135_000,
    ),
    # The same as a stream: 301,925,000 + 3,060,000 + 13,050,000 + 70,475,000.
    Row(
        "anthropic/anthropic-compaction.1.chunks.txt",
        OPUS,
        ((60_385, 5_000), (612, 5_000), (522, 25_000), (2_819, 25_000)),
        388_510_000,
    ),
    # Two searches at a cent: 81,354,000 + 9,000,000 + 20,000,000.
    Row(
        "anthropic/anthropic-web-search-tool.1.json",
        SONNET,
        ((27_118, 3_000), (600, 15_000), (2, 10_000_000)),
        110_354_000,
    ),
    # One search, told at the stream's end: 46,995,000 + 11,925,000 + 10,000,000.
    Row(
        "anthropic/anthropic-web-search-tool.1.chunks.txt",
        SONNET,
        ((15_665, 3_000), (795, 15_000), (1, 10_000_000)),
        68_920_000,
    ),
    # Fetching a page costs its tokens alone: 85,914,000 + 5,475,000.
    Row("anthropic/anthropic-web-fetch-tool.2.json", SONNET, ((28_638, 3_000), (365, 15_000)), 91_389_000),
    # Written to the cache and read from it, beside 6 that were neither: 18,000 + 12,513,750 + 1,886,700 + 2,970,000.
    Row(
        "anthropic/anthropic-code-execution-20260120-prompt-cache.1.chunks.txt",
        SONNET,
        ((6, 3_000), (3_337, 3_750), (6_289, 300), (198, 15_000)),
        17_388_450,
    ),
    # The input is said anew at the end, larger: 183,000 + 30,000.
    Row("anthropic/anthropic-message-delta-input-tokens.chunks.txt", SONNET, ((61, 3_000), (2, 15_000)), 213_000),
    # The message starts twice and is one all the same: 51,000 + 3,405,000.
    Row("anthropic/duplicate-message-start.chunks.txt", SONNET, ((17, 3_000), (227, 15_000)), 3_456_000),
    # Thoughts stand beside the candidates and cost as much: 18,000 + 336,000 + 2,928,000.
    Row("google/google-text.json", GEMINI_3, ((9, 2_000), (28, 12_000), (244, 12_000)), 3_282_000),
    # 18,000 + 276,000 + 2,220,000.
    Row("google/google-text.chunks.txt", GEMINI_3, ((9, 2_000), (23, 12_000), (185, 12_000)), 2_514_000),
    # 18,000 + 348,000 + 3,384,000.
    Row("google/google-reasoning.json", GEMINI_3, ((9, 2_000), (29, 12_000), (282, 12_000)), 3_750_000),
    # Where thoughts have a price of their own: 1,350 + 17,400 + 896,000.
    Row("google/google-reasoning.chunks.txt", THINKING_APART, ((9, 150), (29, 600), (256, 3_500)), 914_750),
    # 58,000 + 180,000 + 21,612,000.
    Row("google/google-tool-call-gemini3.json", GEMINI_3, ((29, 2_000), (15, 12_000), (1_801, 12_000)), 21_850_000),
    # The first chunks say no count at all: 52,000 + 276,000 + 1,584,000.
    Row(
        "google/google-stream-tool-call-arguments.chunks.txt",
        GEMINI_3,
        ((26, 2_000), (23, 12_000), (132, 12_000)),
        1_912_000,
    ),
    # 62,000 + 8,208,000 + 12,312,000.
    Row(
        "google/google-vertex-stream-tool-call-arguments-nested.1.chunks.txt",
        GEMINI_3,
        ((31, 2_000), (684, 12_000), (1_026, 12_000)),
        20_582_000,
    ),
    # 1,600 + 145,200.
    Row("openai/chat-openai-text.json", NANO_41, ((16, 100), (363, 400)), 146_800),
    # 1,600 + 120,000.
    Row("openai/chat-openai-text.chunks.txt", NANO_41, ((16, 100), (300, 400)), 121_600),
    # A price for each request comes on top: 16,000 + 363,000 + 5,000,000.
    Row("openai/chat-openai-text.json", BY_REQUEST, ((16, 1_000), (363, 1_000), (1, 5_000_000)), 5_379_000),
    # 2,560 of 3,700 come from the cache; 640 of 741 are reasoning: 285,000 + 64,000 + 1,482,000.
    Row(
        "openai/responses-openai-file-search-tool.1.json",
        MINI_5,
        ((1_140, 250), (2_560, 25), (741, 2_000)),
        1_831_000,
    ),
    # 114,150 + 771,200.
    Row("openai/responses-openai-code-interpreter-tool.1.json", NANO_5, ((2_283, 50), (1_928, 400)), 885_350),
    # 51,050 + 9,600 + 499,600.
    Row(
        "openai/responses-openai-image-generation-tool.1.chunks.txt",
        NANO_5,
        ((1_021, 50), (1_920, 5), (1_249, 400)),
        560_250,
    ),
    # 1,400,000 + 266,000.
    Row("openai/responses-openai-shell-container-multiturn.1.json", GPT_52, ((800, 1_750), (19, 14_000)), 1_666_000),
    # 7,070,000 + 537,600 + 6,482,000.
    Row(
        "openai/responses-openai-phase.1.chunks.txt",
        GPT_52,
        ((4_040, 1_750), (3_072, 175), (463, 14_000)),
        14_089_600,
    ),
    # All counts are nought: a price is known, and it is nothing.
    Row("openai/responses-programmatic-tool-calling.2.json", GPT_52, (), 0),
    # 74,200 + 61,750 + 146,000.
    Row(
        "xai/responses-xai-code-execution-tool.1.json",
        GROK_FAST,
        ((371, 200), (1_235, 50), (292, 500)),
        281_950,
    ),
    # A search and two looks at what it found, which are free: 3,992,250 + 92,800 + 7,546,000 + 10,000,000.
    Row(
        "openai/responses-openai-web-search-tool.1.json",
        MINI_5,
        ((15_969, 250), (3_712, 25), (3_773, 2_000), (1, 10_000_000)),
        21_631_050,
    ),
    # Two searches and four looks: 6,840,250 + 92,800 + 8,832,000 + 20,000,000.
    Row(
        "openai/responses-openai-web-search-tool.1.chunks.txt",
        MINI_5,
        ((27_361, 250), (3_712, 25), (4_416, 2_000), (2, 10_000_000)),
        35_765_050,
    ),
    # 100,000 + 75,000.
    Row("xai/responses-xai-file-search-tool.1.json", GROK_FAST, ((500, 200), (150, 500)), 175_000),
    # 59,400 + 78,900 + 347,500 + 5,000,000.
    Row(
        "xai/responses-xai-web-search-tool.1.chunks.txt",
        GROK_SEARCH,
        ((297, 200), (1_578, 50), (695, 500), (1, 5_000_000)),
        5_485_800,
    ),
)


class Told(NamedTuple):
    """The vendor says its price: ``ticks`` in the answer, ``total`` charged, ``parts`` what its prices give."""

    file: str
    rates: Rates
    ticks: int
    total: int
    parts: tuple[tuple[int, int], ...]
    computed: int


TOLD = (
    # 3,000 + 150 + 500 + 114,000: xAI's own sum to the nano-dollar.
    Told("xai/xai-text.json", GROK_MINI, 1_176_500, 117_650, ((10, 300), (2, 75), (1, 500), (228, 500)), 117_650),
    # 3,000 + 150 + 1,000 + 160,000.
    Told(
        "openai-compatible/chat-xai-text.json",
        GROK_MINI,
        1_641_500,
        164_150,
        ((10, 300), (2, 75), (2, 500), (320, 500)),
        164_150,
    ),
    # 18,900 + 18,300 + 13,000 + 127,500.
    Told(
        "openai-compatible/chat-xai-tool-call.json",
        GROK_MINI,
        1_777_000,
        177_700,
        ((63, 300), (244, 75), (26, 500), (255, 500)),
        177_700,
    ),
    # 14,100 + 18,300 + 13,000 + 94,500.
    Told(
        "xai/xai-tool-call.json",
        GROK_MINI,
        1_399_000,
        139_900,
        ((47, 300), (244, 75), (26, 500), (189, 500)),
        139_900,
    ),
    # 12,345.6 nano-dollars, rounded half up. Our prices would say 16,000 + 1,000 + 25,000: a picture was sold below them.
    Told(
        "xai/responses-xai-image-generation-tool.1.json",
        GROK_FAST,
        123_456,
        12_346,
        ((80, 200), (20, 50), (50, 500)),
        42_000,
    ),
)

UNRECORDED = (
    # Twenty spoken words as text, eighty tokens as sound, and so the answer: 50,000 + 2,560,000 + 200,000 + 2,560,000.
    (
        "openai",
        {
            "prompt_tokens": 100,
            "completion_tokens": 60,
            "total_tokens": 160,
            "prompt_tokens_details": {"audio_tokens": 80, "cached_tokens": 0},
            "completion_tokens_details": {"audio_tokens": 40, "reasoning_tokens": 0},
        },
        usd(input="2.5", audio_input="32", output="10", audio_output="64"),
        ((20, 2_500), (80, 32_000), (20, 10_000), (40, 64_000)),
        5_370_000,
    ),
    # A picture that comes in without a price of its own costs as text; sound and the picture that goes out have theirs:
    # 150,000 + 600,000 + 38,700,000.
    (
        "gemini",
        {
            "promptTokenCount": 1_100,
            "candidatesTokenCount": 1_290,
            "totalTokenCount": 2_390,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 242},
                {"modality": "IMAGE", "tokenCount": 258},
                {"modality": "AUDIO", "tokenCount": 600},
            ],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1_290}],
        },
        usd(input="0.3", audio_input="1", output="2.5", image_output="30"),
        ((500, 300), (600, 1_000), (1_290, 30_000)),
        39_450_000,
    ),
    # Six hundred of a thousand are kept for an hour: 30,000 + 1,500,000 + 3,600,000 + 15,000.
    (
        "anthropic",
        {
            "input_tokens": 10,
            "output_tokens": 1,
            "cache_creation_input_tokens": 1_000,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
        },
        SONNET,
        ((10, 3_000), (400, 3_750), (600, 6_000), (1, 15_000)),
        5_145_000,
    ),
    # OpenRouter says dollars: 0.00123.
    (
        "openrouter",
        {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "cost": 0.00123},
        NANO_41,
        ((1_230_000, 1),),
        1_230_000,
    ),
)


def language(file: str) -> tuple[Dialect, Vendor]:
    """Who speaks here, and how."""
    folder, _, name = file.partition("/")
    if folder == "anthropic":
        return AnthropicMessages(), VENDORS["anthropic"]
    if folder in ("google", "gemini"):
        return GeminiContent(), VENDORS["gemini"]
    vendor = VENDORS["xai" if "xai" in file else "openrouter" if folder == "openrouter" else "openai"]
    return (OpenAIResponses() if name.startswith("responses") else OpenAIChat()), vendor


def used(file: str) -> Usage:
    """What a recording says was used, as the gateway reads it where the bytes pass through."""
    path = FOLDER / file
    if not path.exists():
        pytest.skip(f"no recording {file} in shared/recordings")
    dialect, vendor = language(file)
    raw = path.read_bytes()
    if not file.endswith(".chunks.txt"):
        usage = dialect.tap(raw, vendor=vendor).usage
        assert usage == dialect.read_response(raw, vendor=vendor).usage
    else:
        relay = dialect.relay(vendor=vendor, wants_usage=True)
        for line in raw.splitlines():
            kind = json.loads(line).get("type") if file.startswith("anthropic") else None
            relay.feed((b"event: %b\n" % kind.encode() if kind else b"") + b"data: " + line + b"\n\n")
        relay.end()
        usage = relay.usage
    assert usage is not None
    return usage


def charged(usage: Usage, rates: Rates) -> Charge:
    return price(usage, flat(rates, source="by hand"), at=NOW)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.file)
def test_a_recorded_answer_costs_what_was_reckoned_by_hand(row: Row) -> None:
    assert sum(quantity * each for quantity, each in row.parts) == row.total
    charge = charged(used(row.file), row.rates)
    assert (charge.nano_usd, charge.estimated) == (row.total, False)


@pytest.mark.parametrize("row", TOLD, ids=lambda row: row.file)
def test_a_vendors_own_sum_is_charged_and_ours_stands_beside_it(row: Told) -> None:
    assert -(-row.ticks * 2 // 20) in (row.total, row.total - 1)
    assert sum(quantity * each for quantity, each in row.parts) == row.computed
    charge = charged(used(row.file), row.rates)
    assert (charge.nano_usd, charge.source, charge.computed_nano_usd) == (row.total, REPORTED, row.computed)


@pytest.mark.parametrize(("vendor", "usage", "rates", "parts", "total"), UNRECORDED)
def test_kinds_that_nobody_recorded_cost_what_was_reckoned_by_hand(
    vendor: str, usage: dict[str, object], rates: Rates, parts: tuple[tuple[int, int], ...], total: int
) -> None:
    assert sum(quantity * each for quantity, each in parts) == total
    body: dict[str, object] = {"usage": usage}
    if vendor == "anthropic":
        body |= {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "c",
            "content": [],
            "stop_reason": "end_turn",
        }
    elif vendor == "gemini":
        body = {"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}], "usageMetadata": usage}
    else:
        message = {"role": "assistant", "content": "a"}
        body |= {"id": "c", "object": "chat.completion", "created": 1, "model": "g"}
        body |= {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    dialect, speaker = language(f"{vendor}/none")
    found = dialect.tap(json.dumps(body).encode(), vendor=speaker).usage
    assert found is not None
    assert charged(found, rates).nano_usd == total


def test_the_table_has_thirty_recordings_of_all_vendors() -> None:
    files = {row.file for row in (*TABLE, *TOLD)}
    assert len(files) >= 30
    assert {file.partition("/")[0] for file in files} == {"anthropic", "google", "openai", "openai-compatible", "xai"}
