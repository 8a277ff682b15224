"""The clock and ids ports."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

from samovar.adapters.system import SystemClock, SystemIds
from samovar.kernel.ids import hex_of_ulid
from samovar.kernel.time import milliseconds
from tests.support.clock import ManualClock


def test_the_clock_is_aware_and_its_monotonic_side_never_steps_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    ticks = [clock.monotonic() for _ in range(1000)]
    assert ticks == sorted(ticks)


def test_ids_of_one_millisecond_sort_in_the_order_they_were_made(clock: ManualClock) -> None:
    ids = SystemIds(clock=clock)
    made = [ids.new("key") for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(re.fullmatch(r"key_[0-9A-HJKMNP-TV-Z]{26}", each) for each in made)


def test_ids_go_on_rising_when_the_clock_moves_either_way(clock: ManualClock) -> None:
    ids = SystemIds(clock=clock)
    made = []
    for step_s in (1, -5, 0.0004, 3600, -7200):
        made.append(ids.new("key"))
        clock.advance(step_s)
    assert made == sorted(set(made))


def test_ids_go_on_rising_when_more_are_made_than_one_count_holds(clock: ManualClock) -> None:
    ids = SystemIds(clock=clock)
    before = ids.new("key")
    for _ in range(1 << 20):
        made = ids.new("key")
        assert made > before
        before = made


def test_an_id_says_the_millisecond_it_was_made_in(clock: ManualClock) -> None:
    ids = SystemIds(clock=clock)
    for step_s in (0.0, 0.001, 0.5, 0.6, 1.024, 1000.0, 0.001):
        clock.advance(step_s)
        assert int(hex_of_ulid(ids.new("key")[4:])[:12], 16) == milliseconds(clock.now())


def test_ids_of_one_second_end_each_in_another_span(clock: ManualClock) -> None:
    """The last 64 bits name a span of a trace, and calls of two milliseconds may belong to one trace."""
    ids = SystemIds(clock=clock)
    ends = set()
    for _ in range(2000):
        ends.add(hex_of_ulid(ids.new("call")[5:])[16:])
        clock.advance(0.0005)
    assert len(ends) == 2000


def test_threads_share_one_maker_of_ids() -> None:
    ids = SystemIds(clock=SystemClock())
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: ids.new("key"), range(4000)))
    assert len(set(made)) == 4000


def test_tokens_differ_and_have_the_bytes_asked_for() -> None:
    ids = SystemIds(clock=SystemClock())
    tokens = {ids.token(32) for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {43}
