"""The sums against sums by hand: whatever is written and pruned, and in whatever order."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from samovar.domains.gateway.model import CallFinished, CallStatus, PromptUse
from samovar.domains.identity.model import Scope, permissions_of
from samovar.domains.usage.model import Dimension, Figures, Filters, Group, row_of
from samovar.domains.usage.model.figures import HOUR, Window
from samovar.domains.usage.model.users import Labels
from samovar.domains.usage.service import UsageQueries, UsageService, UsageUpkeep
from samovar.domains.usage.store import events as store
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from samovar.ports.llm import Usage
from tests.domains.usage.calls import event
from tests.support.clock import ManualClock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RETENTION = timedelta(days=30)
_numbers = count()
_Step: TypeAlias = tuple[str, Any]


def reader_of(team_id: str) -> Principal:
    return Principal(
        id="key_reader",
        kind=PrincipalKind.KEY,
        team_id=team_id,
        name="reader",
        permissions=permissions_of([Scope.USAGE]),
    )


def upkeep_on(database: Database, clock: ManualClock) -> UsageUpkeep:
    return UsageUpkeep(
        database=database, clock=clock, retention=RETENTION, pruned=lambda *_: None, report=lambda *_: None
    )


def by_hand(events: Sequence[CallFinished]) -> Figures:
    """The oracle: one addition after the other."""
    used = [one.usage for one in events if one.usage is not None]
    return Figures(
        calls=len(events),
        errors=sum(one.status in (CallStatus.ERROR, CallStatus.BROKEN) for one in events),
        cancelled=sum(one.status is CallStatus.CANCELLED for one in events),
        input_tokens=sum(one.input_tokens for one in used),
        output_tokens=sum(one.output_tokens for one in used),
        cached_input_tokens=sum(one.cached_input_tokens for one in used),
        cache_write_tokens=sum(one.cache_write_tokens for one in used),
        reasoning_tokens=sum(one.reasoning_tokens for one in used),
        cost_nano_usd=sum(one.cost_nano_usd or 0 for one in events),
        unpriced_calls=sum(one.cost_nano_usd is None and one.usage is not None for one in events),
        estimated_calls=sum(one.estimated for one in used),
        # Binary fractions, so that no order of adding changes the sum.
        duration_ms=sum(one.duration_ms for one in events),
        overhead_ms=sum(one.overhead_ms for one in events),
    )


def groups_by_hand(events: Sequence[CallFinished], name: Callable[[CallFinished], str]) -> list[Group]:
    names = {name(one) for one in events}
    groups = [Group(each, by_hand([one for one in events if name(one) == each])) for each in names]
    return sorted(groups, key=lambda group: (-group.figures.cost_nano_usd, -group.figures.calls, group.name))


_usages = st.builds(
    Usage,
    input_tokens=st.integers(0, 10**9),
    output_tokens=st.integers(0, 10**9),
    cached_input_tokens=st.integers(0, 10**6),
    cache_write_tokens=st.integers(0, 10**6),
    reasoning_tokens=st.integers(0, 10**6),
    estimated=st.booleans(),
)
# Many at the edges of hours and days, and some long ago.
_instants = st.builds(
    lambda hours, seconds: NOON - timedelta(hours=hours) + timedelta(seconds=seconds),
    st.integers(0, 40 * 24),
    st.sampled_from([0, -1e-6, 1e-6, 1799.5, 3599.999999]),
)
_calls = st.fixed_dictionaries(
    {
        "started_at": _instants,
        "model": st.sampled_from(["a/one", "a/two", "b/one", ""]),
        "provider": st.sampled_from(["a", "b"]),
        "principal_id": st.sampled_from(["key_1", "key_2"]),
        "surface": st.sampled_from(["openai-chat", "gemini"]),
        "requested_model": st.sampled_from(["fast", "a/one"]),
        "project_id": st.sampled_from(["", "site"]),
        "user_id": st.sampled_from(["", "ann"]),
        "user_label": st.sampled_from(["", "bob", "ann"]),
        "prompt": st.none() | st.builds(PromptUse, st.integers(1, 2), st.integers(1, 3), st.integers(1, 3)),
        "status": st.sampled_from(CallStatus),
        "usage": st.none() | _usages,
        "cost_nano_usd": st.none() | st.integers(0, 10**12),
        "duration_ms": st.integers(0, 2**20).map(lambda eighths: eighths / 8),
        "overhead_ms": st.integers(0, 2**10).map(lambda eighths: eighths / 8),
    }
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(_calls, min_size=1, max_size=8)),
        st.tuples(st.just("again"), st.integers(1, 20)),
        st.tuples(st.just("prune"), st.none()),
        st.tuples(st.just("wait"), st.integers(1, 20)),
    ),
    min_size=1,
    max_size=14,
)
_windows = st.tuples(st.integers(0, 45 * 24), st.integers(1, 45 * 24)).map(
    lambda pair: Window(NOON - timedelta(hours=pair[0]), NOON - timedelta(hours=pair[0] - pair[1]))
)


_NAME_OF: dict[Dimension, Callable[[CallFinished], str]] = {
    Dimension.MODEL: lambda one: one.model,
    Dimension.PROVIDER: lambda one: one.provider,
    Dimension.KEY: lambda one: one.principal_id,
    Dimension.SURFACE: lambda one: one.surface,
    Dimension.PROJECT: lambda one: one.project_id,
    Dimension.USER: lambda one: one.user_id or (one.user_label and f"~{one.user_label}"),
    Dimension.ROUTE: lambda one: one.requested_model if one.model else "",
    Dimension.PROMPT: lambda one: "" if one.prompt is None else str(one.prompt.id),
}


class Log:
    """A usage log and what it must hold."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.team_id = f"team_{next(_numbers)}"
        self.clock = ManualClock()
        self.upkeep = upkeep_on(database, self.clock)
        self.told: list[CallFinished] = []
        self.kept: list[CallFinished] = []

    async def do(self, step: _Step) -> None:
        """One step of a history."""
        match step:
            case ("write", calls):
                fresh = [event(next(_numbers), team_id=self.team_id, **call) for call in calls]
                await self.write(fresh)
                self.told += fresh
                self.kept += fresh
            case ("again", number):
                # The answer to a commit was lost: what is still kept is sent once more, with a fresh one among it.
                fresh = [event(next(_numbers), team_id=self.team_id, started_at=self.clock.now())]
                await self.write([*self.kept[-number:], *fresh, *fresh])
                self.told += fresh
                self.kept += fresh
            case ("prune", _):
                await self.upkeep.prune()
            case ("wait", days):
                self.clock.advance(days * 86_400)

    async def write(self, events: Sequence[CallFinished]) -> None:
        usage = UsageService(database=self.database, report=lambda *_: None)
        for one in events:
            usage.record(one)
        await usage.flush()

    async def ids(self) -> set[str]:
        async with self.database.reading() as tx:
            found = await tx.execute(text("SELECT id FROM usage_events WHERE team_id = :team"), {"team": self.team_id})
            return {row.id for row in found}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps, window=_windows, model=st.none() | st.sampled_from(["a/one", ""]), by=st.sampled_from(Dimension))
