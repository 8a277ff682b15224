"""Versions, history, labels and defaults, on both engines."""

import asyncio
from base64 import urlsafe_b64encode

import msgspec
import pytest
from msgspec import UNSET

from samovar.domains.prompts.errors import (
    BadPrompt,
    FormerTextNotFound,
    LabelNotFound,
    NoDefaultPrompt,
    PromptInactive,
    PromptIsDefault,
    PromptIsLabelled,
    PromptNotFound,
    VersionTaken,
)
from samovar.domains.prompts.model import PromptChange, PromptQuery, Sort
from samovar.domains.prompts.service import Pointing, PromptService
from samovar.kernel.errors import StaleRevision
from tests.domains.prompts.conftest import ADMIN, OTHER, draft


async def test_versions_count_up_and_ids_are_never_given_out_twice(prompts: PromptService) -> None:
    first = await prompts.writes.create(ADMIN, draft())
    second = await prompts.writes.create(ADMIN, draft(text="Hi"))
    assert (first.version, second.version) == (1, 2)
    await prompts.writes.delete(ADMIN, second.id)
    third = await prompts.writes.create(ADMIN, draft(text="Hey"))
    assert third.version == 2
    assert third.id > second.id > first.id


async def test_a_version_that_is_there_is_not_made_again(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft(version=7))
    with pytest.raises(VersionTaken, match=str(made.id)):
        await prompts.writes.create(ADMIN, draft(version=7))
    assert (await prompts.writes.create(ADMIN, draft(version=7, lang="ru"))).version == 7
    assert (await prompts.writes.create(ADMIN, draft())).version == 8


async def test_writers_at_once_make_different_versions(prompts: PromptService) -> None:
    made = await asyncio.gather(*(prompts.writes.create(ADMIN, draft(text=f"text {n}")) for n in range(10)))
    assert sorted(one.version for one in made) == [*range(1, 11)]
    assert len({one.id for one in made}) == 10


async def test_a_changed_text_keeps_id_and_version_and_the_former_one_is_kept(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft(text="one\ntwo"))
    changed = await prompts.writes.update(ADMIN, made.id, PromptChange(text="one\nthree"), expected=1)
    assert (changed.id, changed.version, changed.text, changed.revision) == (made.id, 1, "one\nthree", 2)
    page = await prompts.reads.history(ADMIN, made.id, limit=10, cursor=None)
    assert [(former.revision, former.text) for former in page.items] == [(1, "one\ntwo")]
    found = await prompts.reads.diff(ADMIN, made.id, against_id=None, revision=None)
    assert (found.added, found.removed, found.is_same) == (1, 1, False)
    assert "-two\n+three" in found.unified
    restored = await prompts.writes.restore(ADMIN, made.id, revision=1)
    assert (restored.text, restored.revision) == ("one\ntwo", 3)
    again = await prompts.reads.history(ADMIN, made.id, limit=1, cursor=None)
    assert [former.text for former in again.items] == ["one\nthree"]
    rest = await prompts.reads.history(ADMIN, made.id, limit=1, cursor=again.next_cursor)
    assert [former.revision for former in rest.items] == [1]
    assert rest.next_cursor is None
    with pytest.raises(FormerTextNotFound):
        await prompts.writes.restore(ADMIN, made.id, revision=99)


async def test_what_is_no_change_is_no_new_revision(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft())
    assert await prompts.writes.update(ADMIN, made.id, PromptChange(text="Hello")) == made
    changed = await prompts.writes.update(ADMIN, made.id, PromptChange(priority=5))
    assert changed.revision == 2
    assert not (await prompts.reads.history(ADMIN, made.id, limit=10, cursor=None)).items


async def test_of_two_writers_who_saw_the_same_the_second_is_refused(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft())
    done = await asyncio.gather(
        *(prompts.writes.update(ADMIN, made.id, PromptChange(text=f"by {n}"), expected=1) for n in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, StaleRevision) for one in done) == 4
    unasked = await asyncio.gather(
        *(prompts.writes.update(ADMIN, made.id, PromptChange(text=f"again by {n}")) for n in range(5))
    )
    assert sorted(one.revision for one in unasked) == [3, 4, 5, 6, 7]
    assert len((await prompts.reads.history(ADMIN, made.id, limit=100, cursor=None)).items) == 6


