"""The pure part of quotas: rows and their order, buckets, blocks of a shared bucket, and who is refused under load."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.billing.model.quotas import (
    EVERY,
    OFF,
    Allowance,
    Blocks,
    Bucket,
    Quota,
    Subject,
    allowance,
    in_order,
    lease_of,
    sheds,
)
from samovar.ports.limits import FULL, Limit, spend

US = 10**6

limits = st.builds(
    Limit,
    amount=st.integers(1, 5_000),
    window_s=st.integers(1, 4_000),
    burst=st.none() | st.integers(1, 5_000),
)


def row(subject_id: str, *, limits: str = "", tokens: str = "", concurrency: int | None = None) -> Quota:
    return Quota(
        id="quota_1",
        team_id="default",
        subject=Subject.KEY,
        subject_id=subject_id,
        limits=limits,
        tokens=tokens,
        concurrency=concurrency,
        revision=1,
        updated_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


# --- rows -----------------------------------------------------------------------------------------------------------


def rows(*quotas: Quota) -> dict[tuple[Subject, str], Quota]:
    return {(quota.subject, quota.subject_id): quota for quota in quotas}


def test_a_subjects_own_row_comes_before_the_one_for_all_and_that_before_the_default() -> None:
    own, every = row("key_1", limits="1/s", concurrency=2), row(EVERY, limits="2/s", tokens="5/s", concurrency=9)
    assert allowance(rows(own, every), Subject.KEY, "key_1", default="3/s") == Allowance(
        (Limit(1, 1),), (Limit(5, 1),), 2
    )
    assert allowance(rows(own, every), Subject.KEY, "key_2", default="3/s") == Allowance(
        (Limit(2, 1),), (Limit(5, 1),), 9
    )
    assert allowance(rows(own), Subject.KEY, "key_2", default="3/s") == Allowance((Limit(3, 1),))
    assert allowance({}, Subject.TEAM, "key_1") == Allowance()


def test_a_row_can_lift_what_would_hold_else() -> None:
    own, every = (
        row("key_1", limits=OFF, tokens=OFF, concurrency=0),
        row(EVERY, limits="2/s", tokens="5/s", concurrency=9),
    )
    assert allowance(rows(own, every), Subject.KEY, "key_1", default="3/s") == Allowance()


def test_a_limit_that_is_written_twice_is_one() -> None:
    assert in_order("10/minute; 10 per 1 minute; 5/hour") == (Limit(10, 60), Limit(5, 3600))


def test_the_shortest_limit_is_asked_first() -> None:
    found = allowance(rows(row("key_1", limits="1000/day; 10/second; 100/hour")), Subject.KEY, "key_1")
    assert [limit.window_s for limit in found.limits] == [1, 3600, 86_400]


# --- a bucket of one process ----------------------------------------------------------------------------------------


@given(limit=limits, hits=st.lists(st.tuples(st.integers(-(10**6), 10**8), st.integers(0, 20)), max_size=60))
def test_a_bucket_decides_as_the_rule_of_all_limiters_does(limit: Limit, hits: list[tuple[int, int]]) -> None:
    bucket = Bucket(capacity=limit.capacity, rate=limit.amount / limit.window_s)
    level, now_us = FULL, 10**9
    for step_us, cost in hits:
        now_us = max(0, now_us + step_us)
        before = bucket.used
        level, verdict = spend(level, limit, cost=cost, now_us=now_us)
        allowed = bucket.take(cost, now_us / US)
        if allowed is not verdict.allowed:
            # Only where both are within a rounding error of the edge.
            assert abs(before + cost - limit.capacity) < limit.capacity
            assert abs(level.used + (0 if verdict.allowed else cost) - limit.capacity) < 1e-3
            return
        assert bucket.used == pytest.approx(level.used, abs=1e-4)


@given(limit=limits, hits=st.lists(st.tuples(st.integers(-(10**6), 10**8), st.integers(0, 20)), max_size=60))
def test_a_bucket_never_lets_more_through_than_it_promises_though_the_clock_jumps(
    limit: Limit, hits: list[tuple[int, int]]
) -> None:
    bucket = Bucket(capacity=limit.capacity, rate=limit.amount / limit.window_s)
    allowed: list[tuple[int, int]] = []
    # The bucket's time begins with its first hit, which may be before the time that the steps begin from.
    now_us, latest_us = 10**9, 0
    for step_us, cost in hits:
        now_us = max(0, now_us + step_us)
        latest_us = max(latest_us, now_us)
        if bucket.take(cost, now_us / US):
            allowed.append((latest_us, cost))
    assert_kept(limit, allowed)


@given(limit=limits, cost=st.integers(1, 20), taken=st.integers(0, 5_000))
def test_waiting_as_long_as_told_is_enough(limit: Limit, cost: int, taken: int) -> None:
    bucket = Bucket(capacity=limit.capacity, rate=limit.amount / limit.window_s)
    bucket.correct(taken, 1.0)
    if cost <= limit.capacity:
        assert bucket.take(cost, 1.0 + bucket.wait_s(cost, 1.0) + 1e-6)


@given(limit=limits, taken=st.integers(0, 6_000), after_s=st.floats(-10, 10_000))
def test_what_a_bucket_says_is_left_can_be_taken_and_no_more_and_it_is_whole_when_it_says(
    limit: Limit, taken: int, after_s: float
) -> None:
    bucket = Bucket(capacity=limit.capacity, rate=limit.amount / limit.window_s)
    bucket.correct(taken, 100.0)
    left, full_in_s = bucket.stand(100.0 + after_s)
    assert (left, full_in_s) == (bucket.remaining(100.0 + after_s), bucket.reset_s(100.0 + after_s))
    assert bucket.take(left, 100.0 + after_s) or taken > limit.capacity
    assert not bucket.take(1, 100.0 + after_s)


def test_what_is_given_back_can_be_taken_again_and_a_debt_is_paid_by_time() -> None:
    bucket = Bucket(capacity=10, rate=1.0)
    assert bucket.take(10, 0.0)
    bucket.correct(-4, 0.0)
    assert (bucket.take(5, 0.0), bucket.take(4, 0.0)) == (False, True)
    bucket.correct(20, 0.0)
    assert bucket.remaining(0.0) == 0
    assert bucket.wait_s(1, 0.0) == pytest.approx(21)
    assert bucket.reset_s(0.0) == pytest.approx(30)


# --- blocks of a shared bucket --------------------------------------------------------------------------------------


@given(limit=limits)
def test_what_blocks_may_outlive_is_taken_off_the_shared_bucket(limit: Limit) -> None:
    lease = lease_of(limit)
    given_up = limit.capacity - lease.limit.capacity
    assert given_up >= Fraction(limit.amount, limit.window_s) * Fraction(lease.life_s)
    assert lease.limit.capacity >= 1
    assert lease.life_s <= 1
    assert given_up <= limit.capacity / 4 + 1
    if not lease.life_s:
        assert given_up == 0


# (whether a block is taken, else one is spent; which of the blocks at hand; microseconds that pass before; how much)
greed = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 1_200_000), st.integers(1, 300)), max_size=120
)


@given(limit=limits, greed=greed)
def test_however_blocks_are_taken_and_hoarded_the_limit_holds(
    limit: Limit, greed: list[tuple[bool, int, int, int]]
) -> None:
    lease = lease_of(limit)
    if not lease.life_s:
        return
    level, now_us = FULL, 10**9
    blocks: list[list[float]] = []
    allowed: list[tuple[int, int]] = []
    for takes, which, passes_us, amount in greed:
        now_us += passes_us
        if takes:
            level, verdict = spend(level, lease.limit, cost=amount, now_us=now_us)
            if verdict.allowed:
                blocks.append([amount, now_us + lease.life_s * US])
        elif which < len(blocks) and now_us < blocks[which][1]:
            spent = int(min(blocks[which][0], amount))
            blocks[which][0] -= spent
            allowed.append((now_us, spent))
    assert_kept(limit, allowed)


def test_a_hoard_and_what_flowed_in_meanwhile_do_not_pass_the_limit_together() -> None:
    limit = Limit(100, 1, burst=400)
    lease = lease_of(limit)
    level, hoard = spend(FULL, lease.limit, cost=lease.limit.capacity, now_us=10**9)
    assert hoard.allowed
    # At the very end of the hoard's life, all of it at once, and with it all that flowed in.
    late_us = 10**9 + int(lease.life_s * US) - 1
    inflow = int(lease.life_s * 100) - 1
    _, more = spend(level, lease.limit, cost=inflow, now_us=late_us)
    assert more.allowed
    assert_kept(limit, [(late_us, lease.limit.capacity), (late_us, inflow)])


# (which process, microseconds that pass before, the way there, the way back, cost)
calls = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 300_000),
        st.integers(0, 30_000),
        st.integers(0, 30_000),
        st.integers(1, 6),
    ),
    max_size=200,
)


@given(limit=limits, calls=calls)
def test_three_processes_with_blocks_never_pass_the_limit_together(
    limit: Limit, calls: list[tuple[int, int, int, int, int]]
) -> None:
    lease = lease_of(limit)
    processes = [Blocks(), Blocks(), Blocks()]
    level, now_us = FULL, 10**9
    left = lease.limit.capacity
    allowed: list[tuple[int, int]] = []
    for process, passes_us, there_us, back_us, cost in calls:
        now_us += passes_us
        blocks = processes[process]
        if not blocks.take(cost, now_us / US):
            sent_us = now_us
            now_us += there_us
            wanted = blocks.wanted(cost, left) if lease.life_s else cost
            level, verdict = spend(level, lease.limit, cost=wanted, now_us=now_us)
            if not verdict.allowed and wanted > cost:
                wanted = cost
                level, verdict = spend(level, lease.limit, cost=wanted, now_us=now_us)
            left = verdict.remaining
            took_us = now_us
            now_us += back_us
            if not verdict.allowed:
                continue
            if not lease.life_s:
                allowed.append((took_us, cost))
                continue
            blocks.add(wanted, (sent_us / US) + lease.life_s)
            if not blocks.take(cost, now_us / US):
                continue
        allowed.append((now_us, cost))
    assert_kept(limit, allowed)


def assert_kept(limit: Limit, allowed: list[tuple[int, int]]) -> None:
    """In no span of time more than a full bucket and what flowed in; a millionth for the rounding of doubles."""
    rate = Fraction(limit.amount, limit.window_s * US)
    for first, (start_us, _) in enumerate(allowed):
        total = 0
        for end_us, cost in allowed[first:]:
            total += cost
            assert total <= limit.capacity + (end_us - start_us) * rate + Fraction(1, US)


@given(takes=st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=60))
def test_of_blocks_no_more_is_spent_than_came(takes: list[tuple[int, bool]]) -> None:
    blocks, came, spent, now = Blocks(), 0, 0, 0.0
    for cost, comes in takes:
        now += 0.2
        if comes:
            blocks.add(cost, now + 1.0)
            came += cost
        elif blocks.take(cost, now):
            spent += cost
        assert blocks.left(now) <= came - spent
    assert blocks.left(now + 1.0) == 0


def test_blocks_grow_with_demand_and_shrink_near_the_limit() -> None:
    blocks, sizes = Blocks(), []
    for _ in range(6):
        wanted = blocks.wanted(1, 1_000_000)
        sizes.append(wanted)
        blocks.add(wanted, 1.0)
        while blocks.take(1, 0.0):
            pass
    assert sizes == sorted(sizes)
    assert sizes[-1] >= 16
    assert blocks.wanted(1, 8) == 2
    assert Blocks().wanted(1, 0) == 1


def test_a_block_that_was_hardly_used_makes_the_next_one_small() -> None:
    blocks = Blocks()
    blocks.add(64, 1.0)
    blocks.take(3, 0.5)
    assert blocks.wanted(1, 1000) == 3


# --- load -----------------------------------------------------------------------------------------------------------

count = st.integers(0, 1000)


@given(mine=count, total=count, callers=st.integers(0, 50), strain=st.floats(0, 0.999))
def test_nobody_is_refused_while_the_bounds_are_kept(mine: int, total: int, callers: int, strain: float) -> None:
    assert not sheds(mine=mine, total=total, callers=callers, strain=strain)


@given(inside=st.lists(st.integers(1, 50), min_size=1, max_size=20), strain=st.floats(1.0, 10.0))
def test_under_load_the_heaviest_caller_is_refused_whenever_anyone_is(inside: list[int], strain: float) -> None:
    refused = [sheds(mine=mine, total=sum(inside), callers=len(inside), strain=strain) for mine in inside]
    assert refused[inside.index(max(inside))]
    lightest_refused = min((mine for mine, shed in zip(inside, refused, strict=True) if shed), default=None)
    assert all(shed for mine, shed in zip(inside, refused, strict=True) if mine >= (lightest_refused or 0))


def test_a_caller_without_calls_comes_in_until_the_strain_is_extreme() -> None:
    assert not sheds(mine=0, total=100, callers=1, strain=3.9)
    assert sheds(mine=0, total=100, callers=1, strain=4.0)
    assert not sheds(mine=0, total=0, callers=0, strain=99.0)
