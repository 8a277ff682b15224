"""Changes that wait for their element: taken while it is away, made once and in order when it is back, or refused in words."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from samovar.adapters.disk import DiskElement
from samovar.adapters.jobs.worker import Worker, WorkerSettings
from samovar.adapters.memory import MemoryBus
from samovar.adapters.system import SystemIds
from samovar.domains.files.errors import BadFile, ChangeUnknown, FileUnknown
from samovar.domains.files.jobs import file_kinds
from samovar.domains.files.model.choosing import Element, ElementState
from samovar.domains.files.model.later import MOST_WAITING, Doing, WaitingChange, WaitingState
from samovar.domains.files.model.records import FileAnswer, told
from samovar.domains.files.service import Amendment, Change, ElementChange, FileCare, FileService
from samovar.domains.files.service.care.retention import FINALIZE_JOB
from samovar.kernel.errors import Forbidden, StaleRevision
from samovar.kernel.principal import Principal
from samovar.ports.database import Database
from samovar.ports.elements import Attributes, ElementUnavailable, RetentionKind, StorageElement
from tests.domains.files.caring import Care
from tests.domains.files.conftest import ADMIN, ANN, AUDITOR, BOB, STRANGER, Start, put
from tests.support.clock import ManualClock
from tests.support.jobs import eventually, work_off

LEASE_S = 30.0


def amending(*tags: str, expected: int | None = None) -> Change:
    """A change of the tags."""
    return Change(doing=Doing.AMEND, amendment=Amendment(tags=tags), expected=expected)


DELETING = Change(doing=Doing.DELETE)


class Waiting:
    """A process's files, what looks after them, and a worker that is driven by hand."""

    def __init__(self, files: FileService, care: Care, database: Database, clock: ManualClock, ids: SystemIds) -> None:
        self.files = files
        self.caring: FileCare = care(files)
        self.later = self.caring.later
        self.database = database
        self.clock = clock
        self._ids = ids
        self.worker = self.another_worker()

    def another_worker(self) -> Worker:
        """As another process has it."""
        return Worker(
            name=self._ids.new("worker"),
            kinds=file_kinds(lambda: self.caring),
            database=self.database,
            bus=MemoryBus(),
            clock=self.clock,
            chance=lambda: 1.0,
            report=lambda error, words: None,
            settings=WorkerSettings(lease_s=LEASE_S, grace_s=0.2),
        )

    @asynccontextmanager
    async def away(self, element_id: str = "edit") -> AsyncIterator[None]:
        """The element is away inside the block."""
        element: Any = self.files.registry.serving(element_id)
        element._started = False
        yield
        element._started = True

    async def take(self, file_id: str, change: Change, principal: Principal = ANN) -> WaitingChange:
        """As a request does: first it is tried."""
        with pytest.raises(ElementUnavailable) as refusal:
            await self._try(principal, file_id, change)
        return await self.later.take(principal, file_id, change, refusal.value)

    async def _try(self, principal: Principal, file_id: str, change: Change) -> None:
        if change.doing is Doing.AMEND and change.amendment is not None:
            await self.files.changes.amend(principal, file_id, change.amendment, expected=change.expected)
        elif change.doing is Doing.DELETE:
            await self.files.changes.delete(principal, file_id, expected=change.expected)
        else:
            await self.caring.retention.finalize(principal, file_id, expected=change.expected)

    async def see(self, change: WaitingChange, principal: Principal = ANN) -> WaitingChange:
        """As it stands."""
        return await self.later.of_file(principal, change.file_id, change.id)

    async def file(self, file_id: str) -> FileAnswer:
        """What stands beside the file."""
        element = self.files.registry.serving("edit")
        row = await self.files.reads.fresh(ANN, file_id)
        return told(await element.attributes(row.attributes.path))

    async def work(self, seconds: float = 10) -> None:
        """Let so many seconds pass and do what is due, a second at a time."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            await work_off(self.worker)

    async def audited(self) -> list[tuple[str, str]]:
        """Actions and results."""
        async with self.database.reading() as tx:
            found = await tx.execute(text("SELECT action, result FROM audit_records ORDER BY sequence"))
            return [(row.action, row.result) for row in found]


@pytest.fixture
def waiting(files: FileService, care: Care, database: Database, clock: ManualClock, ids: SystemIds) -> Waiting:
    """With elements on disk."""
    return Waiting(files, care, database, clock, ids)


async def test_a_change_waits_for_its_element_and_is_made_when_it_is_back(waiting: Waiting) -> None:
    made = await put(waiting.files)
    async with waiting.away():
        taken = await waiting.take(made.file_id, amending("late"))
        assert (taken.change, taken.state, taken.reason) == (Doing.AMEND, WaitingState.WAITING, None)
        assert await waiting.audited() == [("file:queue", "success")]
        await waiting.work(600)
        still = await waiting.see(taken)
        assert (still.state, still.ended_at) == (WaitingState.WAITING, None)
        assert "edit" in (still.reason or "")
    await waiting.work(300)
    assert (await waiting.see(taken)).state is WaitingState.DONE
    stands = await waiting.file(made.file_id)
    assert (stands.tags, stands.revision) == (("late",), 2)
    assert (await waiting.files.reads.find(ANN, made.file_id)).file.attributes.tags == ("late",)
    assert await waiting.audited() == [("file:queue", "success"), ("file:queue-end", "success")]


async def test_changes_of_one_file_are_made_in_the_order_in_which_they_came(waiting: Waiting) -> None:
    made = await put(waiting.files)
    orders = [amending("one"), Change(doing=Doing.AMEND, amendment=Amendment(filename="b.txt")), amending("three")]
    async with waiting.away():
        taken = [await waiting.take(made.file_id, one) for one in orders]
        await waiting.work(100)
    await waiting.work(60)
    assert [(await waiting.see(one)).state for one in taken] == [WaitingState.DONE] * 3
    stands = await waiting.file(made.file_id)
    assert (stands.tags, stands.filename, stands.revision) == (("three",), "b.txt", 4)
    ended = [(await waiting.see(one)).ended_at for one in taken]
    assert ended == sorted(ended, key=str)
    assert len(set(ended)) == 3


async def test_one_that_comes_first_holds_the_others_back_though_the_element_answers(waiting: Waiting) -> None:
    made = await put(waiting.files)
    async with waiting.away():
        first = await waiting.take(made.file_id, amending("first"))
        await waiting.work(120)
        second = await waiting.take(made.file_id, amending("second"))
    # The second is due long before the first is tried again.
    await waiting.work(3)
    assert (await waiting.see(second)).reason == "Another change of this file comes first."
    await waiting.work(60)
    assert [(await waiting.see(one)).state for one in (first, second)] == [WaitingState.DONE] * 2
    assert (await waiting.file(made.file_id)).tags == ("second",)


@pytest.mark.parametrize("expected", [None, 1])
@pytest.mark.parametrize("doing", [Doing.AMEND, Doing.FINALIZE])
async def test_a_change_that_was_made_meanwhile_wins_and_the_reason_is_told(
    waiting: Waiting, expected: int | None, doing: Doing
) -> None:
    made = await put(waiting.files)
    change = amending("late", expected=expected) if doing is Doing.AMEND else Change(doing=doing, expected=expected)
    async with waiting.away():
        taken = await waiting.take(made.file_id, change)
    await waiting.files.changes.amend(ANN, made.file_id, Amendment(tags=("direct",)), expected=None)
    await waiting.work()
    ended = await waiting.see(taken)
    assert ended.state is WaitingState.REFUSED
    assert (ended.reason or "").startswith("stale_revision: It stands at revision 2")
    stands = await waiting.file(made.file_id)
    assert (stands.tags, stands.revision, stands.retention) == (("direct",), 2, "temporary")
    assert (await waiting.audited())[-1] == ("file:queue-end", "failure")


@pytest.mark.parametrize("deleting", [DELETING, Change(doing=Doing.DELETE, expected=1)])
async def test_a_deletion_waits_too_and_not_for_a_file_that_was_changed_meanwhile(
    waiting: Waiting, deleting: Change
) -> None:
    gone, kept = await put(waiting.files), await put(waiting.files)
    async with waiting.away():
        before = await waiting.take(gone.file_id, amending("last"))
        deletion = await waiting.take(gone.file_id, DELETING)
        behind = await waiting.take(gone.file_id, amending("too late"))
        refused = await waiting.take(kept.file_id, deleting)
    await waiting.files.changes.amend(ANN, kept.file_id, Amendment(tags=("dear",)), expected=None)
    await waiting.work(20)
    assert [(await waiting.see(one)).state for one in (before, deletion)] == [WaitingState.DONE] * 2
    with pytest.raises(FileUnknown):
        await waiting.files.reads.find(ANN, gone.file_id)
    assert ((await waiting.see(behind)).reason or "").startswith("file_not_found: ")
    assert ((await waiting.see(refused)).reason or "").startswith("stale_revision: ")
    assert (await waiting.file(kept.file_id)).tags == ("dear",)


async def test_a_file_is_made_permanent_when_its_element_is_back(waiting: Waiting, care: Care) -> None:
    made = await put(waiting.files)
    async with waiting.away():
        taken = await waiting.take(made.file_id, Change(doing=Doing.FINALIZE, expected=1))
    waiting.clock.advance(3)
    await work_off(waiting.worker)
    assert (await waiting.see(taken)).state is WaitingState.DONE
    assert FINALIZE_JOB in [kind for kind, _ in await care.ordered()]
    moved = (await waiting.files.reads.fresh(ANN, made.file_id)).attributes
    assert (moved.retention.kind, moved.storage_element_id) == ("permanent", "rw")


async def test_after_its_days_a_change_is_given_up_and_never_made(
    files: FileService, care: Care, database: Database, clock: ManualClock, ids: SystemIds
) -> None:
    waiting = Waiting(files, care, database, clock, ids)
    waiting.caring = care(files, queued_days=1)
    waiting.later = waiting.caring.later
    tried, untried = await put(files), await put(files)
    async with waiting.away():
        first = await waiting.take(tried.file_id, amending("never"))
        waiting.clock.advance(3600)
        second = await waiting.take(untried.file_id, amending("never"))
        for _ in range(8):
            waiting.clock.advance(10_500)
            await work_off(waiting.worker)
        assert (await waiting.see(first)).state is WaitingState.REFUSED
        assert (await waiting.see(second)).state is WaitingState.WAITING
    # Its end comes while nobody works.
    waiting.clock.advance(3600)
    await work_off(waiting.worker)
    for one in (first, second):
        ended = await waiting.see(one)
        assert (ended.state, ended.reason) == (
            WaitingState.REFUSED,
            "expired: the storage element did not come back in time",
        )
        assert (await waiting.file(one.file_id)).tags == ()
    assert (await waiting.audited()).count(("file:queue-end", "failure")) == 2


class Stuck(DiskElement):
    """An element on a disk. Whoever amends there hears nothing while it is stuck, though it is done."""

    sticks = False
    amended = 0

    async def amend(self, attributes: Attributes) -> Attributes:
        done = await super().amend(attributes)
        self.amended += 1
        if self.sticks:
            await asyncio.Event().wait()
        return done


def _stuck(clock: ManualClock) -> Callable[[Element], StorageElement]:
    def opened(one: Element) -> StorageElement:
        return Stuck(Path(one.url.removeprefix("file://")), element_id=one.id, mode=one.mode, clock=clock)

    return opened


async def _stuck_behind(waiting: Waiting, clock: ManualClock) -> None:
    """The worker makes the first change that waits, and does not come to say so."""
    element: Any = waiting.files.registry.serving("edit")
    element.sticks = True
    clock.advance(3)
    await waiting.worker.turn()

    async def is_made() -> bool:
        return bool(element.amended)

    await eventually(is_made)
    element.sticks = False


@pytest.mark.parametrize("expected", [None, 1])
async def test_a_worker_that_dies_when_the_change_was_made_does_not_make_it_twice(
    start: Start, care: Care, database: Database, clock: ManualClock, ids: SystemIds, expected: int | None
) -> None:
    waiting = Waiting(await start(open_element=_stuck(clock)), care, database, clock, ids)
    made = await put(waiting.files)
    element: Any = waiting.files.registry.serving("edit")
    async with waiting.away():
        taken = await waiting.take(made.file_id, amending("once", expected=expected))
        after = await waiting.take(made.file_id, amending("then"))
    await _stuck_behind(waiting, clock)
    # It is never heard of again.
    waiting.worker, dead = waiting.another_worker(), waiting.worker
    await waiting.work(60)
    assert [(await waiting.see(one)).state for one in (taken, after)] == [WaitingState.DONE] * 2
    stands = await waiting.file(made.file_id)
    assert (stands.tags, stands.revision, element.amended) == (("then",), 3, 2)
    await dead.stop()
    assert (await waiting.file(made.file_id)).revision == 3
    assert (await waiting.see(taken)).state is WaitingState.DONE


@pytest.mark.parametrize("direct", [Amendment(tags=("direct",)), Amendment(filename="b.txt")])
@pytest.mark.parametrize("expected", [None, 1])
async def test_a_change_that_was_made_is_done_though_its_worker_died_and_the_file_was_changed_since(
    start: Start, care: Care, database: Database, clock: ManualClock, ids: SystemIds, expected: int | None, direct: Any
) -> None:
    waiting = Waiting(await start(open_element=_stuck(clock)), care, database, clock, ids)
    made = await put(waiting.files)
    async with waiting.away():
        taken = await waiting.take(made.file_id, amending("once", expected=expected))
        behind = await waiting.take(made.file_id, amending("behind"))
    await _stuck_behind(waiting, clock)
    changed = await waiting.files.changes.amend(ANN, made.file_id, direct, expected=None)
    waiting.worker, dead = waiting.another_worker(), waiting.worker
    await waiting.work(60)
    assert (await waiting.see(taken)).state is WaitingState.DONE
    # This one was not made, and what was changed past the line wins.
    assert ((await waiting.see(behind)).reason or "").startswith("stale_revision: ")
    assert await waiting.file(made.file_id) == changed
    assert await waiting.audited() == [
        ("file:queue", "success"),
        ("file:queue", "success"),
        ("file:queue-end", "success"),
        ("file:queue-end", "failure"),
    ]
    # The row, which does not know it, says nothing else than the attributes.
    assert (await care(waiting.files).checker.run("edit", reads_contents=False)).report.findings == ()
    await dead.stop()


async def test_the_same_change_asked_for_again_is_one_and_too_many_are_refused(waiting: Waiting, care: Care) -> None:
    made = await put(waiting.files)
    async with waiting.away():
        taken = [await waiting.take(made.file_id, amending("same")) for _ in range(3)]
        assert len({one.id for one in taken}) == 1
        assert await waiting.audited() == [("file:queue", "success")]
        for number in range(MOST_WAITING - 1):
            await waiting.take(made.file_id, amending(str(number)))
        with pytest.raises(ElementUnavailable):
            await waiting.take(made.file_id, amending("too many"))
        other = await put(waiting.files, retention=RetentionKind.PERMANENT)
    assert len(await care.ordered()) == MOST_WAITING
    assert other.storage_element_id == "rw"


async def test_many_at_once_take_a_place_each(waiting: Waiting) -> None:
    made = await put(waiting.files)
    async with waiting.away():
        taken = await asyncio.gather(*[waiting.take(made.file_id, amending(str(one))) for one in range(4)])
    await waiting.work(30)
    assert [(await waiting.see(one)).state for one in taken] == [WaitingState.DONE] * 4
    assert (await waiting.file(made.file_id)).revision == 5


async def test_what_can_be_told_at_once_is_not_taken(waiting: Waiting, care: Care) -> None:
    made = await put(waiting.files)
    await waiting.files.changes.amend(ANN, made.file_id, Amendment(tags=("two",)), expected=1)
    away = ElementUnavailable("away")
    for change, failure in ((amending(" bad "), BadFile), (amending("late", expected=1), StaleRevision)):
        with pytest.raises(failure):
            await waiting.later.take(ANN, made.file_id, change, away)
    for principal, refusal in ((BOB, FileUnknown), (STRANGER, FileUnknown), (AUDITOR, Forbidden)):
        with pytest.raises(refusal):
            await waiting.later.take(principal, made.file_id, amending("mine"), away)
    await waiting.files.elements.change(
        ADMIN, "edit", ElementChange(state=ElementState.LOST), expected=None, confirm="edit"
    )
    with pytest.raises(ElementUnavailable, match="is lost"):
        await waiting.take(made.file_id, amending("never"))
    assert await care.ordered() == []


async def test_only_who_sees_the_file_sees_what_waits_for_it(waiting: Waiting) -> None:
    made, other = await put(waiting.files), await put(waiting.files)
    async with waiting.away():
        taken = await waiting.take(made.file_id, amending("late"))
    assert await waiting.see(taken, AUDITOR) == taken
    for principal in (BOB, STRANGER):
        with pytest.raises(ChangeUnknown):
            await waiting.see(taken, principal)
    with pytest.raises(ChangeUnknown):
        await waiting.later.of_file(ANN, other.file_id, taken.id)


async def test_a_file_that_is_somebody_elses_by_then_is_not_changed(waiting: Waiting) -> None:
    made = await put(waiting.files)
    async with waiting.away():
        taken = await waiting.take(made.file_id, amending("mine"))
        by_admin = await waiting.take(made.file_id, amending("theirs"), ADMIN)
    async with waiting.database.transaction() as tx:
        await tx.execute(text("UPDATE files SET owner = 'person_bob'"))
    await waiting.work()
    assert ((await waiting.see(taken, ADMIN)).reason or "").startswith("file_not_found: ")
    assert (await waiting.see(by_admin, ADMIN)).state is WaitingState.DONE