async def test_a_new_version_takes_over_what_is_left_out(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft(tags=("a",), priority=3, is_active=False))
    new = await prompts.writes.new_version(
        ADMIN, made.id, PromptChange(text="Hi"), Pointing(labels=("staging",), make_default=True)
    )
    assert (new.version, new.tags, new.priority, new.is_active) == (2, ("a",), 3, True)
    assert (new.labels, new.is_default) == (("staging",), True)
    page = await prompts.reads.versions(ADMIN, made.id, limit=1, cursor=None)
    assert [one.version for one in page.items] == [2]
    rest = await prompts.reads.versions(ADMIN, new.id, limit=1, cursor=page.next_cursor)
    assert [one.version for one in rest.items] == [1]
    assert rest.next_cursor is None


async def test_there_is_one_default_and_it_does_not_dangle(prompts: PromptService) -> None:
    first = await prompts.writes.create(ADMIN, draft(make_default=True))
    second = await prompts.writes.create(ADMIN, draft(name="other"))
    assert (await prompts.reads.default(ADMIN, "default", "en")).id == first.id
    await prompts.writes.set_default(ADMIN, second.id)
    assert (await prompts.reads.default(ADMIN, "default", "en")).id == second.id
    assert not (await prompts.reads.get(ADMIN, first.id)).is_default
    with pytest.raises(PromptIsDefault):
        await prompts.writes.update(ADMIN, second.id, PromptChange(is_active=False))
    with pytest.raises(PromptIsDefault):
        await prompts.writes.delete(ADMIN, second.id)
    await prompts.writes.delete(ADMIN, second.id, force=True)
    with pytest.raises(NoDefaultPrompt):
        await prompts.reads.default(ADMIN, "default", "en")


async def test_an_inactive_prompt_cannot_be_the_default(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft(is_active=False))
    with pytest.raises(PromptInactive):
        await prompts.writes.set_default(ADMIN, made.id)
    with pytest.raises(BadPrompt, match="make_default"):
        await prompts.writes.create(ADMIN, draft(is_active=False, make_default=True))
    await prompts.writes.update(ADMIN, made.id, PromptChange(is_active=True))
    assert (await prompts.writes.set_default(ADMIN, made.id)).is_default
    cleared = await prompts.writes.clear_default(ADMIN, made.id)
    assert not cleared.is_default
    assert not (await prompts.writes.update(ADMIN, made.id, PromptChange(is_active=False))).is_active


async def test_rivals_for_the_default_leave_exactly_one(prompts: PromptService) -> None:
    made = [await prompts.writes.create(ADMIN, draft(name=f"p{n}")) for n in range(6)]
    await asyncio.gather(*(prompts.writes.set_default(ADMIN, one.id) for one in made))
    page = await prompts.reads.page(ADMIN, PromptQuery())
    assert sum(one.is_default for one in page.items) == 1


async def test_a_label_moves_whole_and_a_labelled_version_is_not_deleted_unasked(prompts: PromptService) -> None:
    first = await prompts.writes.create(ADMIN, draft(labels=("production",)))
    second = await prompts.writes.create(ADMIN, draft(text="Hi"))
    moved = await prompts.writes.set_label(ADMIN, second.id, "production")
    assert moved.labels == ("production",)
    left = await prompts.reads.get(ADMIN, first.id)
    assert (left.labels, left.revision > first.revision) == ((), True)
    with pytest.raises(PromptIsLabelled, match="production"):
        await prompts.writes.delete(ADMIN, second.id)
    with pytest.raises(LabelNotFound):
        await prompts.writes.drop_label(ADMIN, first.id, "production")
    assert (await prompts.writes.drop_label(ADMIN, second.id, "production")).labels == ()
    await prompts.writes.delete(ADMIN, second.id)
    with pytest.raises(PromptNotFound):
        await prompts.reads.get(ADMIN, second.id)


