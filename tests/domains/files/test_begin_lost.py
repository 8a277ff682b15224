"""The row with which an upload begins is not waited for on the disk. A power cut may take it: the file makes it again."""

from sqlalchemy import text

from samovar.domains.files.model.transactions import StepStatus, TransactionState
from samovar.domains.files.service import IngestRules
from tests.domains.files.conftest import ANN, put, read_whole
from tests.domains.files.sagas import BEHIND, Apart, Roles


async def _power_cut(roles: Roles) -> None:
    """What was written of uploads in the last moments is gone."""
    async with roles.mortal.transaction() as tx:
        gone = await tx.execute(text("DELETE FROM file_transactions"))
        assert gone.rowcount == 1


async def _holds_nothing(roles: Roles) -> bool:
    async with roles.admin._database.reading() as tx:
        holds = (await tx.execute(text("SELECT count(*) FROM file_holds"))).scalar_one()
        held = (await tx.execute(text("SELECT held_files, held_bytes FROM file_owners"))).all()
    return (holds, held) == (0, [(0, 0)])


async def test_an_upload_goes_on_without_it_and_gives_back_what_it_held(apart: Apart) -> None:
    roles = await apart(rules=IngestRules(max_files=1))
    async with roles.stopped(BEHIND[0], b"tea" * 2_000_000) as upload:
        assert not await _holds_nothing(roles)
        await _power_cut(roles)
        roles.halts.go_on.set()
        made = await upload
    one = await roles.only()
    assert (one.id, one.state, one.error_code, one.led_until) == (made.file_id, TransactionState.DONE, None, None)
    assert {step.status for step in one.steps[:4]} == {StepStatus.DONE}
    assert await _holds_nothing(roles)
    assert await read_whole(roles.admin, ANN, made.file_id) == b"tea" * 2_000_000


async def test_whoever_starts_next_makes_it_of_what_its_element_tells(apart: Apart) -> None:
    roles = await apart()
    async with roles.stopped(BEHIND[0], b"tea" * 2_000_000) as upload:
        await _power_cut(roles)
        await roles.kill(upload)
    assert await roles.admin.projector.catch_up() == 1
    one = await roles.only()
    assert (one.state, one.storage_element_id, one.resumes) == (TransactionState.DONE, "one", 0)
    assert (await roles.admin.reads.usage(ANN, "person_ann")).files == 1
    assert await read_whole(roles.admin, ANN, one.id) == b"tea" * 2_000_000
    # It is over: nobody takes it over, and nothing of it goes.
    assert (await roles.resumed()).state is TransactionState.DONE
    await put(roles.admin)
