"""Who has the folders of a host whose workers are several."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.remote import RemoteElement
from samovar.app.services import Services
from samovar.app.settings import Settings
from samovar.domains.files.errors import BadElement
from samovar.domains.files.model.choosing import Element
from samovar.ports.elements import Mode

BUCKET = "s3://bucket/files"
Make = Callable[..., Services]


@pytest.fixture
async def made(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Make]:
    """The services of a process, with these settings."""
    shutil.copyfile(sqlite_template, tmp_path / "samovar.db")
    async with AsyncExitStack() as stack:

        def make(folders_at: str | None = None, **settings: Any) -> Services:
            given = Settings(**{"data_dir": tmp_path, "_env_file": None, **settings})
            services = Services(given, folders_at=folders_at)
            stack.push_async_callback(services.database.close)
            return services

        yield make


def folder(services: Services, url: str = "file:///srv/cold") -> Element:
    now = services.clock.now()
    return Element(id="cold", url=url, mode=Mode.RW, created_at=now, updated_at=now)


def test_a_process_alone_opens_a_folder_and_one_of_several_asks_for_it(made: Make) -> None:
    alone, one_of_several = made(), made("http://127.0.0.1:1")
    assert isinstance(alone.files.service.registry.open(folder(alone)), DiskElement)
    assert isinstance(one_of_several.files.service.registry.open(folder(one_of_several)), RemoteElement)


def test_where_nobody_has_folders_one_that_is_registered_is_refused_with_the_way_out(made: Make) -> None:
    services = made("", blob_url=BUCKET)
    with pytest.raises(BadElement, match="SAMOVAR_STORAGE_ELEMENTS"):
        services.files.service.registry.open(folder(services))


@pytest.mark.parametrize("folders_at", [None, "http://127.0.0.1:1"])
def test_an_address_that_names_no_folder_is_refused_whoever_opens_it(made: Make, folders_at: str | None) -> None:
    services = made(folders_at)
    with pytest.raises(BadElement, match="from the root"):
        services.files.service.registry.open(folder(services, "file://host/srv"))


async def test_folders_are_foreseen_from_the_settings_and_from_the_registry(made: Make, tmp_path: Path) -> None:
    assert await made().files.has_folders()
    in_bucket = made(blob_url=BUCKET)
    assert not await in_bucket.files.has_folders()
    assert not await made(roles=("gateway",)).files.has_folders()
    registry = in_bucket.files.service.registry
    async with registry.running():
        await registry.write(folder(in_bucket, (tmp_path / "cold").as_uri()), revision=None)
    assert await made(blob_url=BUCKET).files.has_folders()
