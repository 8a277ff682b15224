"""Prompts into a registry and out of it, over both engines."""

import json
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import event

from samovar.adapters.sqlite import SqliteDatabase
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Permission, Team
from samovar.domains.identity.store import add_team
from samovar.domains.prompts.errors import BadImport, ImportConflict
from samovar.domains.prompts.model import Prompt, PromptQuery, Sort, Variable
from samovar.domains.prompts.model.exchange import Action, Form, Mode, Which, digest, entry_of, read_document
from samovar.domains.prompts.service import PromptService
from samovar.domains.prompts.service.exchange import Imported, PromptExchange
from samovar.domains.prompts.store import exchange as stored
from samovar.kernel.errors import Forbidden
from samovar.kernel.principal import Principal
from samovar.ports.database import Database
from tests.domains.prompts.conftest import ADMIN, OTHER
from tests.domains.prompts.test_exchange_forms import prompts as any_prompt
from tests.support.clock import ManualClock

READER = structs.replace(ADMIN, id="reader", permissions=frozenset({Permission.PROMPTS_READ}))


@pytest.fixture
def exchange(prompts: PromptService) -> PromptExchange:
    """Of the one process."""
    return prompts.exchange


async def exported(exchange: PromptExchange, who: Principal = ADMIN, form: Form = Form.JSON, **more: Any) -> bytes:
    """The whole file."""
    return b"".join([piece async for piece in exchange.export(who, form=form, **more)])


async def put(
    exchange: PromptExchange, *items: dict[str, Any], mode: Mode = Mode.NEW_VERSIONS, dry_run: bool = False
) -> Imported:
    """Import these; what they do not say of themselves is what a test need not say."""
    whole = [{"name": "greet", "text": "Hello", **item} for item in items]
    return await exchange.import_document(
        ADMIN, json.dumps({"prompts": whole}).encode(), form=Form.JSON, mode=mode, dry_run=dry_run
    )


def actions(done: Imported) -> list[tuple[str, int]]:
    """What became of each item, and which version it is about."""
    return [(one.action.value, one.version) for one in done.items]


async def versions(prompts: PromptService, name: str = "greet") -> list[Prompt]:
    """Of a prompt, the newest first; read past any memory."""
    page = await prompts.reads.page(READER, PromptQuery(name=name, sort=Sort.NAME))
    return [*page.items]


# --- round trips ------------------------------------------------------------------------------------------------------

numbers = count()


@st.composite
def registries(draw: st.DrawFn) -> list[Prompt]:
    """What a registry may hold: several versions, one default of a realm at most, each label of a prompt once."""
    found: list[Prompt] = []
    realms: set[tuple[str, str]] = set()
    for prompt in draw(st.lists(any_prompt(), max_size=3, unique_by=lambda one: (one.namespace, one.name, one.lang))):
        realm = (prompt.namespace, prompt.lang)
        is_default = prompt.is_active and realm not in realms and draw(st.booleans())
        if is_default:
            realms.add(realm)
        older = draw(st.lists(st.integers(1, prompt.version), max_size=2, unique=True))
        found.append(structs.replace(prompt, is_default=is_default))
        found += [
            structs.replace(prompt, version=version, labels=("old",) if place == 0 else ())
            for place, version in enumerate(older)
            if version < prompt.version
        ]
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=registries(), form=st.sampled_from(Form))
async def test_what_was_exported_makes_the_same_registry_elsewhere(
    exchange: PromptExchange, database: Database, clock: ManualClock, found: list[Prompt], form: Form
) -> None:
    here, there = [structs.replace(ADMIN, team_id=f"team{next(numbers)}") for _ in range(2)]
    async with database.transaction() as tx:
        for who in (here, there):
            await add_team(tx, Team(id=who.team_id, name="any", created_at=clock.now()))
    given = msgspec.json.encode([entry_of(prompt) for prompt in found])
    await exchange.import_document(here, given, form=Form.JSON, mode=Mode.SKIP)
    first = await exported(exchange, here, form)
    assert _entries(first, form) == sorted((entry_of(prompt) for prompt in found), key=repr)
    if found:
        await exchange.import_document(there, first, form=form, mode=Mode.NEW_VERSIONS)
    second = await exported(exchange, there, form)
    if form is Form.JSON:
        assert _entries(second, form) == _entries(first, form)
    else:
        assert second == first
    # What is there already is taken for what it is.
    if found:
        again = await exchange.import_document(there, second, form=form, mode=Mode.NEW_VERSIONS)
        assert again.counts[Action.UNCHANGED] == len(found)


