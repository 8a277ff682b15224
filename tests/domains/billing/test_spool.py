"""The spool: what lies on the disk, what a crash leaves of it, and what the living make of that."""

import asyncio
import os
import resource
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from samovar.domains.billing.errors import SpoolFull
from samovar.domains.billing.model.ledger import Mark
from samovar.domains.billing.model.records import NO_MEMO, Intent, Outcome, Record, framed, scan, settled
from samovar.domains.billing.service.money.replay import Reader
from samovar.domains.billing.service.money.segment import Segment
from samovar.domains.billing.service.money.spool import Spool, Sync, lock_folder, segment_path, segments_of

DAY_US = 20_000 * 86_400_000_000
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
NANO = st.integers(0, 2**62)
INTENTS = st.builds(
    Intent,
    call_id=TEXTS,
    team_id=TEXTS,
    wallet_id=TEXTS,
    lease_id=TEXTS,
    principal_id=TEXTS,
    hold_nano_usd=NANO,
    at=NANO,
)
OUTCOMES = st.builds(
    Outcome,
    call_id=TEXTS,
    cost_nano_usd=NANO,
    kind=st.sampled_from(["reported", "estimated", "released"]),
    source=TEXTS,
    mark=st.none() | st.sampled_from(Mark),
    memo=st.just(NO_MEMO) | TEXTS.map(lambda text: Raw(msgspec.json.encode({"model": text}))),
)
RECORDS = st.lists(INTENTS | OUTCOMES, max_size=6)


def intent(call_id: str, hold: int = 100) -> Intent:
    return Intent(call_id, "default", "wal_1", "lse_1", "key_1", hold, DAY_US)


def outcome(call_id: str, cost: int = 7) -> Outcome:
    return Outcome(call_id, cost, "reported", "test", None, NO_MEMO)


def spool_in(root: Path, name: str = "proc_1", *, sync: Sync = "interval", **bounds: int) -> Spool:
    sizes = {"max_bytes": 10**9, "segment_bytes": 10**6} | bounds
    return Spool.made(root, name, sync=sync, report=lambda _: None, **sizes)


def left_in(root: Path) -> list[Path]:
    return list(root.iterdir())


