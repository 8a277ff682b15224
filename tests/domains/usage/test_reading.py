"""Series, quantiles, pages and exports of the usage log."""

from datetime import UTC, datetime, timedelta

import pytest

from samovar.domains.gateway.model import CallFinished, CallStatus
from samovar.domains.usage.errors import WindowRefused
from samovar.domains.usage.model import Buckets, Dimension, Filters, Method, Record
from samovar.domains.usage.model.figures import DURATION_BOUNDS_MS, quantile
from samovar.domains.usage.service import UsageQueries, UsageService
from samovar.kernel.errors import Forbidden
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.database import Database
from tests.domains.usage.calls import event
from tests.domains.usage.test_sums import reader_of
from tests.support.clock import ManualClock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RETENTION = timedelta(days=90)
READER = reader_of("team_default")
ALL = Filters()


@pytest.fixture
def queries(database: Database, clock: ManualClock) -> UsageQueries:
    return UsageQueries(database=database, clock=clock, retention=RETENTION)


async def write(database: Database, *events: CallFinished) -> None:
    usage = UsageService(database=database, report=lambda *_: None)
    for one in events:
        usage.record(one)
    await usage.flush()


@pytest.mark.parametrize(("buckets", "length"), [(bucket, bucket.length) for bucket in Buckets])
async def test_a_series_has_every_bucket_and_each_call_stands_in_its_own(
    database: Database, clock: ManualClock, queries: UsageQueries, buckets: Buckets, length: timedelta
) -> None:
    edge = datetime(2026, 11, 21, tzinfo=UTC)
    microsecond = timedelta(microseconds=1)
    calls = [edge - length, edge - microsecond, edge, edge + length - microsecond, edge + length]
    await write(database, *(event(number, started_at=at) for number, at in enumerate(calls)))
    found = await queries.series(READER, start=edge - 2 * length, end=edge + 2 * length, filters=ALL, buckets=buckets)
    assert [point.at for point in found.points] == [edge + number * length for number in range(-2, 2)]
    assert [point.figures.calls for point in found.points] == [0, 2, 2, 1]
    assert [point.figures.cost_nano_usd for point in found.points] == [0, 2 * 1234, 2 * 1234, 1234]


async def test_a_window_is_widened_to_whole_hours_and_says_so(
    database: Database, clock: ManualClock, queries: UsageQueries
) -> None:
    await write(database, event(1, started_at=NOON + timedelta(minutes=1)))
    found = await queries.breakdown(
        READER,
        start=NOON + timedelta(minutes=30),
        end=NOON + timedelta(minutes=40),
        filters=ALL,
        by=Dimension.MODEL,
        latency=False,
        limit=10,
    )
    assert (found.window.start, found.window.end) == (NOON, NOON + timedelta(hours=1))
    assert found.total.calls == 1


async def test_a_team_sees_nothing_of_another(database: Database, clock: ManualClock, queries: UsageQueries) -> None:
    await write(database, event(1), event(2, team_id="team_other"))
    for team_id, ids in (("team_default", ["call_1"]), ("team_other", ["call_2"]), ("team_none", [])):
        reader = reader_of(team_id)
        window = {"start": NOON - timedelta(hours=10), "end": NOON + timedelta(hours=10), "filters": ALL}
        broken = await queries.breakdown(reader, **window, by=Dimension.KEY, latency=True, limit=10)  # type: ignore[arg-type]
        series = await queries.series(reader, **window, buckets=Buckets.MINUTE)  # type: ignore[arg-type]
        page = await queries.page(reader, **window, after=None, limit=10)  # type: ignore[arg-type]
        exported = [one.id async for some in queries.export(reader, **window) for one in some]  # type: ignore[arg-type]
        assert broken.total.calls == sum(point.figures.calls for point in series.points) == len(ids)
        assert [one.id for one in page.items] == exported == ids


async def test_who_lacks_the_permission_is_refused_everywhere(queries: UsageQueries) -> None:
    nobody = Principal(id="k", kind=PrincipalKind.KEY, team_id="team_default", name="k", permissions=frozenset())
    none = {"start": None, "end": None, "filters": ALL}
    with pytest.raises(Forbidden):
        await queries.series(nobody, **none, buckets=Buckets.DAY)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        await queries.breakdown(nobody, **none, by=Dimension.KEY, latency=False, limit=1)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        await queries.page(nobody, **none, after=None, limit=1)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        await anext(queries.export(nobody, **none))  # type: ignore[arg-type, call-overload]
    with pytest.raises(Forbidden):
        await queries.outlook(nobody, days=1, filters=ALL)