def _entries(raw: bytes, form: Form) -> list[Any]:
    if form is Form.MARKDOWN and b".md" not in raw:
        return []
    return sorted((item.entry for item in read_document(raw, form)), key=repr)


# --- modes ------------------------------------------------------------------------------------------------------------


async def test_a_changed_text_becomes_a_new_version_that_keeps_what_is_not_said(
    exchange: PromptExchange, prompts: PromptService
) -> None:
    await put(exchange, {"tags": ["a"], "priority": 5, "labels": ["production"], "variables": [{"name": "x"}]})
    done = await put(exchange, {"text": "Hi"})
    assert actions(done) == [("new_version", 2)]
    newer, older = await versions(prompts)
    assert (newer.text, newer.tags, newer.priority, newer.labels) == ("Hi", ("a",), 5, ())
    assert newer.variables == (Variable(name="x"),)
    assert (older.text, older.labels) == ("Hello", ("production",))
    # The same file again makes nothing.
    assert actions(await put(exchange, {"text": "Hi"}, {"name": "other"})) == [("unchanged", 2), ("created", 1)]


async def test_a_version_that_was_given_and_is_taken_goes_to_the_end(
    exchange: PromptExchange, prompts: PromptService
) -> None:
    await put(exchange, {"version": 1}, {"version": 2, "text": "two"})
    done = await put(exchange, {"version": 1, "text": "other"}, {"version": 9, "text": "nine"})
    assert actions(done) == [("new_version", 10), ("new_version", 9)]
    assert [(one.version, one.text) for one in await versions(prompts)] == [
        (10, "other"),
        (9, "nine"),
        (2, "two"),
        (1, "Hello"),
    ]
    assert actions(await put(exchange, {"version": 1, "text": "other"})) == [("unchanged", 10)]


async def test_overwriting_keeps_the_version_and_its_former_text(
    exchange: PromptExchange, prompts: PromptService
) -> None:
    await put(exchange, {"labels": ["production"]})
    done = await put(exchange, {"version": 1, "text": "Hi", "is_active": False}, mode=Mode.OVERWRITE)
    assert [(one.action, one.fields) for one in done.items] == [(Action.OVERWRITTEN, ("text", "is_active"))]
    (found,) = await versions(prompts)
    assert (found.text, found.is_active, found.labels) == ("Hi", False, ("production",))
    former = await prompts.reads.history(ADMIN, found.id, limit=10, cursor=None)
    assert [one.text for one in former.items] == ["Hello"]


async def test_skipping_leaves_what_is_there_and_makes_what_is_not(
    exchange: PromptExchange, prompts: PromptService
) -> None:
    await put(exchange, {})
    done = await put(
        exchange, {"text": "Hi"}, {"version": 2, "text": "two"}, {"name": "other", "priority": 1}, mode=Mode.SKIP
    )
    assert actions(done) == [("skipped", 1), ("new_version", 2), ("created", 1)]
    assert [one.text for one in await versions(prompts)] == ["two", "Hello"]
    assert actions(await put(exchange, {"name": "other", "priority": 2}, mode=Mode.SKIP)) == [("skipped", 1)]


async def test_other_fields_change_in_their_place(exchange: PromptExchange, prompts: PromptService) -> None:
    await put(exchange, {"labels": ["a", "b"], "is_default": True})
    (before,) = await versions(prompts)
    done = await put(exchange, {"labels": ["b", "c"], "is_default": False, "tags": ["x"]})
    assert [(one.action, one.fields) for one in done.items] == [(Action.CHANGED, ("tags", "is_default", "labels"))]
    (found,) = await versions(prompts)
    assert (found.version, found.labels, found.is_default, found.tags) == (1, ("b", "c"), False, ("x",))
    assert found.revision > before.revision


