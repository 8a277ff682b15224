"""Backups over HTTP, and as jobs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from samovar.adapters.age import AgeOpener, Passphrase, new_identity
from samovar.adapters.objects import ObjectBlobs
from samovar.domains.operations.model.backups import backup_name
from tests.app.conftest import ADMIN, Answer, Serve, Served
from tests.domains.operations.test_backups_damaged import pieces, problems_of
from tests.support.installations import say
from tests.support.seaweed import BUCKET, SeaweedS3

T = TypeVar("T")


async def download(served: Served, body: Any = None, query: str = "", headers: dict[str, str] = ADMIN) -> Answer:
    given = None if body is None else json.dumps(body).encode()
    return await served.ask("POST", f"/admin/backup{query}", body=given, headers=headers)


async def key_of(served: Served, scope: str) -> dict[str, str]:
    made = await say(served, "POST", "/api/keys", {"name": scope, "scopes": [scope]})
    return {"Authorization": f"Bearer {made['key']}"}


async def eventually(look: Callable[[], Awaitable[T]]) -> T:
    """What ``look`` gives, as soon as it gives something."""
    async with asyncio.timeout(30):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.05)


async def made_backup(served: Served) -> dict[str, Any]:
    """Ordered as a job, and waited for."""
    ordered = await say(served, "POST", "/api/backups")

    async def is_done() -> bool:
        job = await say(served, "GET", f"/api/jobs/{ordered['job_id']}")
        assert job["error"] is None, job
        return bool(job["state"] == "done")

    await eventually(is_done)
    found: list[dict[str, Any]] = (await say(served, "GET", "/api/backups"))["items"]
    return found[0]


async def test_a_download_is_a_whole_backup(serve: Serve) -> None:
    served = await serve()
    answer = await download(served)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["content-disposition"].startswith('attachment; filename="samovar-')
    assert answer.headers["cache-control"] == "no-store"
    assert await problems_of(answer.body) == []


async def test_a_download_is_encrypted_for_whom_the_caller_says(serve: Serve) -> None:
    served = await serve()
    identity = new_identity()
    answer = await download(served, {"recipients": [identity.recipient]})
    assert answer.headers["content-disposition"].endswith('.tar.age"')
    opened = [piece async for piece in AgeOpener([identity]).open(pieces(answer.body))]
    assert await problems_of(b"".join(opened)) == []
    answer = await download(served, {"passphrase": "correct horse"})
    opened = [piece async for piece in AgeOpener(Passphrase("correct horse")).open(pieces(answer.body))]
    assert await problems_of(b"".join(opened)) == []
    assert (await download(served, {"recipients": ["age1nobody"]})).status == 422
    both = {"recipients": [identity.recipient], "passphrase": "correct horse"}
    assert (await download(served, both)).status == 422
    # In the clear is not what these ask for.
    for misspelt in ({"recipient": identity.recipient}, {"pass_phrase": "correct horse"}):
        assert (await download(served, misspelt)).status == 422


async def test_prompts_alone_come_as_the_document_has_them(serve: Serve) -> None:
    served = await serve()
    await say(served, "POST", "/v1/prompts", {"namespace": "shop", "name": "hello", "lang": "en", "text": "Hi"})
    answer = await download(served, query="?only=prompts")
    assert answer.headers["content-type"].startswith("application/json")
    name = answer.headers["content-disposition"].split('"')[1]
    assert name.startswith("backup-")
    assert name.removeprefix("backup-").removesuffix(".json").isdigit()
    assert set(answer.json) == {"exported_at", "count", "prompts"}
    assert answer.json["count"] == 1
    assert answer.json["prompts"][0]["text"] == "Hi"
    assert (await download(served, query="?only=keys")).status == 422
    sealed = await download(served, {"passphrase": "correct horse"}, query="?only=prompts")
    assert sealed.headers["content-disposition"].endswith('.json.age"')
    opened = [piece async for piece in AgeOpener(Passphrase("correct horse")).open(pieces(sealed.body))]
    assert json.loads(b"".join(opened))["count"] == 1


async def test_who_may_only_read_gets_no_rows(serve: Serve) -> None:
    served = await serve()
    for scope in ("gateway", "prompts", "usage"):
        key = await key_of(served, scope)
        for query in ("", "?only=prompts"):
            assert (await download(served, query=query, headers=key)).status == 403
        assert (await served.ask("GET", "/api/backups", headers=key)).status == 403
        assert (await served.ask("POST", "/api/backups", headers=key)).status == 403
    assert (await download(served, headers={})).status == 401
    assert (await download(served, headers=await key_of(served, "admin"))).status == 200


async def test_a_job_makes_one_where_it_belongs_and_it_can_be_verified(serve: Serve, tmp_path: Path) -> None:
    served = await serve()
    backup = await made_backup(served)
    stored = tmp_path / "backups" / backup["name"]
    assert stored.stat().st_size == backup["size_bytes"]
    verdict = await say(served, "POST", f"/api/backups/{backup['name']}/verify")
    assert (verdict["good"], verdict["problems"]) == (True, [])
    assert verdict["rows"]["teams"] == 1
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    verdict = await say(served, "POST", f"/api/backups/{backup['name']}/verify")
    assert not verdict["good"]
    assert verdict["problems"]


@pytest.mark.parametrize("name", ["samovar-20261121T030000Z-00000000.tar", "..%2Fsamovar.db", "samovar.db"])
async def test_a_backup_that_is_not_there_is_not_found(serve: Serve, name: str) -> None:
    served = await serve()
    assert (await served.ask("POST", f"/api/backups/{name}/verify", headers=ADMIN)).status == 404


async def test_an_encrypted_one_is_verified_with_its_key_alone(serve: Serve) -> None:
    identity = new_identity()
    served = await serve(backup_age_recipients=identity.recipient)
    backup = await made_backup(served)
    assert backup["encrypted"]
    path = f"/api/backups/{backup['name']}/verify"
    assert (await served.ask("POST", path, headers=ADMIN)).json["code"] == "backup_encrypted"
    assert (await say(served, "POST", path, {"identity": identity.text}))["good"]
    other = await say(served, "POST", path, {"identity": new_identity().text})
    assert "None of the keys" in other["problems"][0]
    assert (await served.ask("POST", path, body=b'{"identity": "age1"}', headers=ADMIN)).status == 422


async def test_old_ones_go_only_after_a_new_one_is_proved_good(serve: Serve, tmp_path: Path) -> None:
    served = await serve(backup_keep_days=30)
    now = served.services.clock.now()
    names = {days: backup_name(now - timedelta(days=days), "00000000", encrypted=False) for days in (29, 31, 400)}
    place = ObjectBlobs((tmp_path / "backups").as_uri())
    for name in (*names.values(), "holiday.jpg"):
        await place.put(name, pieces(b"x"))
    backup = await made_backup(served)
    there = {blob.name async for blob in place.list()}
    assert there == {backup["name"], names[29], "holiday.jpg"}


async def test_a_bucket_serves_as_a_folder_does(serve: Serve, seaweed: SeaweedS3) -> None:
    access = seaweed.access
    served = await serve(
        backup_url=f"s3://{BUCKET}/of-one-test/samovar",
        backup_endpoint=access.endpoint,
        backup_region=access.region,
        backup_access_key_id=access.access_key_id,
        backup_secret_access_key=access.secret_access_key,
    )
    now = served.services.clock.now()
    old = backup_name(now - timedelta(days=99), "00000000", encrypted=False)
    await served.services.backups.blobs.put(old, pieces(b"x"))
    backup = await made_backup(served)
    assert [one["name"] for one in (await say(served, "GET", "/api/backups"))["items"]] == [backup["name"]]
    assert (await say(served, "POST", f"/api/backups/{backup['name']}/verify"))["good"]


async def test_a_place_that_does_not_answer_is_told(serve: Serve) -> None:
    served = await serve(backup_url="file:///dev/null/backups")
    refused = await served.ask("GET", "/api/backups", headers=ADMIN)
    assert (refused.status, refused.json["code"]) == (503, "storage_unavailable")


async def test_the_clock_makes_one_and_its_schedule_is_a_setting(serve: Serve) -> None:
    served = await serve(backup_schedule="15 4 * * 1")
    entries = {one["name"]: one for one in (await say(served, "GET", "/api/jobs/cron"))["items"]}
    assert entries["backup"]["schedule"] == "15 4 * * 1"
    await say(served, "POST", "/api/jobs/cron/backup/run")

    async def listed() -> list[Any]:
        found: list[Any] = (await say(served, "GET", "/api/backups"))["items"]
        return found

    assert len(await eventually(listed)) == 1


async def test_a_download_that_its_reader_leaves_lets_go_of_the_database(serve: Serve) -> None:
    served = await serve()
    for _ in range(3):
        reader, writer = await served.connect()
        writer.write(
            b"POST /admin/backup HTTP/1.1\r\nHost: x\r\nX-Admin-Token: %b\r\n\r\n" % ADMIN["X-Admin-Token"].encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async def is_free() -> bool:
        return served.services.database.connections_active == 0

    assert await eventually(is_free)
