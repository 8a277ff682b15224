"""Any order of writes, against a plain model: ids and versions are what they must be, neither default nor labels dangle."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from samovar.adapters.memory import MemoryBus, MemoryCache, MemoryLimiter
from samovar.adapters.sqlite import SqliteDatabase
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Team
from samovar.domains.identity.store import add_team
from samovar.domains.prompts.errors import (
    NoDefaultPrompt,
    PromptInactive,
    PromptIsDefault,
    PromptIsLabelled,
    PromptNotFound,
)
from samovar.domains.prompts.model import Prompt, PromptChange, PromptQuery
from samovar.domains.prompts.service import PromptService
from tests.domains.prompts.conftest import ADMIN, draft
from tests.support.clock import ManualClock

NAMES = st.sampled_from(["a", "b"])
LANGS = st.sampled_from(["en", "ru"])
LABELS = st.sampled_from(["production", "staging"])
TEXTS = st.sampled_from(["one", "two", "three"])


class Registry(RuleBasedStateMachine):
    """``rows`` is the model: id to what must be there."""

    template: Path
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._folder = Path(tempfile.mkdtemp())
        shutil.copyfile(self.template, self._folder / "samovar.db")
        self._database = SqliteDatabase(self._folder / "samovar.db")
        clock = ManualClock()
        self._service = PromptService(
            database=self._database,
            clock=clock,
            bus=MemoryBus(),
            cache=MemoryCache(clock=clock),
            limiter=MemoryLimiter(clock=clock),
        )
        self._run(self._add_team(clock))
        self.rows: dict[int, dict[str, Any]] = {}
        self.last_id = 0

    async def _add_team(self, clock: ManualClock) -> None:
        async with self._database.transaction() as tx:
            await add_team(tx, Team(id=DEFAULT_TEAM_ID, name="Default", created_at=clock.now()))

    def _run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def _refused(self, work: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            self._run(work)

    def teardown(self) -> None:
        self._run(self._database.close())
        self._loop.close()
        shutil.rmtree(self._folder)

    # --- the model

    def _versions(self, name: str, lang: str) -> list[dict[str, Any]]:
        return [row for row in self.rows.values() if (row["name"], row["lang"]) == (name, lang)]

    def _unmark(self, lang: str) -> None:
        for row in self.rows.values():
            if row["lang"] == lang:
                row["is_default"] = False

    def _unlabel(self, name: str, lang: str, label: str) -> None:
        for row in self._versions(name, lang):
            row["labels"].discard(label)

    # --- what is done

    @rule(
        target=ids,
        name=NAMES,
        lang=LANGS,
        text=TEXTS,
        active=st.booleans(),
        default=st.booleans(),
        label=LABELS | st.none(),
    )
    def create(self, name: str, lang: str, text: str, active: bool, default: bool, label: str | None) -> int:
        labels = () if label is None else (label,)
        make_default = default and active
        made: Prompt = self._run(
            self._service.writes.create(
                ADMIN,
                draft(name, text, lang=lang, is_active=active, make_default=make_default, labels=labels),
            )
        )
        assert made.id == self.last_id + 1
        self.last_id = made.id
        assert made.version == 1 + max([row["version"] for row in self._versions(name, lang)], default=0)
        if make_default:
            self._unmark(lang)
        if label is not None:
            self._unlabel(name, lang, label)
        self.rows[made.id] = {
            "name": name,
            "lang": lang,
            "version": made.version,
            "text": text,
            "former": [],
            "is_active": active,
            "is_default": make_default,
            "labels": set(labels),
        }
        return made.id

    @rule(prompt_id=ids, text=TEXTS)
    def write(self, prompt_id: int, text: str) -> None:
        row = self.rows.get(prompt_id)
        work = self._service.writes.update(ADMIN, prompt_id, PromptChange(text=text))
        if row is None:
            self._refused(work, PromptNotFound)
            return
        self._run(work)
        if row["text"] != text:
            row["former"].insert(0, row["text"])
            row["text"] = text

    @rule(prompt_id=ids, active=st.booleans())
    def switch(self, prompt_id: int, active: bool) -> None:
        row = self.rows.get(prompt_id)
        work = self._service.writes.update(ADMIN, prompt_id, PromptChange(is_active=active))
        if row is None:
            self._refused(work, PromptNotFound)
        elif row["is_default"] and not active:
            self._refused(work, PromptIsDefault)
        else:
            self._run(work)
            row["is_active"] = active

    @rule(prompt_id=ids)
    def make_default(self, prompt_id: int) -> None:
        row = self.rows.get(prompt_id)
        work = self._service.writes.set_default(ADMIN, prompt_id)
        if row is None:
            self._refused(work, PromptNotFound)
        elif not row["is_active"]:
            self._refused(work, PromptInactive)
        else:
            self._run(work)
            self._unmark(row["lang"])
            row["is_default"] = True

    @rule(prompt_id=ids, label=LABELS)
    def move_label(self, prompt_id: int, label: str) -> None:
        row = self.rows.get(prompt_id)
        work = self._service.writes.set_label(ADMIN, prompt_id, label)
        if row is None:
            self._refused(work, PromptNotFound)
            return
        self._run(work)
        self._unlabel(row["name"], row["lang"], label)
        row["labels"].add(label)

    @rule(prompt_id=ids)
    def go_back(self, prompt_id: int) -> None:
        row = self.rows.get(prompt_id)
        if row is None or not row["former"]:
            return
        page = self._run(self._service.reads.history(ADMIN, prompt_id, limit=100, cursor=None))
        self._run(self._service.writes.restore(ADMIN, prompt_id, revision=page.items[-1].revision))
        if row["former"][-1] != row["text"]:
            row["former"].insert(0, row["text"])
            row["text"] = row["former"][-1]

    @rule(prompt_id=consumes(ids), force=st.booleans())
    def delete(self, prompt_id: int, force: bool) -> None:
        row = self.rows.get(prompt_id)
        work = self._service.writes.delete(ADMIN, prompt_id, force=force)
        if row is None:
            self._refused(work, PromptNotFound)
        elif row["is_default"] and not force:
            self._refused(work, PromptIsDefault)
        elif row["labels"] and not force:
            self._refused(work, PromptIsLabelled)
        else:
            self._run(work)
            del self.rows[prompt_id]

    # --- what must hold

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        page = self._run(self._service.reads.page(ADMIN, PromptQuery(limit=100)))
        assert {one.id for one in page.items} == set(self.rows)
        for one in page.items:
            row = self.rows[one.id]
            assert (one.text, one.is_active, one.is_default) == (row["text"], row["is_active"], row["is_default"])
            assert set(one.labels) == row["labels"]
            assert self._run(self._service.reads.get(ADMIN, one.id)) == one
            history = self._run(self._service.reads.history(ADMIN, one.id, limit=100, cursor=None))
            assert [former.text for former in history.items] == row["former"]

    @invariant()
    def what_is_pointed_to_is_there(self) -> None:
        for lang in ("en", "ru"):
            marked = [id_ for id_, row in self.rows.items() if row["lang"] == lang and row["is_default"]]
            assert len(marked) <= 1
            if marked:
                assert self._run(self._service.resolve("default", lang=lang)).prompt.id == marked[0]
            else:
                self._refused(self._service.resolve("default", lang=lang), NoDefaultPrompt)
            for name in ("a", "b"):
                self._check_name(name, lang)

    def _check_name(self, name: str, lang: str) -> None:
        versions = {id_: row for id_, row in self.rows.items() if (row["name"], row["lang"]) == (name, lang)}
        produced = [id_ for id_, row in versions.items() if "production" in row["labels"]]
        active = [id_ for id_, row in versions.items() if row["is_active"]]
        newest = max(active, key=lambda id_: versions[id_]["version"], default=None)
        meant = produced[0] if produced else newest
        work = self._service.resolve("default", prompt_name=name, lang=lang)
        if meant is None:
            self._refused(work, PromptNotFound)
        elif not self.rows[meant]["is_active"]:
            self._refused(work, PromptInactive)
        else:
            assert self._run(work).prompt.id == meant


def live(sqlite_template: Path, *, examples: int) -> None:
    """Registries in this many lives."""

    class OnDisk(Registry):
        template = sqlite_template

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OnDisk,
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_no_order_of_writes_leaves_anything_dangling(sqlite_template: Path) -> None:
    live(sqlite_template, examples=10)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_no_order_of_many_more_writes_leaves_anything_dangling(sqlite_template: Path) -> None:
    live(sqlite_template, examples=300)