async def test_what_a_call_means_is_production_else_the_newest_active(prompts: PromptService) -> None:
    first = await prompts.writes.create(ADMIN, draft(text="one"))
    second = await prompts.writes.create(ADMIN, draft(text="two"))
    third = await prompts.writes.create(ADMIN, draft(text="three", is_active=False))

    async def meant(**how: object) -> str:
        return (await prompts.resolve("default", prompt_name="greeting", **how)).text  # type: ignore[arg-type]

    assert await meant() == "two"
    await prompts.writes.set_label(ADMIN, first.id, "production")
    assert await meant() == "one"
    assert await meant(version=2) == "two"
    await prompts.writes.set_label(ADMIN, second.id, "staging")
    assert await meant(label="staging") == "two"
    with pytest.raises(PromptInactive):
        await meant(version=3)
    with pytest.raises(PromptInactive):
        await prompts.resolve("default", prompt_id=third.id)
    with pytest.raises(PromptNotFound, match="version 9"):
        await meant(version=9)
    with pytest.raises(PromptNotFound, match="canary"):
        await meant(label="canary")
    with pytest.raises(NoDefaultPrompt):
        await prompts.resolve("default")
    await prompts.writes.set_default(ADMIN, second.id)
    assert (await prompts.resolve("default")).prompt.id == second.id


async def test_another_teams_prompts_are_not_there(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft(make_default=True, labels=("production",)))
    for attempt in (
        prompts.reads.get(OTHER, made.id),
        prompts.reads.default(OTHER, "default", "en"),
        prompts.reads.versions(OTHER, made.id, limit=1, cursor=None),
        prompts.reads.history(OTHER, made.id, limit=1, cursor=None),
        prompts.reads.diff(OTHER, made.id, against_id=None, revision=None),
        prompts.writes.update(OTHER, made.id, PromptChange(text="mine")),
        prompts.writes.set_default(OTHER, made.id),
        prompts.writes.set_label(OTHER, made.id, "x"),
        prompts.writes.delete(OTHER, made.id, force=True),
        prompts.resolve("other", prompt_id=made.id),
        prompts.resolve("other", prompt_name="greeting"),
    ):
        with pytest.raises((PromptNotFound, NoDefaultPrompt)):
            await attempt
    assert not (await prompts.reads.page(OTHER, PromptQuery())).items
    theirs = await prompts.writes.create(OTHER, draft(make_default=True))
    assert (theirs.version, theirs.id) == (1, made.id + 1)
    assert (await prompts.reads.default(ADMIN, "default", "en")).id == made.id


