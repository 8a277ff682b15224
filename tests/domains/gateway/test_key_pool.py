"""Keys of one provider take turns; one that is limited or refused rests, and comes back."""

from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.gateway.model.key_pool import LIMITED_S, REFUSED_S, KeyPool, KeyState


def taken(pool: KeyPool, count: int, now: float) -> list[int]:
    return [pool.take(now) for _ in range(count)]


def test_keys_take_turns() -> None:
    assert taken(KeyPool(3), 7, 0.0) == [0, 1, 2, 0, 1, 2, 0]


def test_a_limited_key_rests_as_long_as_the_vendor_says() -> None:
    pool = KeyPool(2)
    pool.limited(0, 10.0, for_s=5.0)
    assert taken(pool, 3, 14.9) == [1, 1, 1]
    assert set(taken(pool, 2, 15.0)) == {0, 1}


def test_a_vendor_that_does_not_say_how_long_gets_a_minute() -> None:
    pool = KeyPool(2)
    pool.limited(1, 0.0, for_s=None)
    assert taken(pool, 2, LIMITED_S - 0.1) == [0, 0]
    assert 1 in taken(pool, 2, LIMITED_S)


def test_when_all_rest_the_first_to_be_well_again_is_tried() -> None:
    pool = KeyPool(3)
    for place, for_s in ((0, 30.0), (1, 10.0), (2, 20.0)):
        pool.limited(place, 0.0, for_s=for_s)
    assert pool.take(1.0) == 1
    assert not pool.has_other(1, 1.0)


def test_a_refused_key_that_works_again_is_well_at_once() -> None:
    pool = KeyPool(2)
    pool.refused(0, 0.0)
    (first, _) = pool.health(["a", "b"], 1.0)
    assert (first.state, first.rests_for_s, first.refused) == (KeyState.REFUSED, REFUSED_S - 1.0, 1)
    pool.answered(0)
    assert pool.health(["a", "b"], 1.0)[0].state is KeyState.WELL


@given(
    st.integers(2, 8),
    st.lists(st.tuples(st.integers(0, 7), st.floats(0, 100), st.floats(0, 5)), max_size=40),
)
def test_a_resting_key_is_never_taken_while_another_is_well(size: int, limits: list[tuple[int, float, float]]) -> None:
    pool, now, rests = KeyPool(size), 0.0, [0.0] * size
    for place, for_s, passed in limits:
        now += passed
        pool.limited(place % size, now, for_s=for_s)
        rests[place % size] = max(rests[place % size], now + for_s)
        chosen = pool.take(now)
        assert rests[chosen] <= now or min(rests) > now
        assert pool.has_other(chosen, now) == any(rest <= now for at, rest in enumerate(rests) if at != chosen)
