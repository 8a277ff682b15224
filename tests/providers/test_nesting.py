"""Bodies nested beyond all use: the caller is told, whatever field the nesting stands in."""

import contextlib
import sys
from collections.abc import Callable

import pytest

from samovar.kernel.errors import Malformed
from samovar.ports.dialect import Dialect
from samovar.providers.anthropic import AnthropicMessages
from samovar.providers.gemini import GeminiContent
from samovar.providers.openai import OpenAIChat
from samovar.providers.openai_responses import OpenAIResponses
from samovar.providers.vendors import VENDORS

BODIES: list[tuple[Dialect, str, list[str]]] = [
    (
        OpenAIChat(),
        "openai",
        [
            '{"model":"m","messages":[{"role":"user","content":%s}]}',
            '{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[%s]}',
            '{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"a":%s}}',
            '{"model":"m","messages":[{"role":"user","content":"x"}],"unknown":%s}',
        ],
    ),
    (
        AnthropicMessages(),
        "anthropic",
        [
            '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":%s}]}',
            '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[%s]}',
            '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"unknown":%s}',
        ],
    ),
    (
        GeminiContent(),
        "gemini",
        [
            '{"contents":[{"parts":%s}]}',
            '{"contents":[{"parts":[{"text":"x"}]}],"tools":[%s]}',
            '{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":%s}',
        ],
    ),
    (
        OpenAIResponses(),
        "openai",
        [
            '{"model":"m","input":%s}',
            '{"model":"m","input":"x","tools":[%s]}',
            '{"model":"m","input":"x","text":%s}',
            '{"model":"m","input":"x","unknown":%s}',
        ],
    ),
]
CASES = [(dialect, vendor, body) for dialect, vendor, bodies in BODIES for body in bodies]
NAMES = [f"{dialect.name}: {body}" for dialect, _, body in CASES]


def readings(dialect: Dialect, vendor: str) -> list[Callable[[bytes], object]]:
    return [
        dialect.read_head,
        dialect.read_request,
        lambda body: dialect.splice(body, model="n", vendor=VENDORS[vendor]),
    ]


@pytest.mark.parametrize(("dialect", "vendor", "body"), CASES, ids=NAMES)
@pytest.mark.parametrize("brackets", ["[]", ('{"a":', "}")], ids=["lists", "objects"])
def test_a_hundred_thousand_levels_are_malformed(
    dialect: Dialect, vendor: str, body: str, brackets: tuple[str, str]
) -> None:
    deep = body % (brackets[0] * 100_000 + "1" + brackets[1] * 100_000)
    for read in readings(dialect, vendor):
        with pytest.raises(Malformed) as refused:
            read(deep.encode())
        assert refused.value.flaws


@pytest.mark.parametrize(("dialect", "vendor", "body"), CASES, ids=NAMES)
def test_the_edge_where_one_reading_passes_and_the_next_does_not_is_no_crash(
    dialect: Dialect, vendor: str, body: str
) -> None:
    # Any other exception fails the test.
    for levels in range(sys.getrecursionlimit() - 160, sys.getrecursionlimit()):
        deep = (body % ("[" * levels + "]" * levels)).encode()
        for read in readings(dialect, vendor):
            with contextlib.suppress(Malformed):
                read(deep)
