"""A chain that begins later: only with a signed anchor, only what is old, proven and copied, and everything else is found."""

import asyncio
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from samovar.adapters.objects import ObjectBlobs
from samovar.domains.audit import store
from samovar.domains.audit.errors import ChainBroken
from samovar.domains.audit.model import Anchor, SigningKey, verify_lines
from samovar.domains.audit.model.exports import anchor_document
from samovar.domains.audit.model.records import canonical
from samovar.domains.audit.service import AppendBounds, Pruned
from samovar.kernel.errors import Invalid, Unavailable
from samovar.kernel.tasks import background
from samovar.ports.blobs import Blob
from samovar.ports.database import Database
from tests.domains.audit.conftest import ADMIN, Chain, MakeChain, appending
from tests.domains.audit.test_checkpoints import kept_in
from tests.support.clock import ManualClock

DAY_S = 86_400.0
KEEP = timedelta(days=30)
SELDOM_S = 1e8


async def fill(chain: Chain, clock: ManualClock, days: int) -> None:
    """A record a day."""
    for _ in range(days):
        await chain.service.record(chain.entry())
        clock.advance(DAY_S)


async def sequences(database: Database) -> list[int]:
    async with database.reading() as tx:
        return list(await tx.scalars(text("SELECT sequence FROM audit_records ORDER BY sequence")))


async def prune(chain: Chain) -> Pruned | None:
    return await chain.service.prune(ADMIN, service="tests", keep=KEEP)