async def test_lists_are_sorted_before_they_are_cut(prompts: PromptService) -> None:
    for name, priority, versions in (("b", 1, 2), ("a", 1, 1), ("c", 0, 1), ("d", 2, 1)):
        for _ in range(versions):
            await prompts.writes.create(ADMIN, draft(name=name, priority=priority))
    await prompts.writes.create(ADMIN, draft(name="b", priority=1, lang="ru"))
    await prompts.writes.create(ADMIN, draft(name="elsewhere", namespace="x"))

    async def walked(**how: object) -> list[tuple[str, int, str]]:
        seen, cursor = [], None
        while True:
            page = await prompts.reads.page(ADMIN, PromptQuery(limit=2, cursor=cursor, **how))  # type: ignore[arg-type]
            seen += [(one.name, one.version, one.lang) for one in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return seen

    first = ("c", 1, "en")
    assert await walked() == [first, ("a", 1, "en"), ("b", 2, "en"), ("b", 1, "en"), ("b", 1, "ru"), ("d", 1, "en")]
    assert [name for name, _, _ in await walked(sort=Sort.NAME)] == ["a", "b", "b", "b", "c", "d"]
    assert [name for name, _, _ in await walked(sort=Sort.NEWEST)] == ["b", "d", "c", "a", "b", "b"]
    assert await walked(lang="ru") == [("b", 1, "ru")]
    assert await walked(namespace="x") == [("elsewhere", 1, "en")]
    for wrong in ("x", "W10", "", "é"):
        with pytest.raises(BadPrompt, match="cursor"):
            await prompts.reads.page(ADMIN, PromptQuery(cursor=wrong))


@pytest.mark.parametrize("place", [[0, "a\0", 1, 1], [2**31, "a", 1, 1], [0, "a", 2**31, 1], [0, "a", 1, 2**63]])
async def test_a_cursor_that_no_page_can_have_given_is_refused(prompts: PromptService, place: list[object]) -> None:
    await prompts.writes.create(ADMIN, draft())
    cursor = urlsafe_b64encode(msgspec.json.encode(["priority", *place])).decode().rstrip("=")
    with pytest.raises(BadPrompt, match="cursor"):
        await prompts.reads.page(ADMIN, PromptQuery(cursor=cursor))


async def test_lists_are_filtered_by_all_they_show(prompts: PromptService) -> None:
    odd = 'say "x", please'
    first = await prompts.writes.create(ADMIN, draft(tags=("a", odd), labels=("production",)))
    second = await prompts.writes.create(ADMIN, draft(name="other", tags=("a,b", "б"), is_active=False))

    async def found(**how: object) -> list[int]:
        page = await prompts.reads.page(ADMIN, PromptQuery(**how))  # type: ignore[arg-type]
        return [one.id for one in page.items]

    assert await found(tag="a") == [first.id]
    assert await found(tag=odd) == [first.id]
    assert await found(tag=",") == []
    assert await found(tag="б") == [second.id]
    assert await found(active=True) == [first.id]
    assert await found(active=False) == [second.id]
    assert await found(name="other") == [second.id]
    assert await found(label="production") == [first.id]
    assert await found(label="staging") == []


@pytest.mark.parametrize(
    ("asked", "is_found"),
    [
        ("переводить", True),
        ("Перевод", True),
        ("ёлки", True),
        ("елка", True),
        ("summaries", True),
        ("summarize", True),
        ("summary перевод", True),
        ("summary Kanzler", False),
        ("greet", True),
        ("docs", True),
        ("%", False),
        ("'\" OR 1 --", False),
        ("a & !b | (c)", False),
        ("перевоз", False),
    ],
)
async def test_search_knows_words_by_their_stems(prompts: PromptService, asked: str, is_found: bool) -> None:
    await prompts.writes.create(
        ADMIN, draft(text="Переводы текста про ёлку. Write a summary of it.", tags=("docs",), lang="ru")
    )
    page = await prompts.reads.page(ADMIN, PromptQuery(q=asked))
    assert bool(page.items) is is_found


async def test_search_follows_changes_and_deletions(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft(text="alpha"))

    async def found(word: str) -> bool:
        return bool((await prompts.reads.page(ADMIN, PromptQuery(q=word))).items)

    assert await found("alpha")
    await prompts.writes.update(ADMIN, made.id, PromptChange(text="beta"))
    assert (await found("alpha"), await found("beta")) == (False, True)
    await prompts.writes.update(ADMIN, made.id, PromptChange(is_active=UNSET, priority=9))
    assert await found("beta")
    await prompts.writes.delete(ADMIN, made.id)
    assert not await found("beta")


async def test_tags_are_found_where_they_are_and_no_longer_where_they_were(prompts: PromptService) -> None:
    made = await prompts.writes.create(ADMIN, draft(tags=("a", "b")))

    async def found(tag: str) -> bool:
        return bool((await prompts.reads.page(ADMIN, PromptQuery(tag=tag))).items)

    await prompts.writes.update(ADMIN, made.id, PromptChange(tags=("b", "c")))
    assert [await found(tag) for tag in "abc"] == [False, True, True]
    await prompts.writes.delete(ADMIN, made.id)
    assert [await found(tag) for tag in "abc"] == [False, False, False]
