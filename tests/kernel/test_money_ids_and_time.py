"""The small words of the kernel."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.kernel.ids import hex_of_ulid, ulid
from samovar.kernel.money import credits_text, nano_usd_of_credits
from samovar.kernel.time import instant_of_ms, milliseconds, rfc3339


@given(st.integers(-(10**18), 10**18))
def test_an_amount_survives_the_way_through_text(nano_usd: int) -> None:
    assert nano_usd_of_credits(credits_text(nano_usd)) == nano_usd


def test_a_dollar_is_a_hundred_credits() -> None:
    assert credits_text(1_000_000_000) == "100"
    assert credits_text(12_345_678) == "1.2345678"
    assert credits_text(-5_000_000) == "-0.5"


@pytest.mark.parametrize("text", ["", "one", "1.23456789", "inf", "nan", "5_0", "٥", "1e2", " 5", "5\n", "."])
def test_what_is_no_amount_of_credits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="credits"):
        nano_usd_of_credits(text)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1), st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))
def test_ulids_sort_by_time_and_then_by_entropy(at: int, entropy: int, other_at: int, other_entropy: int) -> None:
    assert (ulid(at, entropy) < ulid(other_at, other_entropy)) == ((at, entropy) < (other_at, other_entropy))
    assert len(ulid(at, entropy)) == 26


def test_a_ulid_is_as_the_specification_writes_it() -> None:
    assert ulid(1469918176385, 0)[:10] == "01ARYZ6S41"


@given(at=st.integers(0, 2**48 - 1), entropy=st.integers(0, 2**80 - 1))
def test_a_ulid_in_hexadecimal_is_the_same_number(at: int, entropy: int) -> None:
    assert hex_of_ulid(ulid(at, entropy)) == f"{at << 80 | entropy:032x}"


@given(at=st.integers(0, 2**42))
def test_a_millisecond_taken_for_an_instant_is_that_millisecond(at: int) -> None:
    assert (instant_of_ms(at) - instant_of_ms(0)) / timedelta(milliseconds=1) == at


def test_instants_are_written_in_utc() -> None:
    at = datetime(2026, 11, 21, 6, 50, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
    assert rfc3339(at) == "2026-11-21T03:50:00.123Z"
    assert milliseconds(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1000


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        rfc3339(datetime(2026, 11, 21))  # noqa: DTZ001
