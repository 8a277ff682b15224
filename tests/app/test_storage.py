"""A process that has storage elements and no database."""

from pathlib import Path

import pytest

from samovar.app.settings import Settings
from samovar.app.storage import StorageProcess
from samovar.ports.elements import ElementUnavailable


def process(folder: Path) -> StorageProcess:
    elements = [{"id": "se-1", "url": (folder / "disk").as_uri(), "mode": "rw"}]
    return StorageProcess(
        Settings(
            data_dir=folder / "data",
            roles=("storage-element",),
            admin_url="http://127.0.0.1:1",
            storage_elements=elements,
            _env_file=None,
        )
    )


async def test_it_remembers_what_was_begun_and_begins_it_nowhere_else(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    async with process(tmp_path).running():
        assert (disk / ".element" / "element.json").exists()
    disk.rename(tmp_path / "elsewhere")
    disk.mkdir()
    with pytest.raises(ElementUnavailable, match="is its disk mounted"):
        async with process(tmp_path).running():
            pass
    assert [*disk.iterdir()] == []
    disk.rmdir()
    (tmp_path / "elsewhere").rename(disk)
    async with process(tmp_path).running():
        pass
