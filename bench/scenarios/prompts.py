"""Prompts: read by id and by default from memory over HTTP; listed and searched among ten thousand without memory."""

import random
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog
import uvloop
from sqlalchemy import text

from bench.figures import Figure, median
from bench.load.request import Marks, Request
from bench.load.window import Seen
from bench.scenarios.bench import Bench, busy, spread, typical
from bench.scenarios.ledger import postgres
from samovar.adapters.alembic import migrate
from samovar.adapters.memory import MemoryBus, MemoryCache, MemoryLimiter
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.adapters.system import SystemClock
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Team, administrator
from samovar.domains.identity.store import add_team
from samovar.domains.prompts.model import Prompt, PromptQuery
from samovar.domains.prompts.service import CacheBounds, PromptService
from samovar.domains.prompts.store import rows
from samovar.ports.database import Database

READS_PER_S = 2_000.0
READ_P95_MS = 10.0
LIST_P95_MS = 30.0
SEARCH_MS = 11.0
HIT_MS = 0.1
PROMPTS = 10_000
ASKED = 300
HITS = 20_000
_BATCH = 500
# fmt: off
_WORDS = (
    "переводить", "документ", "картинка", "описание", "вопрос", "ответ", "кратко", "подробно",
    "таблица", "список", "summary", "image", "describe", "translate", "answer", "question",
    "short", "detailed", "style", "tone", "formal", "friendly", "user", "system",
    "assistant", "json", "table", "number", "picture", "letter",
)
# fmt: on
_SEARCHED = ("переводы", "описания картинок", "summaries", "formal letters", "describe17", "документ299")


def prompts(bench: Bench) -> list[Figure]:
    """Over HTTP with a key, on Samovar's one core; the rest in the bench's own process, on each engine that answers."""
    return [*_over_http(bench), *_among_many(bench)]


# --- from memory, over HTTP


def _over_http(bench: Bench) -> list[Figure]:
    lane = bench.samovar
    made = bench.stage.prompt(lane)
    figures = []
    for name, path in (("by id", f"/v1/prompts/{made}"), ("by default", "/v1/prompts/default?lang=ru")):
        lines = [
            f"GET {path} HTTP/1.1",
            f"host: {lane.target.host}:{lane.target.port}",
            f"authorization: Bearer {lane.key}",
        ]
        marks = Marks(named=(("answer without its text", b'"text":"'),))
        request = Request(raw=("\r\n".join(lines) + "\r\n\r\n").encode(), marks=marks)
        closed = [bench.asked(lane, request) for _ in range(bench.measure.repeats)]
        rate = typical(closed, _per_s)
        opened = [bench.asked(lane, request, rate_per_s=max(1.0, rate / 2)) for _ in range(bench.measure.repeats)]
        cpu_us = typical(closed, lambda each: each.cpu_us_per_call("samovar"))
        note = "; ".join(part for part in (spread(closed, _per_s), busy(closed)) if part)
        figures += [
            Figure(f"prompt {name} from memory", rate, "reads/s", READS_PER_S, note=note),
            Figure(f"prompt {name}, Samovar's CPU each", cpu_us, "us", note=f"{1e6 / cpu_us:,.0f} per CPU second"),
            Figure(
                f"prompt {name} at half that rate, p95", typical(opened, _p95_ms), "ms", READ_P95_MS, at_least=False
            ),
        ]
    return figures


def _per_s(seen: Seen) -> float:
    return seen.per_s


def _p95_ms(seen: Seen) -> float:
    return _p95(list(seen.record.latency_s)) * 1000


def _p95(samples: Sequence[float]) -> float:
    ordered = sorted(samples)
    return ordered[int(len(ordered) * 0.95)] if ordered else 0.0


# --- among ten thousand, without memory


def _among_many(bench: Bench) -> list[Figure]:
    # A miss is a line in the log; nobody reads it here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    found = {"SQLite": uvloop.run(_on_sqlite(bench.stage.fresh_directory(), bench.measure.seed))}
    with suppress(OSError):
        found["PostgreSQL"] = uvloop.run(_on_postgres(bench.measure.seed))
    figures = []
    for engine, (listed, searched, hits) in found.items():
        figures += [
            Figure(
                f"prompt from memory in the process, {engine}, p95",
                _p95(hits) * 1000,
                "ms",
                HIT_MS,
                at_least=False,
                note=f"p50 {median(hits) * 1000:.4f} ms, without HTTP",
            ),
            Figure(
                f"50 of {PROMPTS:,} prompts listed, {engine}, p95",
                _p95(listed) * 1000,
                "ms",
                LIST_P95_MS,
                at_least=False,
                note=f"p50 {median(listed) * 1000:.2f} ms, pages anywhere, without memory",
            ),
            Figure(
                f"search among {PROMPTS:,} prompts, {engine}, p95",
                _p95(searched) * 1000,
                "ms",
                SEARCH_MS,
                at_least=False,
                note=f"p50 {median(searched) * 1000:.2f} ms, common and rare words, Russian and English",
            ),
        ]
    return figures


