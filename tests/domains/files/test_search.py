"""Search finds on both engines what a plain look at each file would find, whatever is rare and whatever is not."""

import random
from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec
import pytest
from sqlalchemy import text

from samovar.domains.files.errors import BadFile
from samovar.domains.files.model.names import file_id_of
from samovar.domains.files.model.query import FileQuery, Sort, cursor_of, custom_text, searched
from samovar.domains.files.service import FileService
from samovar.domains.files.store import listing, projection, rows
from samovar.kernel.ids import hex_of_ulid, ulid
from samovar.kernel.time import milliseconds
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, Retention, RetentionKind
from samovar.ports.scripts import perform
from samovar.ports.words import query_stems
from tests.domains.files.conftest import ADMIN, ANN, put

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 1_200
"""Fewer than what counts as many: see ``store/ways.py``."""
MANY = 5_500


def library(count: int = COUNT) -> list[Attributes]:
    """Some words, tags and owners in half of all files, others in a few, and each a tenth of a second after the one before."""
    chance = random.Random(6)

    def one(number: int) -> Attributes:
        at = BEGAN + timedelta(milliseconds=100 * number)
        kind = chance.choice(["Отчёт о продажах", "Invoice", "Счета", "photos of a holiday"])
        return Attributes(
            file_id=file_id_of(hex_of_ulid(ulid(milliseconds(at), chance.getrandbits(80)))),
            path=f"2026/01/01/00/{number}",
            filename=f"{kind} {chance.choice(['alpha', 'beta', f'rare{number % 50}'])} {number}.pdf",
            content_type=chance.choice(["application/pdf", "image/png", "image/jpeg"] * 20 + ["audio/ogg"]),
            size_bytes=chance.randrange(1000),
            checksum=f"{number:064x}",
            storage_element_id="rw",
            created_at=at,
            team_id="default" if chance.random() < 0.9 else "other",
            owner=chance.choice(["ann", "bob"] * 20 + ["eve"]),
            retention=Retention(kind=chance.choice([*RetentionKind])),
            revision=1,
            tags=tuple({chance.choice(["common", "usual"]), f"tag{chance.randrange(100)}"}),
            custom={
                "project": chance.choice(["apollo", "vega"]),
                "n": chance.randrange(60),
                "ok": chance.random() < 0.5,
            },
        )

    return [one(number) for number in range(count)]


QUERIES = [
    FileQuery(),
    FileQuery(owner="ann"),
    FileQuery(owner="eve"),
    FileQuery(owner="nobody"),
    FileQuery(text="отчеты продаж"),
    FileQuery(text="INVOICES"),
    FileQuery(text="inv alpha"),
    FileQuery(text="rare7 счет"),
    FileQuery(text="nothing"),
    FileQuery(text="!!!"),
    FileQuery(text="common apollo"),
    FileQuery(tags=("common",)),
    FileQuery(tags=("tag7",)),
    FileQuery(tags=("common", "tag7")),
    FileQuery(tags=("common", "usual")),
    FileQuery(custom={"project": "apollo"}),
    FileQuery(custom={"n": "7", "project": "apollo"}),
    FileQuery(custom={"ok": "true"}, tags=("common",), text="invoice", owner="ann"),
    FileQuery(content_type="image/*", text="photo"),
    FileQuery(content_type="audio/ogg"),
    FileQuery(content_type="audio/*", text="invoice"),
    FileQuery(retention=RetentionKind.PERMANENT, owner="eve", text="invoice"),
    FileQuery(min_bytes=990),
    FileQuery(min_bytes=100, max_bytes=900, tags=("tag9",)),
    FileQuery(created_from=BEGAN + timedelta(seconds=30), created_to=BEGAN + timedelta(seconds=60)),
    FileQuery(created_from=BEGAN + timedelta(seconds=30), text="счета"),
    FileQuery(checksum=f"{77:064x}"),
    FileQuery(text="о", tags=("tag7",)),
    FileQuery(text="a", tags=("tag7",)),
    FileQuery(text="pdf"),
    FileQuery(text="pdf", owner="bob", tags=("common",), max_bytes=700),
    FileQuery(text="pdf", content_type="image/*"),
    FileQuery(max_bytes=500, owner="ann"),
]


@pytest.fixture
async def filled(database: Database) -> list[Attributes]:
    """The library, in the database."""
    return await fill(database, COUNT)


async def fill(database: Database, count: int) -> list[Attributes]:
    told = library(count)
    for start in range(0, count, 300):
        async with database.transaction() as tx:
            await perform(tx, projection.project(told[start : start + 300]))
    return told


async def test_search_finds_what_a_plain_look_finds_in_every_order_and_over_pages(
    database: Database, filled: list[Attributes]
) -> None:
    async with database.reading() as tx:
        for query in QUERIES:
            for sort in Sort:
                asked = msgspec.structs.replace(query, sort=sort)
                found = [one.file_id for _, one in await listing.page(tx, "default", asked, limit=2000)]
                assert found == expected(asked, filled), asked


async def test_search_finds_as_much_where_there_is_too_much_to_count(database: Database) -> None:
    told = await fill(database, MANY)
    async with database.reading() as tx:
        for query in QUERIES:
            for sort in (Sort.NEWEST, Sort.LARGEST) if query.text else ():
                asked = msgspec.structs.replace(query, sort=sort)
                found = [one.file_id for _, one in await listing.page(tx, "default", asked, limit=30)]
                assert found == expected(asked, told)[:30], asked