async def test_a_call_without_a_known_price_is_counted_and_not_free(
    database: Database, clock: ManualClock, queries: UsageQueries
) -> None:
    failed = event(3, cost_nano_usd=None, usage=None, status=CallStatus.ERROR)
    await write(database, event(1), event(2, cost_nano_usd=None), failed)
    clock.advance(3600)
    found = await queries.breakdown(
        READER, start=None, end=None, filters=ALL, by=Dimension.MODEL, latency=False, limit=10
    )
    assert (found.total.calls, found.total.unpriced_calls, found.total.cost_nano_usd) == (3, 1, 1234)
    page = await queries.page(READER, start=None, end=None, filters=ALL, after=None, limit=10)
    assert {one.id: one.cost_credits for one in page.items} == {
        "call_1": "0.0001234",
        "call_2": None,
        "call_3": None,
    }


async def test_names_beyond_the_limit_are_in_the_total(
    database: Database, clock: ManualClock, queries: UsageQueries
) -> None:
    await write(database, *(event(n, model=f"m{n}", cost_nano_usd=n) for n in range(5)))
    clock.advance(3600)
    found = await queries.breakdown(
        READER, start=None, end=None, filters=ALL, by=Dimension.MODEL, latency=False, limit=2
    )
    assert [group.name for group in found.groups] == ["m4", "m3"]
    assert (found.total.calls, found.total.cost_nano_usd) == (5, 10)


async def test_pages_and_the_export_give_each_call_once_where_many_began_at_one_instant(
    database: Database, clock: ManualClock, queries: UsageQueries
) -> None:
    count = 1_203
    await write(database, *(event(n, started_at=NOON - timedelta(seconds=n // 300)) for n in range(count)))
    clock.advance(1)
    seen: list[Record] = []
    after = None
    while True:
        page = await queries.page(READER, start=None, end=None, filters=ALL, after=after, limit=100)
        seen += page.items
        after = page.next
        if after is None:
            break
    exported = [one async for some in queries.export(READER, start=None, end=None, filters=ALL) for one in some]
    assert len(seen) == len({one.id for one in seen}) == count
    assert seen == exported[::-1]


async def test_windows_that_cannot_be_shown_are_refused_with_what_to_do(queries: UsageQueries) -> None:
    async def refused(start: datetime, end: datetime, buckets: Buckets) -> str:
        with pytest.raises(WindowRefused) as caught:
            await queries.series(READER, start=start, end=end, filters=ALL, buckets=buckets)
        return caught.value.detail

    assert "before `to`" in await refused(NOON, NOON, Buckets.DAY)
    assert "longer bucket" in await refused(NOON - timedelta(days=2), NOON, Buckets.MINUTE)
    assert "longer bucket" in await refused(NOON - timedelta(days=100), NOON, Buckets.HOUR)
    old = NOON - timedelta(days=91)
    assert "90 days back" in await refused(old, old + timedelta(hours=1), Buckets.MINUTE)
    assert "longest time" in await refused(datetime(1990, 1, 1, tzinfo=UTC), NOON, Buckets.DAY)
    assert "before 1970" in await refused(
        datetime(1969, 1, 1, tzinfo=UTC), datetime(1972, 1, 1, tzinfo=UTC), Buckets.DAY
    )


async def test_quantiles_are_right_to_the_bounds_around_them(
    database: Database, clock: ManualClock, queries: UsageQueries
) -> None:
    durations = [1.0 * number for number in range(1, 1_001)]
    await write(database, *(event(n, duration_ms=ms, overhead_ms=ms / 100) for n, ms in enumerate(durations)))
    clock.advance(3600)
    found = await queries.breakdown(
        READER, start=None, end=None, filters=ALL, by=Dimension.MODEL, latency=True, limit=10
    )
    for latency in (found.total.latency, found.groups[0].figures.latency):
        assert latency is not None
        assert latency.p50_ms == pytest.approx(500, rel=0.02)
        assert latency.p95_ms == pytest.approx(950, rel=0.3)
        assert latency.overhead_p50_ms == pytest.approx(5, rel=0.05)


def test_a_quantile_of_nothing_is_none_and_one_beyond_the_last_bound_is_that_bound() -> None:
    nothing = [0] * (len(DURATION_BOUNDS_MS) + 1)
    assert quantile(nothing, DURATION_BOUNDS_MS, 0.5) is None
    assert quantile([*nothing[:-1], 7], DURATION_BOUNDS_MS, 0.5) == DURATION_BOUNDS_MS[-1]


async def test_the_outlook_rests_on_whole_days_and_leaves_today_out(
    database: Database, clock: ManualClock, queries: UsageQueries
) -> None:
    today = datetime(2026, 11, 21, tzinfo=UTC)
    spent = [event(day, started_at=today - timedelta(days=day), cost_nano_usd=100) for day in range(1, 4)]
    await write(database, *spent, event(50, started_at=today, cost_nano_usd=9_999))
    found = await queries.outlook(READER, days=5, filters=ALL)
    assert (found.start, found.history_days, found.today_nano_usd) == (today, 3, 9_999)
    assert found.forecast.method is Method.MEAN
    assert [day.expected for day in found.forecast.days] == [100] * 5