Times = tuple[list[float], list[float], list[float]]
"""Seconds of lists, of searches, and of prompts that were in memory."""


async def _on_sqlite(folder: Path, seed: int) -> Times:
    path = folder / "prompts.db"
    await migrate(f"sqlite:///{path}")
    return await _measured(SqliteDatabase(path), seed)


async def _on_postgres(seed: int) -> Times:
    async with postgres() as url:
        await migrate(url)
        return await _measured(PostgresDatabase(url), seed)


async def _measured(database: Database, seed: int) -> Times:
    clock, chance = SystemClock(), random.Random(seed)

    def service_with(bounds: CacheBounds) -> PromptService:
        return PromptService(
            database=database,
            clock=clock,
            bus=MemoryBus(),
            cache=MemoryCache(clock=clock),
            limiter=MemoryLimiter(clock=clock),
            bounds=bounds,
        )

    service = service_with(CacheBounds(prompt_s=0, list_s=0))
    try:
        await _fill(database, service, chance)
        cursors: list[str | None] = [None]
        while len(cursors) < 40:
            page = await service.reads.page(administrator(), PromptQuery(cursor=cursors[-1]))
            cursors.append(page.next_cursor)
        listed = [await _took(service, PromptQuery(cursor=chance.choice(cursors))) for _ in range(ASKED)]
        searched = [await _took(service, PromptQuery(q=_SEARCHED[place % len(_SEARCHED)])) for place in range(ASKED)]
        return listed, searched, await _hits(service_with(CacheBounds()))
    finally:
        await database.close()


async def _hits(service: PromptService) -> list[float]:
    """Seconds of each read but the first."""
    page = await service.reads.page(administrator(), PromptQuery())
    prompt_id, took = page.items[0].id, []
    for _ in range(HITS + 1):
        began = time.perf_counter()
        await service.reads.find(DEFAULT_TEAM_ID, prompt_id)
        took.append(time.perf_counter() - began)
    return took[1:]


async def _took(service: PromptService, query: PromptQuery) -> float:
    """Seconds."""
    began = time.perf_counter()
    await service.reads.find_page(DEFAULT_TEAM_ID, query)
    return time.perf_counter() - began


async def _fill(database: Database, service: PromptService, chance: random.Random) -> None:
    now = SystemClock().now()
    async with database.transaction() as tx:
        await add_team(tx, Team(id=DEFAULT_TEAM_ID, name="bench", created_at=now))
    for _ in range(PROMPTS // _BATCH):
        async with service.turns.open(administrator()) as turn:
            made = [_prompt(number, chance, turn.at) for number in await rows.new_ids(turn.tx, _BATCH)]
            await rows.add(turn.tx, turn.team_id, made)
            turn.touch("default", *(one.id for one in made))
    if database.engine == "postgresql":
        # What autovacuum does within a minute of such an import.
        async with database.transaction() as tx:
            await tx.execute(text("ANALYZE prompts"))


def _prompt(number: int, chance: random.Random, at: object) -> Prompt:
    words = [chance.choice(_WORDS) + ("" if chance.random() < 0.7 else str(chance.randrange(3000))) for _ in range(150)]
    made: dict[str, object] = {
        "id": number,
        "namespace": "default",
        "name": f"prompt-{number % 4000}",
        "version": number // 4000 + 1,
        "lang": "ru" if number % 2 else "en",
        "text": " ".join(words),
        "tags": (f"t{number % 10}",),
        "priority": number % 7,
        "is_active": number % 3 > 0,
        "is_default": False,
        "labels": (),
        "variables": (),
        "revision": 1,
        "created_at": at,
        "created_by": "bench",
        "updated_at": at,
        "updated_by": "bench",
    }
    return Prompt(**made)  # type: ignore[arg-type]
