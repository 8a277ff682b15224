"""The bucket for the audit chain's copies: reached by an account of its own, or as that of backups."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from samovar.adapters.objects import ObjectBlobs
from samovar.app.audit import copy_access
from samovar.app.services import Services
from samovar.app.settings import Settings, SettingsInvalid, load
from samovar.domains.audit.model import Result
from samovar.kernel.errors import Unavailable
from tests.app.conftest import Serve
from tests.support.s3_requests import ask_s3
from tests.support.seaweed import ACCESS_KEY, BUCKET, COPIER_KEY, COPIES_BUCKET, SECRET_KEY, SeaweedS3
from tests.support.sockets import Relay, closed_port

URL = f"s3://{COPIES_BUCKET}/audit"
COMPLIANCE = b"""<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<ObjectLockEnabled>Enabled</ObjectLockEnabled>
<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>
</ObjectLockConfiguration>"""


async def one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def copied(services: Services) -> list[str]:
    """The names in the place after a record."""
    audit = services.audit.service
    entry = audit.entry(service="tests", action="key:create", user_id="x", resource="key:1", result=Result.SUCCESS)
    await audit.record(entry)
    await audit.seal()
    assert audit.copies is not None
    assert await audit.copies.copy() > 0
    blobs = ObjectBlobs(services.settings.audit_copy_url, s3=copy_access(services.settings))
    return [blob.name async for blob in blobs.list()]


async def bucket_made(seaweed: SeaweedS3) -> None:
    await ObjectBlobs(f"s3://{COPIES_BUCKET}", s3=seaweed.access).put("made", one(b"x"))


async def test_copies_go_by_an_account_of_their_own_and_never_by_that_of_backups(
    serve: Serve, seaweed: SeaweedS3
) -> None:
    await bucket_made(seaweed)
    served = await serve(
        backup_url=f"s3://{BUCKET}/backups",
        backup_endpoint=f"http://127.0.0.1:{closed_port()}",
        backup_access_key_id=ACCESS_KEY,
        backup_secret_access_key=SECRET_KEY,
        audit_copy_url=URL,
        audit_copy_endpoint=seaweed.access.endpoint,
        audit_copy_region=seaweed.access.region,
        audit_copy_access_key_id=COPIER_KEY,
        audit_copy_secret_access_key=SECRET_KEY,
    )
    assert await copied(served.services)
    # That account has no business in the backups.
    with pytest.raises(Unavailable):
        await ObjectBlobs(f"s3://{BUCKET}/backups", s3=copy_access(served.services.settings)).put("x", one(b"x"))


class Overheard(Relay):
    """Knows the heads of what was asked for."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.heads: list[str] = []

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(65_536):
            if block.startswith((b"PUT ", b"POST ")):
                self.heads.append(block.partition(b"\r\n\r\n")[0].decode().lower())
            writer.write(block)
            await writer.drain()
        writer.close()


async def test_copies_in_a_bucket_with_object_lock_stay_whoever_deletes_them(serve: Serve, seaweed: SeaweedS3) -> None:
    bucket, access = "samovar-locked", seaweed.access
    for query, body, headers in (
        ("", b"", {"x_amz_bucket_object_lock_enabled": "true"}),
        ("object-lock=", COMPLIANCE, {}),
    ):
        made = await asyncio.to_thread(ask_s3, access, "PUT", f"/{bucket}", query, body, **headers)
        assert made.status == 200, made
    overheard = Overheard("127.0.0.1", urlsplit(access.endpoint).port or 0)
    await overheard.start()
    served = await serve(
        audit_copy_url=f"s3://{bucket}/audit",
        audit_copy_endpoint=f"http://127.0.0.1:{overheard.port}",
        audit_copy_region=access.region,
        audit_copy_access_key_id=ACCESS_KEY,
        audit_copy_secret_access_key=SECRET_KEY,
    )
    names = await copied(served.services)
    await overheard.cut()
    assert names
    # AWS takes nothing into such a bucket without it, neither whole nor in parts; this server does.
    with_content = [head for head in overheard.heads if head.startswith("put ")]
    assert with_content
    assert all("x-amz-checksum-sha256:" in head for head in with_content)
    for name in names:
        path = f"/{bucket}/audit/{name}"
        stands = await asyncio.to_thread(ask_s3, access, "GET", path)
        assert (stands.status, stands.headers["x-amz-object-lock-mode"]) == (200, "COMPLIANCE")
        version = f"versionId={stands.headers['x-amz-version-id']}"
        # By the account that may do everything.
        for bypass in ({}, {"x_amz_bypass_governance_retention": "true"}):
            refused = await asyncio.to_thread(ask_s3, access, "DELETE", path, version, **bypass)
            assert refused.status == 403, refused
        await asyncio.to_thread(ask_s3, access, "DELETE", path)
        assert (await asyncio.to_thread(ask_s3, access, "GET", path)).status == 404
        assert (await asyncio.to_thread(ask_s3, access, "GET", path, version)).body == stands.body


async def test_what_is_not_said_is_as_for_backups(serve: Serve, seaweed: SeaweedS3) -> None:
    served = await serve(
        backup_endpoint=seaweed.access.endpoint,
        backup_region=seaweed.access.region,
        backup_access_key_id=ACCESS_KEY,
        backup_secret_access_key=SECRET_KEY,
        audit_copy_url=URL,
    )
    assert await copied(served.services)


def test_each_setting_falls_back_alone_but_for_id_and_secret() -> None:
    backups: dict[str, Any] = {
        "backup_endpoint": "https://one.example",
        "backup_region": "eu-1",
        "backup_access_key_id": "id-one",
        "backup_secret_access_key": "secret-one",
    }
    own = Settings(
        **backups,
        audit_copy_endpoint="https://two.example",
        audit_copy_access_key_id="id-two",
        audit_copy_secret_access_key="secret-two",
        _env_file=None,
    )
    access = copy_access(own)
    assert (access.endpoint, access.region) == ("https://two.example", "eu-1")
    assert (access.access_key_id, access.secret_access_key) == ("id-two", "secret-two")
    shared = copy_access(Settings(**backups, _env_file=None))
    assert (shared.endpoint, shared.access_key_id, shared.secret_access_key) == (
        "https://one.example",
        "id-one",
        "secret-one",
    )


@pytest.mark.parametrize("half", ["SAMOVAR_AUDIT_COPY_ACCESS_KEY_ID", "SAMOVAR_AUDIT_COPY_SECRET_ACCESS_KEY"])
def test_half_an_account_is_refused(half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(half, "only-this")
    with pytest.raises(SettingsInvalid) as refused:
        load()
    assert any("belong together" in flaw for flaw in refused.value.flaws)
    assert "only-this" not in str(refused.value.flaws)
