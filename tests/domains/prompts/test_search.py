"""Search among many prompts, on both engines: every page is what a reader of all of them would give."""

import itertools
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from samovar.adapters.alembic import migrate, scripts_folder
from samovar.adapters.sqlite import SqliteDatabase
from samovar.domains.prompts.model import Prompt, PromptQuery, Sort
from samovar.domains.prompts.model.query import ORDERS
from samovar.domains.prompts.model.words import query_stems, searched
from samovar.domains.prompts.service import PromptService
from samovar.domains.prompts.store import rows
from samovar.kernel.principal import Principal
from samovar.ports.database import Tx
from tests.domains.prompts.conftest import ADMIN, OTHER, draft

MANY = 240
LAST = MANY - 30


@pytest.fixture
async def many(prompts: PromptService) -> list[Prompt]:
    """Of the default team and namespace, some of another language, inactive or tagged. "everywhere" is in all of them and
    "half" in each second; "late" is in those that every sort puts last, "early" in those that every sort puts first;
    "rare" and "редкость" are in a few, spread. Another namespace and another team have the same."""
    made: dict[tuple[str, str], list[Prompt]] = {}
    for who, namespace in ((ADMIN, "elsewhere"), (OTHER, "default"), (ADMIN, "default")):
        async with prompts.turns.open(who) as turn:
            numbers = await rows.new_ids(turn.tx, MANY)
            made[who.team_id, namespace] = [
                _prompt(number, place, namespace, turn.at) for place, number in enumerate(numbers)
            ]
            await rows.add(turn.tx, turn.team_id, made[who.team_id, namespace])
            turn.touch(namespace, *numbers)
    return made[ADMIN.team_id, "default"]


def _prompt(number: int, place: int, namespace: str, at: Any) -> Prompt:
    texts = ["everywhere", f"number{place}"]
    texts += ["half"] if place % 2 else []
    texts += ["late"] if place >= LAST else []
    texts += ["early"] if place < MANY - LAST else []
    texts += ["rare редкости"] if place % 60 == 7 else []
    return Prompt(
        id=number,
        namespace=namespace,
        name=f"p{place // 2:03}",
        version=place % 2 + 1,
        lang="ru" if place % 3 else "en",
        text=" ".join(texts),
        tags=("tagged",) if place % 5 == 0 else (),
        priority=place // 40,
        is_active=place % 4 > 0,
        is_default=False,
        labels=(),
        variables=(),
        revision=1,
        created_at=at,
        created_by="test",
        updated_at=at,
        updated_by="test",
    )