async def test_sums_are_those_made_by_hand_whatever_is_written_and_pruned(
    database: Database, steps: list[_Step], window: Window, model: str | None, by: Dimension
) -> None:
    log = Log(database)
    for step in steps:
        before = await log.ids()
        await log.do(step)
        if step[0] == "prune":
            gone = before - await log.ids()
            cutoff = log.clock.now() - RETENTION
            # Nothing that is young, and all that is old.
            assert {one.id for one in log.kept if one.started_at >= cutoff} == await log.ids()
            log.kept = [one for one in log.kept if one.id not in gone]
    queries = UsageQueries(database=database, clock=log.clock, retention=RETENTION)
    found = await queries.breakdown(
        reader_of(log.team_id),
        start=window.start,
        end=window.end,
        filters=Filters(model=model),
        by=by,
        latency=False,
        limit=100,
    )
    wide = window.widened(HOUR)
    counted = [
        one for one in log.told if wide.start <= one.started_at < wide.end and (model is None or one.model == model)
    ]
    assert found.total == by_hand(counted)
    assert list(found.groups) == groups_by_hand(counted, _NAME_OF[by])


async def test_writers_and_pruners_that_meet_count_every_call_once(database: Database, clock: ManualClock) -> None:
    stop = asyncio.Event()
    old, young = clock.now() - 2 * RETENTION, clock.now()

    async def write(writer: int) -> None:
        usage = UsageService(database=database, report=lambda *_: None)
        for number in range(400):
            usage.record(event(writer * 1_000 + number, started_at=(old, young)[number % 2], model=f"m{number % 7}"))
            if number % 20 == 19:
                await usage.flush()

    async def tidy() -> None:
        upkeep = upkeep_on(database, clock)
        while not stop.is_set():
            await upkeep.prune()
            await asyncio.sleep(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(tidy())
        await asyncio.gather(*(write(writer) for writer in range(3)))
        stop.set()
    await upkeep_on(database, clock).prune()
    queries = UsageQueries(database=database, clock=clock, retention=RETENTION)
    found = await queries.breakdown(
        reader_of("team_default"),
        start=old,
        end=young + HOUR,
        filters=Filters(),
        by=Dimension.MODEL,
        latency=False,
        limit=100,
    )
    assert found.total.calls == 1_200
    assert found.total.cost_nano_usd == 1_200 * 1_234
    async with database.reading() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM usage_events")) == 600


async def test_absurd_figures_of_a_provider_do_not_overflow_the_sums(database: Database, clock: ManualClock) -> None:
    usage = UsageService(database=database, report=lambda *_: None)
    for number in range(50):
        usage.record(event(number, usage=Usage(input_tokens=2**70, output_tokens=-5), cost_nano_usd=2**80))
    await usage.flush()
    async with database.reading() as tx:
        assert await tx.scalar(text("SELECT sum(calls) FROM usage_daily")) == 50


async def test_others_write_while_many_events_are_pruned(sqlite_database: Database, clock: ManualClock) -> None:
    old = clock.now() - 2 * RETENTION
    async with sqlite_database.transaction() as tx:
        await store.add_rows(tx, [row_of(event(number, started_at=old), Labels()) for number in range(1_000)])
    upkeep = upkeep_on(sqlite_database, clock)
    pruning = asyncio.create_task(upkeep.prune())
    written_between = 0
    while not pruning.done():
        async with sqlite_database.transaction():
            written_between += 1
        await asyncio.sleep(0)
    assert await pruning == 1_000
    assert written_between >= 4