async def test_labels_and_the_default_move_to_the_version_that_says_so(
    exchange: PromptExchange, prompts: PromptService
) -> None:
    await put(exchange, {"labels": ["production", "old"], "is_default": True})
    await put(exchange, {"text": "Hi", "labels": ["production"], "is_default": True})
    newer, older = await versions(prompts)
    assert (newer.labels, newer.is_default, older.labels, older.is_default) == (("production",), True, ("old",), False)
    await put(exchange, {"name": "other", "is_default": True}, {"version": 2, "text": "Hi", "is_default": False})
    assert not (await versions(prompts))[0].is_default
    assert (await prompts.reads.default(ADMIN, "default", "en")).name == "other"


async def test_what_was_remembered_is_forgotten_after_an_import(
    exchange: PromptExchange, prompts: PromptService
) -> None:
    await put(exchange, {})
    assert len(await versions(prompts)) == 1
    await put(exchange, {"text": "Hi"})
    assert len(await versions(prompts)) == 2


# --- all or nothing ---------------------------------------------------------------------------------------------------


async def test_a_dry_run_tells_all_and_does_nothing(exchange: PromptExchange, prompts: PromptService) -> None:
    await put(exchange, {})
    items = ({"text": "Hi"}, {"name": "new"}, {"name": "later", "version": 4})
    tried = await put(exchange, *items, dry_run=True)
    assert tried.dry_run
    assert [one.text for one in await versions(prompts)] == ["Hello"]
    done = await put(exchange, *items)
    assert (done.items, done.counts) == (tried.items, tried.counts)
    assert tried.counts[Action.CREATED] == 2


@pytest.mark.parametrize(
    ("items", "named"),
    [
        ([{"text": ""}, {"name": ".."}], {"prompts[1].text", "prompts[2].name"}),
        ([{"version": 3}, {"version": 3}], {"prompts[1].version", "prompts[2].version"}),
        ([{}, {}], {"prompts[1].version", "prompts[2].version"}),
        (
            [{"version": 1, "labels": ["x"]}, {"version": 2, "labels": ["x"]}],
            {"prompts[1].labels", "prompts[2].labels"},
        ),
        ([{"is_default": True}, {"name": "b", "is_default": True}], {"prompts[1].is_default", "prompts[2].is_default"}),
        ([{"name": "standing", "is_active": False}], {"prompts[1].is_default"}),
        ([{"name": "standing"}, {"name": "standing", "version": 1}], {"prompts[1].version", "prompts[2].version"}),
        ([{"name": "standing", "text": "{{x}}" * 9, "version": 1_000_001}], {"prompts[1].version"}),
        ([{"name": "top", "version": 1_000_000, "text": "other"}], {"prompts[1].version"}),
    ],
)
async def test_one_wrong_item_and_nothing_is_taken(
    exchange: PromptExchange, prompts: PromptService, items: list[dict[str, Any]], named: set[str]
) -> None:
    await put(exchange, {"name": "standing", "is_default": True}, {"name": "top", "version": 1_000_000})
    for dry_run in (True, False):
        with pytest.raises(BadImport) as caught:
            await put(exchange, {"name": "good"}, *items, dry_run=dry_run)
        assert {flaw.where for flaw in caught.value.flaws} == named
    assert await versions(prompts, "good") == []


async def test_a_prompt_that_changed_since_is_not_written_over(
    exchange: PromptExchange, prompts: PromptService
) -> None:
    await put(exchange, {}, {"name": "calm"})
    (seen,) = await versions(prompts)
    (calm,) = await versions(prompts, "calm")
    await put(exchange, {"text": "somebody else's"})
    ours = ({"text": "mine", "base": digest(seen)}, {"name": "calm", "text": "new", "base": digest(calm)})
    with pytest.raises(ImportConflict) as caught:
        await put(exchange, *ours)
    assert [flaw.where for flaw in caught.value.flaws] == ["prompts[0]"]
    assert "version 2, changed by admin" in caught.value.detail
    assert [one.text for one in await versions(prompts, "calm")] == ["Hello"]
    now = (await versions(prompts))[0]
    assert actions(await put(exchange, ours[0] | {"base": digest(now)}, ours[1])) == [
        ("new_version", 3),
        ("new_version", 2),
    ]


