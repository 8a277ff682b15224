"""Whom calls are for: what is known, what is only said, and how many names are summed by."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.usage.model import Dimension, Filters
from samovar.domains.usage.model.users import LABEL_MARK, MAX_LABELS, MAX_LABELS_AN_HOUR, OTHER_USERS, Labels, labelled
from samovar.domains.usage.service import UsageQueries
from samovar.ports.database import Database
from tests.domains.usage.calls import event
from tests.domains.usage.test_reading import RETENTION, write
from tests.domains.usage.test_sums import reader_of
from tests.support.clock import ManualClock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR_US = 3_600_000_000


def in_hour(number: int) -> int:
    return number * HOUR_US + 5


@given(st.text())
def test_a_label_is_marked_one_line_and_no_longer_than_its_column(said: str) -> None:
    word = labelled(said)
    assert len(word) <= 128
    assert word.isprintable()
    assert word == "" or (word.startswith(LABEL_MARK) and len(word) > 1)


def test_labels_beyond_an_hours_bound_overflow_and_those_that_were_there_do_not() -> None:
    labels = Labels()
    names = [f"~{number}" for number in range(MAX_LABELS_AN_HOUR + 5)]
    over = [labels.overflows("team", name, in_hour(100)) for name in names]
    assert over == [False] * MAX_LABELS_AN_HOUR + [True] * 5
    assert not labels.overflows("team", names[0], in_hour(100))
    assert not labels.overflows("other", names[-1], in_hour(100))
    # A call that began in the hour before and ends now makes no new room.
    assert labels.overflows("team", names[-1], in_hour(99))
    assert not labels.overflows("team", names[-1], in_hour(101))


def test_all_teams_together_have_a_bound_and_a_clock_that_jumps_does_not_end_it() -> None:
    labels = Labels()
    over = [labels.overflows(f"team_{number % 50}", f"~{number}", in_hour(7_000)) for number in range(MAX_LABELS + 1)]
    assert over[-1]
    assert not any(over[:-1])
    assert not labels.overflows("team_0", "~new", in_hour(100))
    assert not labels.overflows("team_0", "~new", in_hour(9_000))


@pytest.mark.parametrize("bucketed", [NOON - timedelta(minutes=30), NOON - timedelta(days=3)])
async def test_what_overflows_is_summed_together_and_kept_in_each_call(
    database: Database, clock: ManualClock, bucketed: datetime
) -> None:
    beyond = 3
    calls = [
        event(number, started_at=bucketed, user_label=f"user {number}") for number in range(MAX_LABELS_AN_HOUR + beyond)
    ]
    await write(database, *calls, event(9_999, started_at=bucketed, user_id="ann", user_label="bob"))
    queries = UsageQueries(database=database, clock=clock, retention=RETENTION)
    asked = {"start": NOON - timedelta(days=4), "end": NOON + timedelta(hours=1)}
    reader = reader_of("team_default")

    async def counted(user: str | None) -> int:
        found = await queries.breakdown(
            reader, **asked, filters=Filters(user=user), by=Dimension.USER, latency=False, limit=5
        )
        return found.total.calls

    assert await counted(None) == MAX_LABELS_AN_HOUR + beyond + 1
    assert await counted(OTHER_USERS) == beyond
    assert await counted("~user 0") == await counted("ann") == 1
    assert await counted("~bob") == await counted("user 0") == 0
    filters = Filters(user=OTHER_USERS)
    page = await queries.page(reader, **asked, filters=filters, after=None, limit=10)
    assert {one.user for one in page.items} == {f"~user {MAX_LABELS_AN_HOUR + number}" for number in range(beyond)}
