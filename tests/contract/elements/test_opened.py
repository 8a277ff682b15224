"""Contents that are handed out as open files, by the elements that have them as such; the others have none."""

import os
from pathlib import Path

import pytest

from samovar.adapters.disk import DiskElement
from samovar.adapters.system import SystemClock
from samovar.ports.element_rules import PathRefused
from samovar.ports.elements import (
    DamagedFile,
    ElementUnavailable,
    FileNotThere,
    Mode,
    ModeRefused,
    OpenContent,
    StorageElement,
)
from tests.contract.elements.drafts import draft, pieces
from tests.contract.elements.homes import LARGE, on_disk


async def test_an_open_content_is_the_content(element: StorageElement) -> None:
    path = (await element.write(draft("one"), pieces(LARGE))).path
    content = await element.open_content(path)
    assert (content is not None) == isinstance(element, DiskElement)
    if content is None:
        return
    before = len(os.listdir("/proc/self/fd"))
    assert await content.read(5, 1_500_000) == LARGE[5:1_500_000]
    assert await content.run(lambda: os.pread(content.fileno(), 100, len(LARGE) - 3)) == LARGE[-3:]
    await content.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1


async def _opened(element: DiskElement, path: str) -> OpenContent:
    return await element.open_content(path)


async def test_what_cannot_be_read_is_not_opened(tmp_path: Path) -> None:
    home = on_disk(tmp_path)
    element = DiskElement(tmp_path, element_id="se-1", mode=Mode.RW, clock=SystemClock())
    with pytest.raises(ElementUnavailable):
        await element.open_content("2026/one")
    await element.start()
    path, lone = [(await element.write(draft(name), pieces(b"tea"))).path for name in ("one", "lone")]
    await home.remove(lone)
    for wrong, refusal in (("2026/none", FileNotThere), (lone, DamagedFile), ("../one", PathRefused)):
        with pytest.raises(refusal):
            await element.open_content(wrong)
    await element.lower_mode(Mode.RO)
    await (await _opened(element, path)).close()
    await element.lower_mode(Mode.AR)
    with pytest.raises(ModeRefused, match="cold"):
        await element.open_content(path)
    await element.close()


async def test_what_goes_wrong_in_an_open_content_is_the_elements(tmp_path: Path) -> None:
    element = DiskElement(tmp_path, element_id="se-1", mode=Mode.EDIT, clock=SystemClock())
    await element.start()
    before = len(os.listdir("/proc/self/fd"))
    content = await _opened(element, (await element.write(draft("one"), pieces(b"tea"))).path)

    def breaks(error: Exception) -> None:
        raise error

    with pytest.raises(ElementUnavailable, match="Input/output"):
        await content.run(lambda: breaks(OSError(5, "Input/output error")))
    with pytest.raises(DamagedFile, match="too soon"):
        await content.run(lambda: breaks(EOFError("too soon")))
    with pytest.raises(DamagedFile, match="byte 3"):
        await content.read(0, 4)
    await element.close()
    with pytest.raises(ElementUnavailable):
        await content.read(0, 1)
    with pytest.raises(ElementUnavailable):
        await content.run(lambda: None)
    await content.close()
    assert len(os.listdir("/proc/self/fd")) < before
