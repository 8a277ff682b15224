"""Uploads as transactions: whoever dies, and wherever, a file is there whole with its row, or not at all, and it is told."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from samovar.domains.files.errors import (
    FileUnknown,
    QuotaReached,
    TransactionCancelled,
    TransactionLost,
    TransactionUnknown,
)
from samovar.domains.files.model.rules import Intent
from samovar.domains.files.model.transactions import StepStatus, TransactionState
from samovar.domains.files.service import FileService, IngestRules
from samovar.domains.files.service.ingest import Piece
from samovar.kernel.errors import Forbidden
from samovar.ports.database import Database
from samovar.ports.elements import ContentDiffers, Mode, ModeRefused, RetentionKind
from tests.domains.files.conftest import ADMIN, ANN, AUDITOR, BOB, STRANGER, Start, pieces, put, read_whole
from tests.domains.files.sagas import BEFORE, BEHIND, LEASE_S, Apart, Roles, Shared
from tests.support.clock import ManualClock

OPEN, CANCELLING, DONE = TransactionState.OPEN, TransactionState.CANCELLING, TransactionState.DONE
ROLLED_BACK, CANCELLED = TransactionState.ROLLED_BACK, TransactionState.CANCELLED


# --- as it should go


async def test_an_upload_is_a_transaction_that_is_done_with_its_row(files: FileService) -> None:
    made = await put(files)
    one = await files.desk.find(ANN, made.file_id)
    assert (one.state, one.storage_element_id, one.error_code, one.led_until) == (DONE, "edit", None, None)
    assert [step.name for step in one.steps] == ["begin", "content", "attributes", "row", "news"]
    assert {step.status for step in one.steps[:4]} == {StepStatus.DONE}
    assert [step.compensation is None for step in one.steps] == [False, False, False, True, True]


async def test_a_refused_upload_is_rolled_back_and_says_why(files: FileService) -> None:
    with pytest.raises(ContentDiffers) as refused:
        await put(files, expected_checksum="0" * 64)
    one = await files.desk.find(ANN, refused.value.headers["X-Transaction-Id"])
    assert (one.state, one.error_code) == (ROLLED_BACK, "content_differs")
    assert {step.status for step in one.steps} == {StepStatus.UNDONE}


async def test_owners_see_their_own_and_who_looks_after_the_storage_sees_the_teams(files: FileService) -> None:
    mine, theirs = await put(files), await put(files, BOB)
    for who, seen in ((ANN, [mine]), (BOB, [theirs]), (AUDITOR, [theirs, mine]), (STRANGER, [])):
        page = await files.desk.page(who, state=None, cursor=None, limit=10)
        assert [one.id for one in page.items] == [one.file_id for one in seen]
    for who in (BOB, STRANGER):
        with pytest.raises(TransactionUnknown):
            await files.desk.find(who, mine.file_id)
    with pytest.raises(Forbidden):
        await files.desk.cancel(AUDITOR, mine.file_id)


async def test_a_list_goes_on_where_it_ended_and_may_be_of_one_state(files: FileService) -> None:
    made = [await put(files) for _ in range(3)]
    first = await files.desk.page(ANN, state=DONE, cursor=None, limit=2)
    rest = await files.desk.page(ANN, state=DONE, cursor=first.next_cursor, limit=2)
    assert [one.id for one in (*first.items, *rest.items)] == [one.file_id for one in reversed(made)]
    assert rest.next_cursor is None
    assert (await files.desk.page(ANN, state=ROLLED_BACK, cursor=None, limit=2)).items == ()


# --- when its leader dies, or is stopped for a while


@pytest.mark.parametrize("at", BEFORE)
async def test_an_upload_whose_leader_died_before_the_commit_point_is_rolled_back(apart: Apart, at: str) -> None:
    roles = await apart(rules=IngestRules(max_files=1))
    async with roles.stopped(at) as upload:
        assert (await roles.only()).state is OPEN
        with pytest.raises(QuotaReached):
            await put(roles.admin)
        await roles.kill(upload)
    [waiting] = (await roles.admin.desk.page(ANN, state=OPEN, cursor=None, limit=10)).items
    roles.clock.advance(LEASE_S)
    await roles.admin.resumer.round()
    one = await roles.admin.desk.find(ANN, waiting.id)
    assert (one.state, one.error_code, one.resumes) == (ROLLED_BACK, "leader_lost", 1)
    assert roles.left() == []
    with pytest.raises(FileUnknown):
        await roles.admin.reads.find(ANN, one.id)
    await put(roles.admin)


@pytest.mark.parametrize("at", BEHIND)
async def test_an_upload_whose_leader_died_behind_the_commit_point_goes_forward(apart: Apart, at: str) -> None:
    roles = await apart(rules=IngestRules(max_files=1))
    whole = b"y" * 5_000_000
    async with roles.stopped(at, whole) as upload:
        await roles.kill(upload)
    one = await roles.resumed()
    assert one.state is DONE
    assert await read_whole(roles.admin, ANN, one.id) == whole
    assert (await roles.admin.reads.usage(ANN, "person_ann")).files == 1
    with pytest.raises(QuotaReached):
        await put(roles.admin)
    assert len(roles.left()) == 2
    assert [one async for one in roles.disk.unacknowledged()] == [] or at == BEHIND[1]
    await roles.admin.projector.catch_up()
    assert [one async for one in roles.disk.unacknowledged()] == []


async def test_whoever_is_told_first_of_a_file_gives_back_what_it_held(apart: Apart) -> None:
    roles = await apart(rules=IngestRules(max_files=2))
    async with roles.stopped("behind the commit point", b"held") as upload:
        await roles.kill(upload)
    assert await roles.admin.projector.catch_up() == 1
    assert (await roles.only()).state is DONE
    assert await roles.admin.resumer.resume_some() == 0
    await put(roles.admin)
    with pytest.raises(QuotaReached):
        await put(roles.admin)


@pytest.mark.parametrize("at", [*BEFORE, *BEHIND])
async def test_a_leader_that_wakes_up_too_late_does_no_harm(apart: Apart, at: str) -> None:
    roles = await apart(rules=IngestRules(max_files=1))
    async with roles.stopped(at) as upload:
        taken_over = await roles.resumed()
        roles.halts.go_on.set()
        await asyncio.wait([upload])
        if at in BEFORE:
            assert isinstance(upload.exception(), TransactionLost)
        else:
            assert upload.result().file_id == taken_over.id
    one = await roles.only()
    assert one.state is (ROLLED_BACK if at in BEFORE else DONE)
    assert one.state is taken_over.state
    assert (await roles.admin.reads.usage(ANN, "person_ann")).files == len(roles.left()) / 2 == (at in BEHIND)
    if at in BEFORE:
        await put(roles.admin)


async def test_what_its_element_has_is_done_whoever_took_it_for_lost(apart: Apart) -> None:
    roles = await apart()
    async with roles.stopped("before the element has anything", b"late") as upload:
        # The one moment that no lease can close: it was asked, and stopped before it went on.
        [leading] = roles.ingester.transactions._leading.values()
        leading.check = lambda: None  # type: ignore[method-assign]
        assert (await roles.resumed()).state is ROLLED_BACK
        roles.halts.go_on.set()
        made = await upload
    one = await roles.only()
    assert (one.state, one.error_code) == (DONE, None)
    assert await read_whole(roles.admin, ANN, made.file_id) == b"late"


async def test_a_long_upload_is_led_on_while_its_leader_says_so(apart: Apart) -> None:
    roles = await apart()
    async with roles.stopped("in the middle of the content") as upload:
        for _ in range(10):
            roles.clock.advance(29)
            await roles.ingester.transactions.renew()
            assert await roles.admin.resumer.resume_some() == 0
        roles.halts.go_on.set()
        await asyncio.wait([upload])
        assert upload.result().size_bytes == 6_000_000
    assert (await roles.only()).resumes == 0


async def test_a_leader_that_cannot_say_so_any_more_stops_before_another_takes_over(apart: Apart) -> None:
    roles = await apart()
    async with roles.stopped("in the middle of the content") as upload:
        await roles.ingester.transactions.renew()
        roles.mortal.is_dead = True
        roles.clock.advance(91)
        await roles.ingester.transactions.renew()
        await asyncio.wait([upload])
        assert isinstance(upload.exception(), TransactionLost)
        assert await roles.admin.resumer.resume_some() == 0
        assert roles.left() == []
    assert (await roles.resumed()).state is ROLLED_BACK


async def test_several_admins_end_each_upload_once(apart: Apart, start: Start) -> None:
    roles = await apart()
    async with roles.stopped("behind the commit point", b"once") as upload:
        await roles.kill(upload)
    roles.clock.advance(LEASE_S)
    counts = await asyncio.gather(*[roles.admin.resumer.resume_some() for _ in range(8)])
    assert sum(counts) == 1
    assert (await roles.only()).resumes == 1
    assert (await roles.admin.reads.usage(ANN, "person_ann")).files == 1


async def test_an_element_that_is_away_leaves_it_for_later_and_longer_each_time(apart: Apart) -> None:
    roles = await apart()
    async with roles.stopped("behind the commit point", b"kept") as upload:
        await roles.kill(upload)
    away = roles.admin.registry.serving("one")
    assert isinstance(away, Shared)
    away.is_away = True
    roles.clock.advance(LEASE_S)
    for rest_s in (5, 10, 20):
        assert await roles.admin.resumer.resume_some() == 1
        assert (await roles.only()).state is OPEN
        assert {step.status for step in (await roles.only()).steps[1:3]} == {StepStatus.UNKNOWN}
        roles.clock.advance(rest_s - 1)
        assert await roles.admin.resumer.resume_some() == 0
        roles.clock.advance(2)
    away.is_away = False
    assert (await roles.resumed()).state is DONE


async def test_an_upload_to_an_element_that_is_lost_goes_back(apart: Apart, database: Database) -> None:
    roles = await apart(rules=IngestRules(max_files=1))
    async with roles.stopped("behind the commit point", b"gone") as upload:
        await roles.kill(upload)
    await roles.lose_element()
    assert ((one := await roles.resumed()).state, one.error_code) == (ROLLED_BACK, "element_lost")
    async with database.reading() as tx:
        assert await tx.scalar(text("SELECT held_files FROM file_owners")) == 0


# --- taken back


async def test_what_is_under_way_stops_when_it_is_cancelled(apart: Apart) -> None:
    roles = await apart(rules=IngestRules(max_files=1))
    async with roles.stopped("in the middle of the content") as upload:
        one = await roles.only()
        assert (await roles.admin.desk.cancel(ANN, one.id)).state in (CANCELLING, CANCELLED)
        await asyncio.wait([upload], timeout=10)
        assert isinstance(upload.exception(), TransactionCancelled)
    assert (await roles.only()).state is CANCELLED
    assert (await roles.admin.desk.cancel(ANN, one.id)).state is CANCELLED
    assert roles.left() == []
    await put(roles.admin)


@pytest.mark.parametrize(("mode", "ends"), [(Mode.EDIT, CANCELLED), (Mode.RW, DONE)])
async def test_what_was_committed_when_it_was_cancelled_goes_where_that_is_allowed(
    apart: Apart, mode: Mode, ends: TransactionState
) -> None:
    roles = await apart(mode)
    async with roles.stopped("behind the commit point", b"quick") as upload:
        one = await roles.only()
        await roles.admin.desk.cancel(ANN, one.id)
        await asyncio.wait([upload], timeout=10)
    await roles.admin.resumer.round()
    one = await roles.only()
    assert one.state is ends
    assert one.error_code == ("cancelled" if ends is CANCELLED else "mode_refused")
    assert len(roles.left()) == (0 if ends is CANCELLED else 2)
    assert (await roles.admin.reads.usage(ANN, "person_ann")).files == (0 if ends is CANCELLED else 1)


async def test_what_is_done_is_deleted_by_cancelling_it_where_the_mode_allows_that(files: FileService) -> None:
    made = await put(files)
    assert (await files.desk.cancel(ANN, made.file_id)).state is CANCELLED
    with pytest.raises(FileUnknown):
        await files.reads.find(ANN, made.file_id)
    kept = await put(files, retention=RetentionKind.PERMANENT)
    with pytest.raises(ModeRefused, match="rw"):
        await files.desk.cancel(ANN, kept.file_id)
    assert (await files.desk.find(ANN, kept.file_id)).state is DONE


async def test_an_upload_in_pieces_is_one_too_and_ends_with_it(files: FileService, clock: ManualClock) -> None:
    async def begun() -> str:
        stands = await files.uploads.create(ANN, Intent(filename="a.bin", expected_bytes=4), "")
        return stands.upload.file_id

    whole = await begun()
    assert (await files.desk.find(ANN, whole)).state is OPEN
    await files.uploads.append(ANN, whole, Piece(offset_bytes=0, content=pieces(b"abcd")))
    assert (await files.desk.find(ANN, whole)).state is DONE
    cancelled = await begun()
    assert (await files.desk.cancel(ANN, cancelled)).state is CANCELLED
    given_up = await begun()
    await files.uploads.terminate(ANN, given_up)
    assert (await files.desk.find(ANN, given_up)).state is CANCELLED
    forgotten = await begun()
    clock.advance(2 * 86_400)
    await files.resumer.round()
    assert (await files.desk.find(ANN, forgotten)).state is OPEN
    await files.sweep()
    one = await files.desk.find(ANN, forgotten)
    assert (one.state, one.error_code) == (ROLLED_BACK, "upload_gone")


async def test_what_is_long_over_is_forgotten_and_what_is_open_is_not(files: FileService, clock: ManualClock) -> None:
    over = await put(files)
    stands = await files.uploads.create(ADMIN, Intent(filename="a.bin", expected_bytes=4), "")
    clock.advance(8 * 86_400)
    await files.resumer.round()
    with pytest.raises(TransactionUnknown):
        await files.desk.find(ANN, over.file_id)
    assert (await files.desk.find(ADMIN, stands.upload.file_id)).state is OPEN
    assert await read_whole(files, ANN, over.file_id) == b"hello"


# --- anything, in any order

POINTS = (*BEFORE, *BEHIND)
HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(["answered", "killed", "woken too late", "cancelled"]), st.sampled_from(POINTS)),
    min_size=1,
    max_size=5,
)


async def _happens(roles: Roles, happening: str, at: str, whole: bytes) -> str:
    """The id of the upload it happened to."""
    roles.halts.reached, roles.halts.go_on = asyncio.Event(), asyncio.Event()
    async with roles.stopped(at, whole) as upload:
        one = (await roles.admin.desk.page(ANN, state=None, cursor=None, limit=1)).items[0]
        if happening == "killed":
            await roles.kill(upload)
        elif happening == "cancelled":
            await roles.admin.desk.cancel(ANN, one.id)
        elif happening == "woken too late":
            roles.clock.advance(LEASE_S)
            await roles.admin.resumer.round()
        roles.halts.go_on.set()
        await asyncio.wait([upload])
        if not upload.cancelled() and upload.exception() is None and happening != "cancelled":
            assert upload.result().file_id == one.id
            assert (await roles.admin.desk.find(ANN, one.id)).state is DONE
        elif happening == "answered":
            pytest.fail("nobody hindered it")
    roles.mortal.is_dead = False
    return one.id


@given(happenings=HAPPENINGS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_happens_to_uploads_each_is_whole_with_its_row_or_nothing_is_left_of_it(
    apart: Apart, happenings: list[tuple[str, str]]
) -> None:
    roles = await apart(rules=IngestRules(max_files=1_000))
    told = {}
    for number, (happening, at) in enumerate(happenings):
        content = number.to_bytes(4, "big") * 1_500_000
        told[await _happens(roles, happening, at, content)] = (content, happening, at)
        if number % 2:
            roles.clock.advance(LEASE_S)
            await roles.admin.resumer.round()
    roles.clock.advance(LEASE_S)
    await roles.admin.resumer.round()
    for file_id, (content, happening, at) in told.items():
        one = await roles.admin.desk.find(ANN, file_id)
        stays = at in BEHIND and happening != "cancelled"
        gone = CANCELLED if happening == "cancelled" else ROLLED_BACK
        assert one.state is (DONE if stays or happening == "answered" else gone)
        if one.state is DONE:
            assert await read_whole(roles.admin, ANN, file_id) == content
            await roles.admin.changes.delete(ANN, file_id)
        else:
            with pytest.raises(FileUnknown):
                await roles.admin.reads.find(ANN, file_id)
    usage = await roles.admin.reads.usage(ANN, "person_ann")
    assert (usage.files, usage.size_bytes, roles.left()) == (0, 0, [])
    async with roles.mortal.reading() as tx:
        assert (await tx.execute(text("SELECT held_files, held_bytes FROM file_owners"))).all() == [(0, 0)]
        assert (await tx.execute(text("SELECT count(*) FROM file_holds"))).scalar_one() == 0
    await roles.disk.close()
