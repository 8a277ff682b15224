"""Checkpoints, the keys that sign them, and copies of them elsewhere."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from samovar.adapters.aesgcm import AesGcmBox
from samovar.adapters.objects import ObjectBlobs
from samovar.domains.audit import store
from samovar.domains.audit.model import Checkpoint, PublicKey, read_checkpoints, verify_lines
from samovar.kernel.errors import Unavailable
from samovar.ports.database import Database
from tests.domains.audit.conftest import ADMIN, Chain, MakeChain, appending
from tests.support.clock import ManualClock
from tests.support.seaweed import BUCKET, SeaweedS3


async def sealed(database: Database) -> list[Checkpoint]:
    async with database.reading() as tx:
        return await store.checkpoints(tx, after=0, up_to=2**62, limit=1000)


def kept_in(place: Path) -> list[tuple[Checkpoint, PublicKey | None]]:
    """The checkpoints copied to a folder."""
    lines = [path.read_bytes() for path in sorted(place.rglob("*.json"))]
    return list(read_checkpoints(lines))


async def test_a_checkpoint_is_put_after_so_many_records(make_chain: MakeChain, database: Database) -> None:
    async with appending(make_chain(checkpoint_records=3)) as chain:
        for _ in range(7):
            await chain.service.record(chain.entry())
    assert [(one.sequence, one.count) for one in await sealed(database)] == [(3, 3), (6, 3)]


async def test_a_checkpoint_is_put_after_so_much_time_and_none_without_anything_new(
    make_chain: MakeChain, database: Database, clock: ManualClock
) -> None:
    async with appending(make_chain(checkpoint_s=60.0)) as chain:
        await chain.service.record(chain.entry())
        clock.advance(59)
        await chain.service.record(chain.entry())
        assert await sealed(database) == []
        clock.advance(1)
        await chain.service.record(chain.entry())
        await chain.service.seal()
        await chain.service.seal()
    assert [(one.sequence, one.count) for one in await sealed(database)] == [(3, 3)]


async def test_every_process_signs_with_the_one_key(make_chain: MakeChain) -> None:
    for _ in range(2):
        async with appending(make_chain()) as chain:
            await chain.service.record(chain.entry())
        await chain.service.close()
    assert len(await chain.service.reading.keys(ADMIN)) == 1


async def test_under_another_master_key_a_new_key_signs_and_the_old_one_still_proves(make_chain: MakeChain) -> None:
    other = AesGcmBox(master_key=os.urandom(32))
    async with appending(make_chain()) as chain:
        await chain.service.record(chain.entry())
    await chain.service.close()
    async with appending(make_chain(box=other)) as chain:
        await chain.service.record(chain.entry())
    await chain.service.close()
    assert any("does not open" in said for said in chain.reported)
    keys = await chain.service.reading.keys(ADMIN)
    assert len(keys) == 2
    report = await chain.verified()
    assert (report.is_good, report.checkpoints, set(report.keys)) == (True, 2, {key.id for key in keys})


async def test_the_secret_half_is_nowhere_in_what_is_stored_or_exported(chain: Chain, database: Database) -> None:
    await chain.service.record(chain.entry())
    lines = b"".join(await chain.export())
    async with database.reading() as tx:
        (stored,) = await store.keys(tx)
    assert len(stored.sealed) > 32
    assert stored.sealed not in lines
    assert b"sealed" not in lines


async def test_each_checkpoint_is_copied_once_and_nothing_is_written_over(
    make_chain: MakeChain, tmp_path: Path, database: Database
) -> None:
    place = tmp_path / "copies"
    blobs = ObjectBlobs(place.as_uri())
    async with appending(make_chain(blobs=blobs, checkpoint_records=2, with_records=True)) as chain:
        for _ in range(4):
            await chain.service.record(chain.entry())
        assert chain.service.copies is not None
        assert await chain.service.copies.copy() == 2
        before = {path: path.stat().st_mtime_ns for path in place.rglob("*.json*")}
        async with database.transaction() as tx:
            # As after a crash between the copy and the note of it.
            await tx.exec_driver_sql("UPDATE audit_head SET copied_sequence = 0")
        assert await chain.service.copies.copy() == 2
        assert await chain.service.copies.copy() == 0
    assert before == {path: path.stat().st_mtime_ns for path in place.rglob("*.json*")}
    assert len(before) == 4
    known = kept_in(place)
    assert [one.sequence for one, _ in known] == [2, 4]
    assert verify_lines(await chain.export(), trusted=[key for _, key in known if key], known=known).is_good
    files = [path.read_bytes().splitlines(keepends=True) for path in sorted(place.rglob("*.jsonl"))]
    parts = [verify_lines(lines, known=[one], is_part=True) for lines, one in zip(files, known, strict=True)]
    assert [(part.why, part.first, part.last) for part in parts] == [(None, 1, 2), (None, 3, 4)]


async def test_a_copy_that_fails_waits_and_is_made_later(make_chain: MakeChain, tmp_path: Path) -> None:
    place = tmp_path / "copies"
    place.write_text("a file where the folder should be")
    async with appending(make_chain(blobs=ObjectBlobs(place.as_uri()), checkpoint_records=1)) as chain:
        await chain.service.record(chain.entry())
        assert chain.service.copies is not None
        with pytest.raises(Unavailable):
            await chain.service.copies.copy()
        assert chain.service.figures().uncopied == 1
        place.unlink()
        assert await chain.service.copies.copy() == 1
        assert chain.service.figures().uncopied == 0


async def test_a_bucket_takes_copies(make_chain: MakeChain, seaweed: SeaweedS3) -> None:
    blobs = ObjectBlobs(f"s3://{BUCKET}/audit", s3=seaweed.access)
    async with appending(make_chain(blobs=blobs, checkpoint_records=1)) as chain:
        await chain.service.record(chain.entry())
        assert chain.service.copies is not None
        assert await chain.service.copies.copy() == 1
    assert len([one async for one in blobs.list()]) >= 1


async def test_a_chain_cut_off_in_the_database_is_found_by_its_copies(
    make_chain: MakeChain, database: Database, tmp_path: Path, clock: ManualClock
) -> None:
    """Who owns the database can cut it off without a trace in it; what was copied knows better."""
    place = tmp_path / "copies"
    async with appending(make_chain(blobs=ObjectBlobs(place.as_uri()), checkpoint_records=2)) as chain:
        for _ in range(4):
            await chain.service.record(chain.entry())
            clock.advance(timedelta(seconds=1).total_seconds())
        assert chain.service.copies is not None
        await chain.service.copies.copy()
        async with database.transaction() as tx:
            await tx.exec_driver_sql("DELETE FROM audit_records WHERE sequence > 2")
            await tx.exec_driver_sql("DELETE FROM audit_checkpoints WHERE sequence > 2")
            await tx.exec_driver_sql(
                "UPDATE audit_head SET sequence = 2, sealed_sequence = 2,"
                " hash = (SELECT hash FROM audit_records WHERE sequence = 2)"
            )
        assert (await chain.service.reading.verify(ADMIN)).is_good
        report = verify_lines(await chain.export(), known=kept_in(place))
    assert (report.sequence, "was cut off" in str(report.why)) == (3, True)
