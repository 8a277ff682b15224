"""Forecasts: what has a pattern goes on in it, and nothing is told out of nothing."""

from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.usage.model.forecast import LEAST_DAYS, WEEK, Band, Method, forecast


@given(
    start=st.integers(10**6, 10**9),
    slope=st.integers(0, 10**6),
    pattern=st.lists(st.integers(0, 10**6), min_size=WEEK, max_size=WEEK),
    days=st.integers(LEAST_DAYS, 56),
    ahead=st.integers(1, 92),
)
def test_a_line_with_weekdays_goes_on_exactly_and_its_band_is_narrow(
    start: int, slope: int, pattern: list[int], days: int, ahead: int
) -> None:
    def spent(day: int) -> int:
        return start + slope * day + pattern[day % WEEK]

    told = forecast([spent(day) for day in range(days)], ahead)
    assert told.method is Method.WEEKDAYS
    for place, band in enumerate(told.days):
        assert abs(band.expected - spent(days + place)) <= 1
        assert band.high - band.low <= 2


@given(history=st.lists(st.integers(0, 10**12), max_size=60), ahead=st.integers(1, 92))
def test_bands_hold_what_is_expected_are_never_negative_and_the_days_make_the_total(
    history: list[int], ahead: int
) -> None:
    told = forecast(history, ahead)
    if not history:
        assert (told.method, told.days, told.total) == (Method.NONE, (), None)
        return
    assert told.method is (Method.MEAN if len(history) < LEAST_DAYS else Method.WEEKDAYS)
    assert told.total is not None
    assert len(told.days) == ahead
    assert told.total.expected == sum(day.expected for day in told.days)
    assert all(0 <= band.low <= band.expected <= band.high for band in (*told.days, told.total))


def test_few_days_give_their_mean_and_a_band_of_their_spread() -> None:
    told = forecast([100, 300], 1)
    # The deviation of 100 and 300 is 141.4; 80 % of a normal distribution lie within 1.2816 of it.
    assert told.days == (Band(200, 19, 381),)


def test_spending_that_falls_to_nothing_does_not_go_below_it() -> None:
    told = forecast([100 * (20 - day) for day in range(20)], 10)
    assert all(day.expected == 0 for day in told.days)
