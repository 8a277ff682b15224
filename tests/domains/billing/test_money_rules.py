"""The pure rules of money."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.billing.errors import PriceUnknown
from samovar.domains.billing.model import price
from samovar.domains.billing.model.bounds import Bounds, bound
from samovar.domains.billing.model.ledger import (
    LeaseRow,
    LeaseState,
    Settled,
    instant_of,
    microseconds_of,
    post,
    spend_account,
    wallet_account,
)
from samovar.domains.billing.model.memo import memo_of, recomputed
from samovar.domains.billing.model.wallets import (
    BudgetPeriod,
    day_of,
    lease_size,
    midnight_after,
    period_end,
    period_start,
)
from samovar.domains.catalog.model import PriceCard, Rates, Sheet, Tier, flat
from samovar.ports.llm import Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
AMOUNTS = st.integers(0, 1000)
DAYS = st.integers(0, 60_000)
TOKENS = st.integers(0, 10**6)
RATE = st.integers(0, 10**11)
RATES = st.builds(
    Rates,
    input=RATE,
    output=RATE,
    cached_input=st.none() | RATE,
    cache_write=st.none() | RATE,
    reasoning=st.none() | RATE,
    audio_input=st.none() | RATE,
    audio_output=st.none() | RATE,
    request=st.none() | RATE,
)
USAGES = st.builds(
    Usage,
    input_tokens=TOKENS,
    output_tokens=TOKENS,
    cached_input_tokens=TOKENS,
    cache_write_tokens=TOKENS,
    reasoning_tokens=TOKENS,
    audio_input_tokens=TOKENS,
    audio_output_tokens=TOKENS,
)


@given(st.lists(AMOUNTS, max_size=20), st.integers(-100, 1000), AMOUNTS, AMOUNTS)
def test_no_more_is_leased_than_is_available(wanted: list[int], free: int, available: int, comfortable: int) -> None:
    size = lease_size(wanted, free=free, available=available, comfortable=comfortable)
    assert 0 <= size <= max(0, available) or size == -free  # a lease below zero is made up for first


@given(st.lists(AMOUNTS, min_size=1, max_size=20), AMOUNTS, AMOUNTS)
def test_the_first_call_that_can_be_paid_for_is(wanted: list[int], available: int, comfortable: int) -> None:
    size = lease_size(wanted, free=0, available=available, comfortable=comfortable)
    first = next((bound for bound in wanted if bound <= available), 0)
    assert size >= first


@given(st.lists(AMOUNTS, max_size=5), st.integers(0, 100), AMOUNTS)
def test_where_nothing_bounds_it_a_lease_is_what_is_needed_at_least(
    wanted: list[int], free: int, comfortable: int
) -> None:
    size = lease_size(wanted, free=free, available=None, comfortable=comfortable)
    assert size >= comfortable
    assert size + free >= sum(wanted)


@given(st.sampled_from(BudgetPeriod), DAYS)
def test_a_day_lies_in_one_period_which_begins_where_its_days_say(period: BudgetPeriod, day: int) -> None:
    start, end = period_start(period, day), period_end(period, period_start(period, day))
    assert start <= day
    assert period_start(period, start) == start
    if end is not None:
        assert day < end
        assert period_start(period, end) == end
        assert period_start(period, end - 1) == start


def test_periods_begin_where_people_expect_it() -> None:
    day = day_of(NOON)
    starts = {period: midnight_after(period_start(period, day)) - timedelta(days=1) for period in BudgetPeriod}
    assert {period: start.date() for period, start in starts.items()} == {
        BudgetPeriod.DAY: date(2026, 11, 21),
        BudgetPeriod.WEEK: date(2026, 11, 16),
        BudgetPeriod.MONTH: date(2026, 11, 1),
        BudgetPeriod.TOTAL: date(1970, 1, 1),
    }


@given(st.integers(0, 2**52).map(lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=seconds)))
def test_an_instant_is_kept_to_the_microsecond(at: datetime) -> None:
    assert instant_of(microseconds_of(at)) == at


@given(RATES, USAGES)
def test_a_bound_is_never_below_the_price(rates: Rates, usage: Usage) -> None:
    card = flat(rates, source="test")
    charged = price(usage, card, at=NOON).nano_usd
    most = bound(
        card,
        input_tokens=usage.input_tokens,
        max_output_tokens=usage.output_tokens,
        at=NOON,
        ceiling_nano_usd=0,
        unknown_price="refuse",
    )
    assert charged is not None
    assert most >= charged


DAY_AND_NIGHT = st.builds(
    lambda day, night, tier, flex: PriceCard(
        sheets=(Sheet(rates=day, tiers=(Tier(over=1_000, rates=tier),)), Sheet(rates=night, daily=(0, 360))),
        service_tiers={"flex": (Sheet(rates=flex),)},
        source="test",
    ),
    RATES,
    RATES,
    RATES,
    RATES,
)


@given(
    st.lists(DAY_AND_NIGHT | st.builds(flat, RATES, source=st.just("test")), min_size=1, max_size=4),
    st.data(),
)
def test_what_is_remembered_of_cards_bounds_a_call_as_they_do(cards: list[PriceCard], draw: st.DataObject) -> None:
    remembered = Bounds("ceiling", most=2)
    for hours, said, answered, card in draw.draw(
        st.lists(
            st.tuples(
                st.integers(0, 72),
                st.integers(0, 5_000),
                st.none() | st.integers(0, 5_000),
                st.none() | st.sampled_from(cards),
            ),
            max_size=12,
        )
    ):
        at = NOON + timedelta(hours=hours)
        same = {"input_tokens": said, "max_output_tokens": answered, "at": at, "ceiling_nano_usd": 777}
        assert remembered.of(card, **same) == bound(card, **same, unknown_price="ceiling")  # type: ignore[arg-type]


def test_a_price_that_rises_tomorrow_bounds_the_calls_of_tomorrow() -> None:
    tomorrow = NOON + timedelta(days=1)
    rises = Sheet(rates=Rates(input=2 * 10**6, output=0), starts=tomorrow.date())
    card = PriceCard(sheets=(Sheet(rates=Rates(input=10**6, output=0)), rises), source="test")
    remembered = Bounds("refuse")
    for at, most in ((NOON, 5), (NOON, 5), (tomorrow, 10), (NOON, 5)):
        assert remembered.of(card, input_tokens=5, max_output_tokens=1, at=at, ceiling_nano_usd=777) == most


@pytest.mark.parametrize(
    ("card", "output", "expected"),
    [
        (None, 10, None),
        (flat(Rates(input=1), source="test"), 10, None),
        (flat(Rates(input=10**6), source="test"), 0, 5),
        (flat(Rates(input=10**6, output=2 * 10**6), source="test"), 10, 25),
        (flat(Rates(input=10**6, output=2 * 10**6), source="test"), None, 777),
        (flat(Rates(input=10**6, output=0), source="test"), None, 5),
    ],
)
def test_what_has_no_price_is_refused_or_held_at_the_ceiling(
    card: PriceCard | None, output: int | None, expected: int | None
) -> None:
    def bounded(policy: str) -> int:
        return bound(
            card,
            input_tokens=5,
            max_output_tokens=output,
            at=NOON,
            ceiling_nano_usd=777,
            unknown_price=policy,  # type: ignore[arg-type]
        )

    assert bounded("ceiling") == (777 if expected is None else expected)
    if expected is None:
        with pytest.raises(PriceUnknown):
            bounded("refuse")
    else:
        assert bounded("refuse") == expected


@given(RATES, USAGES)
def test_a_charge_can_be_computed_again_from_its_memo(rates: Rates, usage: Usage) -> None:
    charge = price(usage, flat(rates, source="test"), at=NOON)
    memo = memo_of(charge, usage, model="openai/gpt-5", provider="openai", prices="2026-11-01")
    assert recomputed(memo) == charge.nano_usd


def test_where_the_provider_says_its_cost_both_figures_are_kept() -> None:
    usage = Usage(input_tokens=1000, output_tokens=10, reported_cost_nano_usd=5)
    charge = price(usage, flat(Rates(input=10**6, output=10**6), source="test"), at=NOON)
    assert (charge.nano_usd, charge.computed_nano_usd) == (5, 1010)
    assert recomputed(memo_of(charge, usage, model="m", provider="p", prices="v")) == 1010


CALLS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["l1", "l2"]), st.integers(0, 300)),
    max_size=20,
)


@given(CALLS, st.sampled_from(LeaseState), st.integers(0, 500), st.sets(st.integers(0, 6)))
def test_a_batch_charges_each_call_once_and_its_sums_are_its_rows(
    calls: list[tuple[int, str, int]], state: LeaseState, amount: int, known: set[int]
) -> None:
    leases = {"l1": LeaseRow("l1", "w", "t", 5, amount, 0, state)}
    batch = [
        Settled(f"call_{number}", 5 * 86_400_000_000, "t", "w", lease, "k", cost, "test", False, None, None)
        for number, lease, cost in calls
    ]
    posting = post(batch, leases=leases, known={f"call_{number}" for number in known})
    ids = [row.id for row in posting.rows]
    assert len(ids) == len(set(ids))
    assert set(ids) == {f"call_{number}" for number, _, _ in calls} - {f"call_{number}" for number in known}
    by_wallet = sum(row.amount_nano_usd for row in posting.rows if row.debit == wallet_account("w"))
    spent = sum(row.amount_nano_usd for row in posting.rows if row.debit != spend_account("t"))
    assert by_wallet == sum(delta.from_wallet for delta in posting.leases)
    assert spent == sum(delta.counted for delta in posting.leases)
    for delta in posting.leases:
        assert 0 <= delta.freed <= delta.lease.outstanding
        if state is LeaseState.SUSPENSE and delta.lease.id == "l1":
            assert delta.spent <= amount


def test_a_memo_is_small() -> None:
    usage = Usage(input_tokens=1200, output_tokens=340)
    charge = price(usage, flat(Rates(input=1, output=2), source="test"), at=NOON)
    memo = memo_of(charge, usage, model="openai/gpt-5", provider="openai", prices="2026-11-01")
    assert len(memo) < 600
    assert msgspec.json.decode(memo)["rates"] == {"input": 1, "output": 2}