async def test_pages_follow_one_another_without_a_gap(database: Database, filled: list[Attributes]) -> None:
    async with database.reading() as tx:
        for query in (FileQuery(), FileQuery(text="invoice"), FileQuery(tags=("tag7",)), FileQuery(max_bytes=500)):
            for sort in Sort:
                asked, found = msgspec.structs.replace(query, sort=sort), []
                while True:
                    some = await listing.page(tx, "default", asked, limit=37)
                    found += [one.file_id for _, one in some]
                    if len(some) < 37:
                        break
                    asked = msgspec.structs.replace(asked, cursor=cursor_of(some[-1][0]))
                assert found == expected(msgspec.structs.replace(asked, cursor=None), filled)


async def test_words_of_a_deleted_or_renamed_file_are_found_no_more(
    database: Database, filled: list[Attributes]
) -> None:
    mine = [one for one in filled if one.team_id == "default"]
    renamed = msgspec.structs.replace(mine[0], filename="zebra.txt", revision=2, tags=("striped",))
    async with database.transaction() as tx:
        await perform(tx, projection.project([renamed]))
        assert await rows.forget(tx, "default", mine[1].file_id) is not None
    async with database.reading() as tx:
        for query in (FileQuery(text="zebras"), FileQuery(tags=("striped",))):
            assert [one for _, one in await listing.page(tx, "default", query, limit=5)] == [renamed]
        for gone in mine[:2]:
            word = gone.filename.split()[-1].removesuffix(".pdf")
            found = await listing.page(tx, "default", FileQuery(text=f"{word} pdf", owner=gone.owner), limit=100)
            assert gone.file_id not in {one.file_id for _, one in found if one.filename == gone.filename}


async def test_a_cursor_of_another_list_is_refused(files: FileService) -> None:
    for number in range(3):
        await put(files, ANN, filename=f"{number}.txt")
    page = await files.reads.page(ADMIN, FileQuery(), limit=1)
    assert page.next_cursor
    for cursor, sort in ((page.next_cursor, Sort.OLDEST), ("x", Sort.NEWEST), ("", Sort.NEWEST)):
        with pytest.raises(BadFile):
            await files.reads.page(ADMIN, FileQuery(cursor=cursor, sort=sort), limit=1)


async def test_postgresql_uses_the_words_own_index(postgres_database: Database) -> None:
    async with postgres_database.reading() as tx:
        found = await tx.execute(text("SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_files_file_search'"))
        assert "gin" in found.scalar_one()


def expected(query: FileQuery, told: list[Attributes]) -> list[str]:
    """By looking at each."""
    found = [one for one in told if one.team_id == "default" and fits(query, one)]
    if query.sort is Sort.LARGEST:
        found.sort(key=lambda one: (-one.size_bytes, -one.created_at.timestamp()))
    else:
        found.sort(key=lambda one: one.created_at, reverse=query.sort is Sort.NEWEST)
    return [one.file_id for one in found]


@cache
def words_of(filename: str, tags: tuple[str, ...], custom: tuple[tuple[str, str | int], ...]) -> list[str]:
    return searched(filename, tags, dict(custom)).split()


def has_word(stem: str, words: list[str]) -> bool:
    return stem in words if len(stem) == 1 else any(word.startswith(stem) for word in words)


def fits(query: FileQuery, one: Attributes) -> bool:
    words = words_of(one.filename, one.tags, tuple(one.custom.items()))
    asked = () if query.text is None else query_stems(query.text)
    kind = query.content_type
    return all(
        (
            query.owner in (None, one.owner),
            query.text is None or (asked and all(has_word(stem, words) for stem in asked)),
            set(query.tags) <= set(one.tags),
            all(custom_text(one.custom.get(key, "")) == value for key, value in query.custom.items()),
            kind is None
            or (one.content_type.startswith(kind[:-1]) if kind.endswith("/*") else one.content_type == kind),
            query.retention in (None, one.retention.kind),
            query.created_from is None or one.created_at >= query.created_from,
            query.created_to is None or one.created_at < query.created_to,
            query.min_bytes is None or one.size_bytes >= query.min_bytes,
            query.max_bytes is None or one.size_bytes <= query.max_bytes,
            query.checksum in (None, one.checksum),
        )
    )


@pytest.mark.parametrize(
    ("name", "asked", "is_found"),
    [
        ("Menü Café.pdf", "cafe menu", True),
        ("cafe.pdf", "CAFÉ", True),
        ("cafe\u0301.pdf", "café", True),
        ("tiếng Việt", "tieng viet", True),
        ("Smørrebrød", "smorrebrod", True),
        ("Łódź straße", "lodz strasse", True),
        ("отчёт", "отчет", True),
        ("мой йод", "иод", False),
        ("мой йод", "мой йод", True),
        ("їжак", "іжак", False),
    ],
)
async def test_latin_letters_are_found_without_their_marks_and_cyrillic_ones_are_letters_of_their_own(
    files: FileService, name: str, asked: str, is_found: bool
) -> None:
    made = await put(files, filename=name)
    page = await files.reads.page(ANN, FileQuery(text=asked), limit=10)
    assert [one.file_id for one in page.items] == [made.file_id] * is_found