def read_all(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Call id to cost of those that ended, and to hold of those that did not."""
    reader, ended, before = Reader(folder), {}, None
    while True:
        batch = reader.read()
        ended.update({call.call_id: call.amount_nano_usd for call in batch.calls})
        if batch.end == before:
            return ended, {call.call_id: call.amount_nano_usd for call in reader.unsettled()}
        before = batch.end


@given(RECORDS)
def test_records_are_read_as_they_were_written(records: list[Record]) -> None:
    data = b"".join(framed(record) for record in records)
    assert [record for record, _ in scan(data)] == records


@given(RECORDS, st.data())
def test_of_a_torn_end_all_whole_records_are_read(records: list[Record], draw: st.DataObject) -> None:
    frames = [framed(record) for record in records]
    data = b"".join(frames)
    cut = draw.draw(st.integers(0, len(data)))
    rest = draw.draw(st.sampled_from([b"", b"\0" * 20, b"\xff" * 9, os.urandom(16)]))
    ends = [sum(map(len, frames[: n + 1])) for n in range(len(frames))]
    found = [end for _, end in scan(data[:cut])]
    assert found == [end for end in ends if end <= cut]
    assert [end for _, end in scan(data[:cut] + rest)][: len(found)] == found


@given(RECORDS.filter(bool), st.data())
def test_a_damaged_byte_is_never_taken_for_another_record(records: list[Record], draw: st.DataObject) -> None:
    data = bytearray(b"".join(framed(record) for record in records))
    place = draw.draw(st.integers(0, len(data) - 1))
    data[place] ^= draw.draw(st.integers(1, 255))
    found = [record for record, _ in scan(bytes(data))]
    assert found == records[: len(found)]
    assert len(found) < len(records)


def test_a_nul_that_a_vendor_sent_does_not_stand_in_the_way() -> None:
    # PostgreSQL's text holds none.
    ((record, _),) = scan(framed(Outcome("call_1", 1, "reported", "a\0b", None, Raw(b'{"model":"\\u0000"}'))))
    assert isinstance(record, Outcome)
    assert (record.source, record.memo) == ("a\ufffdb", Raw(b'{"model":"\\ufffd"}'))


def test_a_memo_that_an_older_version_noted_as_text_is_read_as_well() -> None:
    noted, memo = Outcome("call_1", 1, "reported", "test", None, NO_MEMO), '{"model":"m"}'
    for kept in (Raw(memo.encode()), Raw(msgspec.json.encode(memo)), NO_MEMO):
        ((record, _),) = scan(framed(msgspec.structs.replace(noted, memo=kept)))
        assert isinstance(record, Outcome)
        charged = settled(intent("call_1"), record)
        assert charged is not None
        assert charged.memo == (None if kept is NO_MEMO else memo)


async def test_a_call_without_an_outcome_is_found_at_its_hold(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    for call in ("call_1", "call_2", "call_3"):
        spool.intend(intent(call))
    spool.conclude(intent("call_1"), outcome("call_1"))
    spool.conclude(intent("call_2"), Outcome("call_2", 0, "released", "", None, NO_MEMO))
    assert read_all(spool.folder) == ({"call_1": 7}, {"call_3": 100})
    await spool.close(delete=False)


async def test_a_long_call_does_not_keep_the_segments_before_it(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=300)
    spool.intend(intent("long"))
    for n in range(50):
        spool.intend(intent(f"call_{n}"))
        spool.conclude(intent(f"call_{n}"), outcome(f"call_{n}"))
    assert len(segments_of(spool.folder)) > 10
    spool.note_moved(spool.written)
    await spool.sync()
    assert len(segments_of(spool.folder)) <= 2
    assert read_all(spool.folder)[1] == {"long": 100}
    spool.conclude(intent("long"), outcome("long"))
    assert read_all(spool.folder)[0]["long"] == 7
    await spool.close(delete=False)


async def test_only_what_was_moved_is_deleted(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=300)
    for n in range(20):
        spool.intend(intent(f"call_{n}"))
        spool.conclude(intent(f"call_{n}"), outcome(f"call_{n}"))
    reader = Reader(spool.folder)
    first = reader.read(until=spool.written)
    spool.note_moved(first.end)
    await spool.sync()
    rest = {call.call_id for call in first.calls} | set(read_all(spool.folder)[0])
    assert rest == {f"call_{n}" for n in range(20)}
    await spool.close(delete=False)


async def test_the_intent_of_a_call_that_ended_while_others_were_moved_stays_on_the_disk(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=300)
    spool.intend(intent("late"))
    while spool.written[0] == 1:
        spool.intend(intent("other"))
        spool.conclude(intent("other"), outcome("other"))
    moved = spool.written
    # The database takes its time with what was moved, and a call whose intent lies before it ends.
    spool.conclude(intent("late"), outcome("late"))
    spool.note_moved(moved)
    await spool.sync()
    assert read_all(spool.folder)[0].get("late") == 7
    spool.note_moved(spool.written)
    for n in range(20):
        spool.intend(intent(f"call_{n}"))
        spool.conclude(intent(f"call_{n}"), outcome(f"call_{n}"))
    spool.note_moved(spool.written)
    await spool.sync()
    assert len(segments_of(spool.folder)) == 1
    await spool.close(delete=False)


async def test_a_spool_is_its_owners_while_it_lives(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    assert lock_folder(spool.folder) is None
    await spool.close(delete=False)
    lock = lock_folder(spool.folder)
    assert lock is not None
    os.close(lock)


async def test_a_spool_that_is_all_moved_leaves_nothing(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.intend(intent("call_1"))
    spool.conclude(intent("call_1"), outcome("call_1"))
    spool.note_moved(spool.written)
    await spool.close(delete=True)
    assert left_in(tmp_path) == []


async def test_with_always_a_call_waits_until_its_intent_is_on_the_disk(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, sync="always")
    waiting = [spool.intend(intent(f"call_{n}")) for n in range(5)]
    running = asyncio.create_task(spool.run())
    async with asyncio.timeout(5):
        for one in waiting:
            assert one is not None
            await one
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await spool.close(delete=False)


async def test_past_its_bound_it_takes_no_call_but_every_outcome(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, max_bytes=1)
    spool.intend(intent("call_1"))
    with pytest.raises(SpoolFull):
        spool.intend(intent("call_2"))
    spool.conclude(intent("call_1"), outcome("call_1"))
    assert read_all(spool.folder) == ({"call_1": 7}, {})
    await spool.close(delete=False)


async def test_an_outcome_that_the_disk_did_not_take_is_written_when_it_does(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, segment_bytes=10)
    spool.intend(intent("call_1"))
    # The next segment's name is taken: the disk refuses to begin it.
    blocked = segment_path(spool.folder, 2)
    blocked.touch()
    spool.conclude(intent("call_1"), outcome("call_1"))
    with pytest.raises(SpoolFull):
        spool.intend(intent("call_2"))
    blocked.unlink()
    await spool.close(delete=False)
    assert read_all(spool.folder) == ({"call_1": 7}, {})


async def test_a_memo_that_is_too_long_does_not_cost_the_charge(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.intend(intent("call_1"))
    spool.conclude(intent("call_1"), Outcome("call_1", 9, "reported", "test", None, Raw(b'"' + b"x" * 10**6 + b'"')))
    assert read_all(spool.folder) == ({"call_1": 9}, {})
    await spool.close(delete=False)


async def test_what_was_noted_is_read_while_the_segment_is_still_open_and_its_unused_room_is_no_damage(
    tmp_path: Path,
) -> None:
    spool = spool_in(tmp_path)
    spool.intend(intent("call_1"))
    spool.conclude(intent("call_1"), outcome("call_1"))
    reader = Reader(spool.folder)
    assert [call.call_id for call in reader.read().calls] == ["call_1"]
    assert reader.read().calls == []
    assert reader.damaged == 0
    await spool.close(delete=False)


async def test_a_torn_record_before_unused_room_is_damage(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.intend(intent("call_1"))
    spool.conclude(intent("call_1"), outcome("call_1"))
    spool._segment.append(framed(intent("call_2"))[:30])
    reader, before = Reader(spool.folder), None
    while (batch := reader.read()).end != before:
        before = batch.end
    assert reader.damaged >= 1
    await spool.close(delete=False)


async def test_a_closed_segment_takes_no_more_of_the_disk_than_its_records(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.intend(intent("call_1"))
    path, size = segment_path(spool.folder, 1), spool.written[1]
    assert path.stat().st_size > size
    await spool.close(delete=False)
    assert path.stat().st_size == size == len(framed(intent("call_1")))


def test_a_segment_for_which_the_disk_has_no_room_is_not_begun(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            Segment(tmp_path / "segment", 1, wanted_bytes=1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_in(tmp_path) == []
