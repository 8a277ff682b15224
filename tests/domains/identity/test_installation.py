"""The first start, once; and a master key that is another one."""

import asyncio
import base64
import os

import pytest
from sqlalchemy import text

from samovar.adapters.aesgcm import AesGcmBox
from samovar.domains.identity.errors import UnknownKey, WrongMasterKey
from samovar.domains.identity.model import DEFAULT_TEAM_ID, administrator, digest_of
from samovar.domains.identity.service import FirstStart
from samovar.ports.database import Database
from tests.domains.identity.conftest import Make


async def test_the_first_start_makes_an_admin_token_and_a_key_that_work(make: Make) -> None:
    service = make()
    first = await service.ensure_installed(None)
    assert first is not None
    assert first.admin_token is not None
    assert first.key is not None
    assert await service.authenticate_admin(first.admin_token) == administrator()
    assert (await service.authenticate(first.key.secret)).team_id == DEFAULT_TEAM_ID


async def test_later_starts_make_nothing_and_know_the_same_admin_token(make: Make) -> None:
    first = await make().ensure_installed(None)
    again = make()
    assert await again.ensure_installed(None) is None
    assert first is not None
    assert first.admin_token is not None
    assert await again.authenticate_admin(first.admin_token) == administrator()
    assert len((await again.list_keys(administrator())).items) == 1


async def test_of_processes_that_start_together_one_makes_the_secrets(make: Make) -> None:
    services = [make() for _ in range(4)]
    starts = await asyncio.gather(*(service.ensure_installed(None) for service in services))
    made = [start for start in starts if start is not None]
    assert len(made) == 1
    assert made[0].admin_token is not None
    for service in services:
        assert await service.authenticate_admin(made[0].admin_token) == administrator()
    assert len((await services[0].list_keys(administrator())).items) == 1


async def test_the_environments_admin_token_is_taken_and_not_stored(make: Make, database: Database) -> None:
    service = make()
    first = await service.ensure_installed("from-the-environment")
    assert first is not None
    assert first.admin_token is None
    assert first.key is not None
    assert await service.authenticate_admin("from-the-environment") == administrator()
    async with database.reading() as tx:
        facts = str((await tx.execute(text("SELECT * FROM installation"))).all())
    assert digest_of("from-the-environment").hex() not in facts


async def test_the_environments_admin_token_stands_in_for_the_stored_one(make: Make) -> None:
    first = await make().ensure_installed(None)
    assert first is not None
    assert first.admin_token is not None
    service = make()
    assert await service.ensure_installed("from-the-environment") is None
    with pytest.raises(UnknownKey):
        await service.authenticate_admin(first.admin_token)


async def test_a_start_without_the_environments_token_makes_one_if_there_never_was_one(make: Make) -> None:
    await make().ensure_installed("from-the-environment")
    later = await make().ensure_installed("")
    assert later is not None
    assert later.admin_token is not None
    assert later.key is None


async def test_a_wrong_master_key_is_refused_in_plain_words_and_changes_nothing(make: Make, database: Database) -> None:
    await make().ensure_installed("token")
    async with database.reading() as tx:
        before = (await tx.execute(text("SELECT * FROM installation ORDER BY name"))).all()
    with pytest.raises(WrongMasterKey, match="SAMOVAR_MASTER_KEY"):
        await make(box=AesGcmBox(master_key=os.urandom(32))).ensure_installed(None)
    async with database.reading() as tx:
        assert (await tx.execute(text("SELECT * FROM installation ORDER BY name"))).all() == before


async def test_the_secrets_of_the_first_start_are_stored_nowhere_and_in_no_repr(make: Make, database: Database) -> None:
    first = await make().ensure_installed(None)
    assert isinstance(first, FirstStart)
    assert first.admin_token is not None
    assert first.key is not None
    async with database.reading() as tx:
        stored = str((await tx.execute(text("SELECT * FROM installation"))).all())
        stored += str((await tx.execute(text("SELECT * FROM gateway_keys"))).all())
    for secret in (first.admin_token, first.key.secret[11:]):
        assert secret not in stored
        assert base64.b64encode(secret.encode()).decode() not in stored
        assert secret not in repr(first)
