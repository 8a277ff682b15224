"""A place and an element for the suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from samovar.ports.elements import StorageElement
from tests.contract.elements.homes import Home, on_disk, on_s3
from tests.contract.elements.reached import reached_on_disk


@pytest.fixture(params=["disk", "s3", "remote"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A place that is empty."""
    match request.param:
        case "disk":
            return on_disk(tmp_path / "element")
        case "remote":
            return reached_on_disk(tmp_path / "element")
        case _:
            return on_s3(request.getfixturevalue("seaweed"))


@pytest.fixture
async def element(home: Home) -> AsyncIterator[StorageElement]:
    """A started element in mode edit."""
    made = home.make()
    await made.start()
    yield made
    await made.close()
