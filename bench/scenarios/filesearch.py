"""Search among a hundred thousand files on each engine, by what is asked for: the median of the kinds, and the worst of them."""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop
from sqlalchemy import text

from bench.figures import Figure, median
from bench.scenarios.bench import Bench
from bench.scenarios.ledger import postgres
from samovar.adapters.alembic import migrate
from samovar.adapters.postgres import PostgresDatabase
from samovar.adapters.sqlite import SqliteDatabase
from samovar.domains.files.model.names import file_id_of, stored_path
from samovar.domains.files.model.query import FileQuery, Sort
from samovar.domains.files.store import listing, rebuilding
from samovar.domains.identity.model import DEFAULT_TEAM_ID
from samovar.kernel.ids import hex_of_ulid, ulid
from samovar.kernel.time import milliseconds
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, Retention, RetentionKind

FILES = 100_000
FILES_A_SECOND_OF_MEASURE = 20_000
SEARCH_MS = 20.0
ASKED = 60
PAGE = 51
_BATCH = 1000
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_APART = timedelta(seconds=200)
_WORDS = [f"{word}{number}" for word in ("слово", "report") for number in range(300)]

Kind = Callable[[random.Random], FileQuery]

KINDS: Mapping[str, Kind] = {
    "newest": lambda _: FileQuery(),
    "owner": lambda chance: FileQuery(owner=f"user{chance.randrange(50)}"),
    "word in a quarter": lambda _: FileQuery(text="отчеты"),
    "beginning of a word in a quarter": lambda _: FileQuery(text="in"),
    "two words": lambda chance: FileQuery(text=f"invoice {chance.choice(_WORDS)}"),
    "two rare words": lambda chance: FileQuery(text=f"{chance.choice(_WORDS)} {chance.choice(_WORDS)}"),
    "word that no file has": lambda _: FileQuery(text="отчет nichego"),
    "tag of half": lambda _: FileQuery(tags=("common",)),
    "rare tag": lambda chance: FileQuery(tags=(f"tag{chance.randrange(1000)}",)),
    "two tags": lambda chance: FileQuery(tags=("common", f"tag{chance.randrange(1000)}")),
    "rare custom value": lambda chance: FileQuery(custom={"n": str(chance.randrange(5000))}),
    "custom value and word": lambda _: FileQuery(custom={"project": "apollo"}, text="отчет"),
    "rare tag and word": lambda chance: FileQuery(tags=(f"tag{chance.randrange(1000)}",), text="отчет"),
    "kind of content": lambda _: FileQuery(content_type="image/*"),
    "size": lambda _: FileQuery(min_bytes=9_990_000),
    "largest below a size": lambda _: FileQuery(sort=Sort.LARGEST, max_bytes=5_000_000),
    "a day": lambda _: FileQuery(created_from=_BEGAN + timedelta(days=59), created_to=_BEGAN + timedelta(days=60)),
    "oldest with a word": lambda _: FileQuery(sort=Sort.OLDEST, text="счет"),
    "largest with a word": lambda _: FileQuery(sort=Sort.LARGEST, text="счет"),
    "owner and word": lambda chance: FileQuery(owner=f"user{chance.randrange(50)}", text="invoice"),
    "owner, tag, size and word": lambda chance: FileQuery(
        owner=f"user{chance.randrange(50)}", tags=("common",), min_bytes=5_000_000, text="photo"
    ),
}


def filesearch(bench: Bench) -> list[Figure]:
    """In the bench's own process, without HTTP, on each engine that answers."""
    count = min(FILES, int(FILES_A_SECOND_OF_MEASURE * bench.measure.seconds))
    seed = bench.measure.seed
    found = {"SQLite": uvloop.run(_on_sqlite(bench.stage.fresh_directory(), count, seed))}
    with suppress(OSError):
        found["PostgreSQL"] = uvloop.run(_on_postgres(count, seed))
    figures = []
    for engine, taken in found.items():
        p95 = {kind: _quantile(took, 0.95) * 1000 for kind, took in taken.items()}
        worst = max(p95, key=lambda kind: p95[kind])
        p50 = median([_quantile(took, 0.5) * 1000 for took in taken.values()])
        note = f"p50 {p50:.1f} ms; {len(taken)} kinds of questions, {ASKED} of each"
        what = f"search among {count:,} files, {engine}, p95"
        figures += [
            Figure(f"{what}, typical kind", median([*p95.values()]), "ms", SEARCH_MS, at_least=False, note=note),
            Figure(f"{what}, worst kind", p95[worst], "ms", SEARCH_MS, at_least=False, note=worst),
        ]
    return figures


Times = dict[str, list[float]]


async def _on_sqlite(folder: Path, count: int, seed: int) -> Times:
    path = folder / "files.db"
    await migrate(f"sqlite:///{path}")
    return await _measured(SqliteDatabase(path), count, seed)


async def _on_postgres(count: int, seed: int) -> Times:
    async with postgres() as url:
        await migrate(url)
        return await _measured(PostgresDatabase(url), count, seed)


async def _measured(database: Database, count: int, seed: int) -> Times:
    try:
        await fill(database, count, seed)
        return await asked(database, seed)
    finally:
        await database.close()


async def fill(database: Database, count: int, seed: int) -> None:
    """Rows of so many files, as a rebuild makes them."""
    chance = random.Random(seed)
    for start in range(0, count, _BATCH):
        told = [_attributes(number, chance) for number in range(start, min(count, start + _BATCH))]
        async with database.transaction() as tx:
            await rebuilding.add(tx, told, told)
    if database.engine == "postgresql":
        # What autovacuum does within a minute of such a rebuild.
        async with database.transaction() as tx:
            await tx.execute(text("ANALYZE"))


async def asked(database: Database, seed: int) -> Times:
    """Seconds of each answer, by kind; the kinds take turns."""
    chance = random.Random(seed)
    took: Times = {kind: [] for kind in KINDS}
    for _ in range(ASKED):
        for kind, make in KINDS.items():
            query = make(chance)
            began = time.perf_counter()
            async with database.reading() as tx:
                await listing.page(tx, DEFAULT_TEAM_ID, query, limit=PAGE)
            took[kind].append(time.perf_counter() - began)
    return took


def _quantile(samples: list[float], share: float) -> float:
    ordered = sorted(samples)
    return ordered[int(len(ordered) * share)]


def _attributes(number: int, chance: random.Random) -> Attributes:
    at = _BEGAN + _APART * number
    file_id = file_id_of(hex_of_ulid(ulid(milliseconds(at), chance.getrandbits(80))))
    words = f"{chance.choice(['отчёт', 'счёт', 'invoice', 'photo'])} {chance.choice(_WORDS)} {chance.choice(_WORDS)}"
    filename = f"{words} {number}.{chance.choice(['pdf', 'png', 'docx'])}"
    owner = f"user{chance.randrange(50)}"
    return Attributes(
        file_id=file_id,
        path=stored_path(file_id=file_id, filename=filename, owner=owner, created_at=at),
        filename=filename,
        content_type=chance.choice(["application/pdf", "image/png", "image/jpeg"]),
        size_bytes=chance.randrange(10_000_000),
        checksum=f"{number:064x}",
        storage_element_id="bench",
        created_at=at,
        team_id=DEFAULT_TEAM_ID,
        owner=owner,
        retention=Retention(kind=RetentionKind.PERMANENT),
        revision=1,
        tags=(chance.choice(["common", "other"]), f"tag{chance.randrange(1000)}"),
        custom={"project": chance.choice(["apollo", "vega"]), "n": chance.randrange(5000)},
    )