async def test_items_that_move_one_default_do_not_look_like_conflicts(
    exchange: PromptExchange, prompts: PromptService
) -> None:
    await put(exchange, {"name": "a", "is_default": True}, *({"name": f"b{n}"} for n in range(120)))
    bases = {one.name: digest(one) for name in ("a", "b119") for one in await versions(prompts, name)}
    done = await put(
        exchange,
        {"name": "b119", "is_default": True, "base": bases["b119"]},
        *({"name": f"b{n}"} for n in range(119)),
        {"name": "a", "is_default": False, "base": bases["a"]},
    )
    assert done.counts[Action.CHANGED] == 2
    assert [one.is_default for name in ("a", "b119") for one in await versions(prompts, name)] == [False, True]


# --- who and how much -------------------------------------------------------------------------------------------------


async def test_an_export_is_one_team_s_and_may_be_narrowed(exchange: PromptExchange) -> None:
    await put(
        exchange,
        {"version": 1, "labels": ["old"]},
        {"version": 2, "text": "two"},
        {"version": 3, "text": "three"},
        {"lang": "ru"},
        {"namespace": "b"},
    )

    async def told(who: Principal = ADMIN, **more: Any) -> list[tuple[str, str, int]]:
        found = json.loads(await exported(exchange, who, **more))
        assert found["count"] == len(found["prompts"])
        return [(one["namespace"], one["lang"], one["version"]) for one in found["prompts"]]

    whole = [("b", "en", 1), ("default", "en", 3), ("default", "en", 2), ("default", "en", 1), ("default", "ru", 1)]
    assert await told() == whole
    assert await told(which=Which.CURRENT) == [one for one in whole if one != ("default", "en", 2)]
    assert await told(namespace="b") == whole[:1]
    assert await told(lang="ru") == whole[-1:]
    assert await told(OTHER) == []
    assert json.loads(b"".join([piece async for piece in exchange.export_json("default")]))["count"] == 5


async def test_a_large_registry_goes_out_in_pieces_and_comes_in_whole(exchange: PromptExchange) -> None:
    many = [{"name": f"p{n:04}", "text": f"{n} " + "текст " * 500} for n in range(700)]
    await put(exchange, *many)
    pieces = [piece async for piece in exchange.export(ADMIN, form=Form.JSON)]
    assert len(pieces) > 50
    assert max(map(len, pieces)) <= 64 * 1024
    assert [one["name"] for one in json.loads(b"".join(pieces))["prompts"]] == [one["name"] for one in many]


async def test_reading_and_writing_need_their_permissions(exchange: PromptExchange) -> None:
    nobody = structs.replace(ADMIN, permissions=frozenset())
    with pytest.raises(Forbidden):
        exchange.export(nobody, form=Form.JSON)
    with pytest.raises(Forbidden):
        await exchange.import_document(READER, b"[]", form=Form.JSON, mode=Mode.SKIP, dry_run=True)
    assert json.loads(await exported(exchange, READER))["prompts"] == []


async def test_what_an_import_names_is_looked_up_and_not_searched_for(sqlite_database: SqliteDatabase) -> None:
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        asked.append((statement, parameters))

    wanted = [(("default", f"p{place}", "en"), {1, 2}) for place in range(3)]
    async with sqlite_database.reading() as tx:
        event.listen(tx.sync_connection, "before_cursor_execute", note)
        await stored.standing(tx, DEFAULT_TEAM_ID, wanted)
        event.remove(tx.sync_connection, "before_cursor_execute", note)
        for statement, parameters in asked:
            plan = [row[3] for row in await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            # Of a large namespace the prompts named are read, and no others.
            assert "namespace=? AND name=? AND lang=?" in plan[0], plan
    assert len(asked) == 2
