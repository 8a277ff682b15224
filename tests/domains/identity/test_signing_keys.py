"""Keys that sign tokens: one at a time, published before their use, made once however many processes there are."""

import asyncio
import base64
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import text

from samovar.adapters.postgres import PostgresDatabase
from samovar.domains.identity import store
from samovar.domains.identity.service import IdentityService, TokenRules
from samovar.ports.database import Database
from tests.domains.identity.conftest import Make
from tests.domains.identity.tokens import parts_of, public_key, seconds
from tests.support.clock import ManualClock

HOUR_S = 3600


async def kids(service: IdentityService) -> list[str]:
    """Those that are published."""
    return [key["kid"] for key in json.loads((await service.signing_keys.published()).body)["keys"]]


async def signing(service: IdentityService) -> str:
    """The kid of the next token."""
    return str(parts_of(await service.issuer.issue("role:query", "storage", [], 60))[0]["kid"])


async def test_a_key_signs_for_a_day_and_is_published_for_an_hour_more(
    service: IdentityService, clock: ManualClock
) -> None:
    first = await signing(service)
    assert await kids(service) == [first]
    clock.advance(24 * HOUR_S - 15 * 60 - 1)
    assert await kids(service) == [first]
    clock.advance(1)
    # A quarter of an hour before: the next one is there, and the first one signs.
    both = await kids(service)
    assert (both[0], len(both), await signing(service)) == (first, 2, first)
    clock.advance(15 * 60)
    assert await signing(service) == both[1]
    clock.advance(HOUR_S - 1)
    assert await kids(service) == both
    clock.advance(1)
    assert await kids(service) == [both[1]]


async def test_a_key_stands_in_every_process_s_answer_before_it_signs(make: Make, clock: ManualClock) -> None:
    one, other = (make(tokens=TokenRules(rotate_every_s=HOUR_S)) for _ in range(2))
    await one.ensure_installed(None)
    signed_by = set()
    for _ in range(80):
        seen = [set(await kids(service)) for service in (one, other)]
        max_age_s = (await one.signing_keys.published()).max_age_s
        # Whoever remembers the answer of either as long as it allows knows the key of every token until then.
        clock.advance(max_age_s / 3)
        now_by = {await signing(other), await signing(one)}
        assert now_by <= seen[0] & seen[1]
        signed_by |= now_by
    assert len(signed_by) == 3


async def test_after_days_of_silence_a_new_key_signs_at_once(service: IdentityService, clock: ManualClock) -> None:
    first = await signing(service)
    clock.advance(10 * 24 * HOUR_S)
    second = await signing(service)
    assert second != first
    assert await kids(service) == [second]


async def test_the_private_half_is_sealed_and_of_no_use_elsewhere(
    service: IdentityService, database: Database, clock: ManualClock
) -> None:
    about, key = await service.signing_keys.signing()
    async with database.reading() as tx:
        rows = str((await tx.execute(text("SELECT * FROM signing_keys"))).all())
        sealed = await store.sealed_signing_key(tx, about.kid)
    assert sealed is not None
    assert key.as_dict(private=True)["d"] not in rows
    assert b'"d"' not in sealed
    published = json.loads((await service.signing_keys.published()).body)["keys"][0]
    assert set(published) == {"kty", "kid", "use", "alg", "n", "e", "exp"}
    assert published["exp"] == seconds(clock.now() + timedelta(hours=25))


async def test_retired_keys_are_taken_away_and_the_count_goes_on(
    service: IdentityService, database: Database, clock: ManualClock
) -> None:
    for _ in range(10):
        await signing(service)
        clock.advance(24 * HOUR_S)
    async with database.reading() as tx:
        found = [key.generation for key in await store.all_signing_keys(tx)]
    assert found == [2, 3, 4, 5, 6, 7, 8, 9, 10]


async def test_the_answer_names_itself_and_changes_its_name_with_its_keys(
    service: IdentityService, clock: ManualClock
) -> None:
    before = await service.signing_keys.published()
    assert before == await service.signing_keys.published()
    clock.advance(24 * HOUR_S)
    assert (await service.signing_keys.published()).etag != before.etag


async def test_quick_rotation_is_published_in_time_too(make: Make, clock: ManualClock) -> None:
    service = make(tokens=TokenRules(rotate_every_s=60, rotation_grace_s=60))
    await service.ensure_installed(None)
    for _ in range(60):
        published = await service.signing_keys.published()
        known = {key["kid"] for key in json.loads(published.body)["keys"]}
        clock.advance(published.max_age_s)
        assert await signing(service) in known


async def test_a_library_and_bare_arithmetic_find_our_signature_right(service: IdentityService) -> None:
    token = await service.issuer.issue("role:query", "storage", ["files:read"], 60)
    jwks: Any = json.loads((await service.signing_keys.published()).body)
    read = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["RS256"])
    assert (read.header["alg"], read.claims["sub"]) == ("RS256", "role:query")
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    public_key(jwks["keys"][0]).verify(raw, signed.encode(), PKCS1v15(), SHA256())


async def test_tasks_that_want_the_first_key_at_once_get_one(make: Make, database: Database) -> None:
    several = [make() for _ in range(4)]
    await several[0].ensure_installed(None)
    found = await asyncio.gather(*(signing(service) for service in several for _ in range(3)))
    assert len(set(found)) == 1
    async with database.reading() as tx:
        assert len(await store.all_signing_keys(tx)) == 1


async def test_two_processes_that_rotate_at_once_make_one_key(
    postgres_database: PostgresDatabase, postgres_url: str, clock: ManualClock
) -> None:
    master_key = os.urandom(32).hex()
    here = Path(__file__)
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(here.with_name("signing_process.py")), postgres_url, master_key),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(here.parents[3])},
        )
        for _ in range(2)
    ]

    async def hear(process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while not (line := (await process.stdout.readline()).decode()).startswith("said "):
                assert line
            return line.removeprefix("said ").strip()

    assert [await hear(process) for process in processes] == ["ready", "ready"]
    signing_now = []
    for expected, after in ((1, 0), (2, 24 * HOUR_S - 60), (2, 61), (3, 24 * HOUR_S)):
        clock.advance(after)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{clock.now().isoformat()}\n".encode())
        one, other = await asyncio.gather(*map(hear, processes))
        assert one == other
        signing_now.append(one)
        async with postgres_database.reading() as tx:
            assert [key.generation for key in await store.all_signing_keys(tx)] == list(range(1, expected + 1))
    assert signing_now[0] == signing_now[1] != signing_now[2] != signing_now[3]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() == 0
