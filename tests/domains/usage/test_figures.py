"""How fast a month of a million calls is told; run by ``make soak``, with ``-s`` to see the figures."""

import random
import sys
from datetime import timedelta
from time import perf_counter
from typing import Final

import pytest

from samovar.domains.gateway.model import CallFinished, CallStatus
from samovar.domains.usage.model import Dimension, Filters
from samovar.domains.usage.service import UsageQueries, UsageService
from samovar.ports.database import Database
from tests.domains.usage.calls import event
from tests.domains.usage.test_sums import reader_of
from tests.support.clock import ManualClock

EVENTS: Final = 1_000_000
BATCH: Final = 1_000
MOST_MS: Final = 100.0
ASKED: Final = 60


def batch(number: int, clock: ManualClock, chance: random.Random) -> list[CallFinished]:
    """A batch of calls that ended about the same time: thirty days in all, 20 models, and 50 keys that each
    use one surface and four of the models."""
    first = clock.now() - timedelta(days=30) + timedelta(days=30) * number * BATCH / EVENTS
    keys = [chance.randrange(50) for _ in range(BATCH)]
    return [
        event(
            number * BATCH + place,
            started_at=first + timedelta(seconds=chance.random() * 60),
            model=f"sandbox/model-{(key + chance.randrange(4)) % 20}",
            principal_id=f"key_{key}",
            surface=("openai-chat", "anthropic-messages", "gemini")[key % 3],
            status=CallStatus.OK if chance.random() < 0.98 else CallStatus.ERROR,
            duration_ms=chance.lognormvariate(7, 1),
            overhead_ms=chance.lognormvariate(-0.7, 0.5),
            project_id=f"project-{key % 5}",
            user_id=f"person-{key}",
        )
        for place, key in enumerate(keys)
    ]


def say(line: str) -> None:
    """A figure, for whoever watches."""
    sys.stdout.write(line + "\n")


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_month_of_a_million_calls_is_broken_down_within_a_tenth_of_a_second(
    database: Database, clock: ManualClock
) -> None:
    chance = random.Random(1)
    retention = timedelta(days=90)
    usage = UsageService(database=database, report=lambda *_: None)
    written_s = 0.0
    for number in range(EVENTS // BATCH):
        for one in batch(number, clock, chance):
            usage.record(one)
        began = perf_counter()
        await usage.flush()
        written_s += perf_counter() - began
    queries = UsageQueries(database=database, clock=clock, retention=retention)
    reader = reader_of("team_default")
    say(f"\n{database.engine}: wrote and summed up {EVENTS / written_s:,.0f} events/s")
    for latency in (False, True):
        took_ms = []
        for asked in range(ASKED):
            end = clock.now() - timedelta(minutes=37 * asked)
            began = perf_counter()
            found = await queries.breakdown(
                reader,
                start=end - timedelta(days=30),
                end=end,
                filters=Filters(),
                by=Dimension.MODEL,
                latency=latency,
                limit=50,
            )
            took_ms.append((perf_counter() - began) * 1000)
            assert len(found.groups) == 20
        p50, p95 = (sorted(took_ms)[int(ASKED * share)] for share in (0.5, 0.95))
        say(
            f"{database.engine}: by model, 30 days, {'with' if latency else 'no'} latency: {p50:.0f} ms, p95 {p95:.0f} ms"
        )
        assert latency or p95 < MOST_MS