async def test_what_is_old_goes_and_what_stays_is_proven_from_a_signed_anchor(
    make_chain: MakeChain, database: Database, clock: ManualClock
) -> None:
    async with appending(make_chain(checkpoint_records=3, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 40)
        # Records 1 to 10 are older than 30 days; the last checkpoint among them is that of record 9.
        assert await prune(chain) == Pruned(first=1, last=9)
        assert await sequences(database) == [*range(10, 42)]
        said = (
            (await chain.service.reading.page(ADMIN, store.Wanted(team_id=None), cursor=None, limit=1)).items[0].entry
        )
        assert (said.action, said.metadata["first"], said.metadata["last"]) == ("audit:prune", 1, 9)
        report = await chain.service.reading.verify(ADMIN)
        assert (report.why, report.first, report.last, report.records) == (None, 10, 41, 32)
        offline = await chain.verified()
        assert (offline.why, offline.first, offline.pruned_at) == (None, 10, report.pruned_at)
        assert offline.pruned_at is not None
        assert await prune(chain) is None
        clock.advance(6 * DAY_S)
        assert await prune(chain) == Pruned(first=10, last=15)
        assert (await chain.verified()).is_good
        with pytest.raises(Invalid, match="were pruned"):
            await chain.export(first=15)
        assert verify_lines(await chain.export(first=17, last=20), is_part=True).is_good


async def test_all_of_it_may_be_old(make_chain: MakeChain, database: Database, clock: ManualClock) -> None:
    async with appending(make_chain(checkpoint_records=1, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 3)
        clock.advance(40 * DAY_S)
        assert await prune(chain) == Pruned(first=1, last=3)
        assert (await chain.service.reading.verify(ADMIN)).is_good
        assert (await chain.verified()).records == 1


async def test_without_a_retention_nothing_goes(make_chain: MakeChain, clock: ManualClock, database: Database) -> None:
    async with appending(make_chain(checkpoint_records=1, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 3)
        clock.advance(9_999 * DAY_S)
        assert await chain.service.prune(ADMIN, service="tests") is None
        assert len(await sequences(database)) == 3


async def anchored(make_chain: MakeChain, clock: ManualClock) -> list[bytes]:
    async with appending(make_chain(checkpoint_records=2, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 36)
        assert await prune(chain) == Pruned(first=1, last=6)
        return await chain.export()


async def test_every_change_removal_and_move_in_an_anchored_file_is_found(
    make_chain: MakeChain, clock: ManualClock
) -> None:
    lines = await anchored(make_chain, clock)
    assert verify_lines(lines).is_good
    for at in range(len(lines)):
        assert not verify_lines(lines[:at] + lines[at + 1 :]).is_good, f"line {at} was removed"
        assert not verify_lines(lines[:at]).is_good, f"cut off before line {at}"
        if at:
            swapped = [*lines[: at - 1], lines[at], lines[at - 1], *lines[at + 1 :]]
            assert not verify_lines(swapped).is_good, f"lines {at - 1} and {at} were swapped"
    whole = b"".join(lines)
    for at in range(0, len(whole), 29):
        changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        assert not verify_lines(io.BytesIO(changed)).is_good, f"byte {at} was changed"


async def test_a_chain_that_begins_late_without_an_anchor_is_refused_whoever_wrote_the_file(
    make_chain: MakeChain, database: Database, clock: ManualClock
) -> None:
    """Who owns the database deletes the beginning; the server that exports it signs what it finds."""
    async with appending(make_chain(checkpoint_records=2, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 10)
        async with database.transaction() as tx:
            await tx.exec_driver_sql("DELETE FROM audit_records WHERE sequence <= 4")
            await tx.exec_driver_sql("DELETE FROM audit_checkpoints WHERE sequence < 4")
        for report in (await chain.service.reading.verify(ADMIN), verify_lines(await chain.export())):
            assert (report.sequence, "Record 1 is missing" in str(report.why)) == (1, True)
        late = verify_lines(await chain.export(first=6))
        assert (late.sequence, "no signed anchor" in str(late.why)) == (1, True)


@pytest.mark.parametrize("how", ["UPDATE audit_anchors SET {}", "INSERT"])
async def test_an_anchor_that_was_forged_is_refused_and_nothing_is_deleted_for_it(
    make_chain: MakeChain, database: Database, clock: ManualClock, how: str
) -> None:
    async with appending(make_chain(checkpoint_records=2, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 36)
        await prune(chain)
        further = "sequence = 10, hash = (SELECT hash FROM audit_records WHERE sequence = 10)"
        async with database.transaction() as tx:
            if how == "INSERT":
                await tx.exec_driver_sql(
                    "INSERT INTO audit_anchors SELECT r.sequence, a.chain, r.hash, 4, a.at, a.key_id, a.signature"
                    " FROM audit_anchors a, audit_records r WHERE r.sequence = 10"
                )
            else:
                await tx.exec_driver_sql(how.format(further))
        kept = await sequences(database)
        for report in (await chain.service.reading.verify(ADMIN), await chain.verified()):
            assert "its signature is not good" in str(report.why)
        with pytest.raises(ChainBroken, match="its signature is not good"):
            await prune(chain)
        assert await sequences(database) == kept


async def test_an_anchor_of_another_key_does_not_count(make_chain: MakeChain, clock: ManualClock) -> None:
    lines = await anchored(make_chain, clock)
    stranger = SigningKey(b"x" * 32)
    report = verify_lines(lines, trusted=[stranger.public])
    assert "none of those that count" in str(report.why)
    forged = stranger.anchor(chain=report.chain, sequence=6, hash="0" * 64, count=6, at=clock.now())
    assert isinstance(forged, Anchor)
    with_it = [canonical(anchor_document(forged)) + b"\n" if b'"anchor"' in line else line for line in lines]
    assert not verify_lines(with_it).is_good


async def test_what_was_tampered_with_is_never_pruned(
    make_chain: MakeChain, database: Database, clock: ManualClock
) -> None:
    async with appending(make_chain(checkpoint_records=2, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 36)
        async with database.transaction() as tx:
            await tx.exec_driver_sql("UPDATE audit_records SET user_id = 'nobody' WHERE sequence = 3")
        with pytest.raises(ChainBroken, match="Record 3 was changed"):
            await prune(chain)
        assert len(await sequences(database)) == 36


async def test_nothing_goes_that_was_not_copied_and_all_that_goes_is_in_the_copies(
    make_chain: MakeChain, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    place = tmp_path / "copies"
    place.write_text("a file where the folder should be")
    blobs = ObjectBlobs(place.as_uri())
    async with appending(make_chain(blobs=blobs, checkpoint_records=2, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 40)
        assert await prune(chain) is None
        assert len(await sequences(database)) == 40
        place.unlink()
        assert chain.service.copies is not None
        await chain.service.copies.copy()
        # The checkpoints are there, and now the place is away: the records cannot be brought there.
        aside = tmp_path / "aside"
        place.rename(aside)
        place.write_text("a file again")
        with pytest.raises(Unavailable):
            await prune(chain)
        assert len(await sequences(database)) == 40
        place.unlink()
        aside.rename(place)
        assert await prune(chain) == Pruned(first=1, last=10)
        parts = [path.read_bytes().splitlines(keepends=True) for path in sorted(place.rglob("*.jsonl"))]
        reports = [verify_lines(lines, is_part=True) for lines in parts]
        assert [(one.why, one.first, one.last) for one in reports] == [
            (None, first, first + 1) for first in (1, 3, 5, 7, 9)
        ]
        assert verify_lines(await chain.export(), known=kept_in(place)).is_good


async def test_a_place_for_copies_that_comes_after_pruning_gets_what_is_left(
    make_chain: MakeChain, clock: ManualClock, tmp_path: Path
) -> None:
    async with appending(make_chain(checkpoint_records=2, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 36)
        await prune(chain)
    place = tmp_path / "copies"
    later = make_chain(
        blobs=ObjectBlobs(place.as_uri()), checkpoint_records=2, checkpoint_s=SELDOM_S, with_records=True
    )
    assert later.service.copies is not None
    await later.service.copies.copy()
    first = min(place.rglob("*.jsonl"))
    report = verify_lines(first.read_bytes().splitlines(keepends=True))
    assert (report.why, report.first, report.pruned_at is not None) == (None, 7, True)


async def test_a_process_that_dies_in_the_middle_leaves_a_good_chain_and_the_next_run_goes_on(
    make_chain: MakeChain, database: Database, clock: ManualClock
) -> None:
    async with appending(make_chain()) as chain:
        await asyncio.gather(*(chain.service.record(chain.entry()) for _ in range(1_600)))
        await chain.service.seal()
        clock.advance(40 * DAY_S)

        async def pruning() -> None:
            await prune(chain)

        async with background(pruning()):
            while await anchor(database) is None:  # noqa: ASYNC110  # another process would not tell us either
                await asyncio.sleep(0.001)
        left = await sequences(database)
        assert len(left) > 1, "it was too fast to be stopped"
        assert (await chain.service.reading.verify(ADMIN)).is_good
        assert (await chain.verified()).records == 1
        assert await chain.service.prune(ADMIN, service="tests") is None
        assert await sequences(database) == [1_601]


async def test_two_that_prune_at_once_prune_once(make_chain: MakeChain, database: Database, clock: ManualClock) -> None:
    async with (
        appending(make_chain(checkpoint_records=2, checkpoint_s=SELDOM_S)) as one,
        appending(make_chain(checkpoint_records=2, checkpoint_s=SELDOM_S)) as other,
    ):
        await fill(one, clock, 36)
        found = await asyncio.gather(prune(one), prune(other))
        assert sorted(pruned is None for pruned in found) == [False, True]
        assert (await one.verified()).first == 7


class _Overtaken(ObjectBlobs):
    """A place that is asked while somebody else does what its caller is about to do."""

    async def head(self, name: str) -> Blob | None:
        """As the place says; it is slow."""
        found = await super().head(name)
        if name.endswith(".jsonl"):
            await self.meanwhile()
        return found

    async def meanwhile(self) -> None:
        """Nothing yet."""


async def test_who_is_overtaken_while_it_copies_prunes_nothing_and_finds_no_fault(
    make_chain: MakeChain, clock: ManualClock, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"checkpoint_records": 2, "checkpoint_s": SELDOM_S, "with_records": False}
    slow, place = _Overtaken((tmp_path / "copies").as_uri()), ObjectBlobs((tmp_path / "copies").as_uri())
    async with (
        appending(make_chain(blobs=slow, **settings)) as one,
        appending(make_chain(blobs=place, **settings)) as other,
    ):
        await fill(one, clock, 36)
        assert other.service.copies is not None
        await other.service.copies.copy()
        overtook: list[Pruned | None] = []

        async def meanwhile() -> None:
            if not overtook:
                overtook.append(None)
                overtook[0] = await prune(other)

        slow.meanwhile = meanwhile  # type: ignore[method-assign]
        assert await prune(one) is None
        assert overtook == [Pruned(first=1, last=6)]
        assert (await one.verified()).first == 7
    parts = [path.read_bytes().splitlines(keepends=True) for path in sorted((tmp_path / "copies").rglob("*.jsonl"))]
    reports = [verify_lines(lines, is_part=True) for lines in parts]
    assert [(report.first, report.last) for report in reports] == [(1, 2), (3, 4), (5, 6)]


async def test_what_cannot_be_recorded_is_not_pruned(
    make_chain: MakeChain, database: Database, clock: ManualClock
) -> None:
    async with appending(make_chain(checkpoint_records=2, checkpoint_s=SELDOM_S)) as chain:
        await fill(chain, clock, 36)
    # Nothing appends any more, and the queue has no room.
    mute = make_chain(bounds=AppendBounds(waiting=0), checkpoint_records=2, checkpoint_s=SELDOM_S)
    with pytest.raises(Unavailable):
        await prune(mute)
    assert len(await sequences(database)) == 36


async def anchor(database: Database) -> Anchor | None:
    async with database.reading() as tx:
        return await store.anchor(tx)
