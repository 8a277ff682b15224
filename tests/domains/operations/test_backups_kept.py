"""How long backups are kept, and what they are called."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.domains.operations.model.backups import StoredBackup, backup_name, outdated, stored_backup
from samovar.domains.operations.model.recovery import PHRASE_BYTES, as_printed, phrase_of

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


def made(days_ago: float) -> StoredBackup:
    found = stored_backup(backup_name(NOW - timedelta(days=days_ago), "0a1b2c3d", encrypted=False), 5)
    assert found is not None
    return found


def test_a_name_tells_when_and_whether_it_is_encrypted() -> None:
    name = backup_name(NOW, "0a1b2c3d", encrypted=True)
    assert name == "samovar-20261121T030000Z-0a1b2c3d.tar.age"
    assert stored_backup(name, 7) == StoredBackup(name=name, created_at=NOW, size_bytes=7, encrypted=True)


@pytest.mark.parametrize(
    "name",
    [
        "samovar.tar",
        "samovar-20261121T030000Z-0a1b2c3d.tar.part",
        "samovar-20261121T030000Z-0a1b2c3d.tar#1",
        "x/samovar-20261121T030000Z-0a1b2c3d.tar",
        "samovar-20261321T030000Z-0a1b2c3d.tar",
        "samovar-20261121T030000Z-0A1B2C3D.tar",
        "../samovar-20261121T030000Z-0a1b2c3d.tar",
    ],
)
def test_what_has_another_name_is_none_of_ours(name: str) -> None:
    assert stored_backup(name, 1) is None


def test_those_past_their_time_go_the_oldest_first() -> None:
    old, older, young = made(31), made(400), made(29.9)
    assert outdated([young, old, older], now=NOW, keep=timedelta(days=30), good="another") == [older, old]


@given(st.lists(st.floats(-10, 5000), unique=True), st.data())
def test_the_good_one_stays_whatever_the_clock_says(days: list[float], data: st.DataObject) -> None:
    stored = [made(one) for one in days]
    good = data.draw(st.sampled_from(stored)).name if stored else "none"
    gone = outdated(stored, now=NOW, keep=timedelta(days=30), good=good)
    assert good not in {one.name for one in gone}
    assert all(NOW - one.created_at > timedelta(days=30) for one in gone)


@given(st.binary(min_size=PHRASE_BYTES, max_size=PHRASE_BYTES))
def test_a_phrase_may_be_typed_carelessly(chance: bytes) -> None:
    phrase = phrase_of(chance)
    assert len(phrase) == 7 * 4 + 6
    careless = phrase.upper().replace("-", "  ").replace("0", "O").replace("1", "l")
    assert as_printed(f" {careless}\n") == as_printed(phrase) == phrase


def test_two_chances_give_two_phrases() -> None:
    assert phrase_of(bytes(18)) != phrase_of(bytes(17) + b"\x01")