async def walked(prompts: PromptService, who: Principal = ADMIN, **how: Any) -> list[int]:
    """The ids on all pages, in their order."""
    found: list[int] = []
    cursor = None
    while True:
        page = await prompts.reads.page(who, PromptQuery(cursor=cursor, **how))
        found += [one.id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


def expected(many: Iterable[Prompt], sort: Sort, q: str, keeps: Callable[[Prompt], bool]) -> list[int]:
    """The same by reading all."""
    wanted = query_stems(q)

    def has(prompt: Prompt) -> bool:
        words = searched(prompt.name, prompt.tags, prompt.text).split(" ")
        return all(any(word.startswith(stem) for word in words) for stem in wanted)

    def place(prompt: Prompt) -> list[Any]:
        values = [(getattr(prompt, order.column), order.descending) for order in ORDERS[sort]]
        return [-value if descending else value for value, descending in values]

    return [one.id for one in sorted((one for one in many if has(one) and keeps(one)), key=place)]


def all_of(_: Prompt) -> bool:
    """No filter."""
    return True


async def test_words_are_found_wherever_the_sort_puts_them(prompts: PromptService, many: list[Prompt]) -> None:
    asked = ("everywhere", "half", "late", "early", "rare", "редкость late", "half early", "never")
    for q, sort, limit in itertools.product(asked, Sort, (9, 100)):
        assert await walked(prompts, q=q, sort=sort, limit=limit) == expected(many, sort, q, all_of), (q, sort, limit)


async def test_words_and_filters_are_asked_for_together(prompts: PromptService, many: list[Prompt]) -> None:
    filters: list[tuple[dict[str, Any], Callable[[Prompt], bool]]] = [
        ({"lang": "en"}, lambda one: one.lang == "en"),
        ({"active": False}, lambda one: not one.is_active),
        ({"tag": "tagged"}, lambda one: "tagged" in one.tags),
        ({"name": "p003"}, lambda one: one.name == "p003"),
        ({"tag": "tagged", "active": True}, lambda one: "tagged" in one.tags and one.is_active),
    ]
    for (how, keeps), q in itertools.product(filters, ("everywhere", "half", "late", "rare")):
        assert await walked(prompts, q=q, limit=5, **how) == expected(many, Sort.PRIORITY, q, keeps)


async def test_another_teams_and_another_namespaces_words_are_not_found(
    prompts: PromptService, many: list[Prompt]
) -> None:
    ours = {one.id for one in many}
    theirs = await walked(prompts, OTHER, q="everywhere", limit=100)
    elsewhere = await walked(prompts, namespace="elsewhere", q="everywhere", limit=100)
    assert len(theirs) == len(elsewhere) == MANY
    assert not ours & {*theirs, *elsewhere}
    assert not {*theirs} & {*elsewhere}
    assert await walked(prompts, namespace="nowhere", q="everywhere") == []


async def test_a_beginning_of_any_length_is_enough_and_one_letter_is_a_word(prompts: PromptService) -> None:
    # Which no stemmer changes.
    words = ("xk1xk2xk3xk45", "щд1щд2щд3щд45")
    made = await prompts.writes.create(ADMIN, draft(text=" ".join(words)))
    for word, letters in itertools.product(words, range(1, len(words[0]) + 1)):
        page = await prompts.reads.page(ADMIN, PromptQuery(q=word[:letters]))
        assert [one.id for one in page.items] == ([made.id] if letters > 1 else []), word[:letters]


async def test_prompts_of_an_older_schema_are_found_by_the_index_of_words_made_anew(tmp_path: Path) -> None:
    older, url = tmp_path / "older", f"sqlite:///{tmp_path / 'samovar.db'}"
    shutil.copytree(scripts_folder(), older)
    for script in (older / "versions").glob("*.py"):
        if script.name >= "0017":
            script.unlink()
    await migrate(url, scripts=older)
    database = SqliteDatabase(tmp_path / "samovar.db")
    try:
        async with database.transaction() as tx:
            await tx.execute(text("INSERT INTO teams (id, name, created_at) VALUES ('t', 't', 0)"))
            await tx.execute(
                text(_OLD_ROW), [{"id": number, "stems": f"number{number} всяк"} for number in range(1, 50)]
            )
        await migrate(url)
        async with database.transaction() as tx:
            assert await _matches(tx, '"number7" AND "вся"*') == [7]
            assert await _matches(tx, '"number4"*') == [4, *range(40, 50)]
            await tx.execute(text("UPDATE prompts SET stems = 'другой' WHERE id = 7"))
            await tx.execute(text("DELETE FROM prompts WHERE id = 8"))
            assert await _matches(tx, '"number7"') == await _matches(tx, '"number8"') == []
            assert await _matches(tx, '"другой"') == [7]
            # Raises where the index is not what the rows say.
            await tx.execute(text("INSERT INTO prompt_search (prompt_search, rank) VALUES ('integrity-check', 1)"))
    finally:
        await database.close()


_OLD_ROW = """INSERT INTO prompts (id, team_id, namespace, name, lang, version, priority, is_active, is_default, revision,
    created_at, created_by, updated_at, updated_by, tags, variables, text, stems)
    VALUES (:id, 't', 'default', 'p' || :id, 'en', 1, 0, 1, 0, 1, 0, 'x', 0, 'x', '[]', '[]', 'text', :stems)"""


async def _matches(tx: Tx, wanted: str) -> list[int]:
    query = text("SELECT rowid FROM prompt_search WHERE prompt_search MATCH :wanted ORDER BY rowid")
    return [row[0] for row in await tx.execute(query, {"wanted": wanted})]
