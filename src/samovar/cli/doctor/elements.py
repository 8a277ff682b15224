"""Whether the folders of storage elements are the ones that were begun."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from samovar.adapters.disk import is_begun
from samovar.app.adapters import folder_of
from samovar.app.files import is_folder
from samovar.cli.doctor.finding import Finding
from samovar.domains.files.model.choosing import Element, ElementState

_CHECK = "storage elements"


def check_elements(known: Iterable[Element]) -> Iterator[Finding]:
    """A folder without the mark of an element that was begun is another folder: its disk is not there."""
    folders = [one for one in known if is_folder(one) and one.state is not ElementState.LOST]
    begun = [one for one in folders if one.begun_at is not None]
    missing = list[str]()
    for one in begun:
        folder = folder_of(one.url)
        fault = _fault(folder)
        if fault is not None:
            missing.append(one.id)
            remedy = f"Mount its disk; or begin it anew there, with no file in it: samovar files begin {one.id}"
            yield Finding.fail(_CHECK, f"{one.id} was begun before, and {folder} {fault}", remedy)
    if folders and not missing:
        yield Finding.ok(_CHECK, f"{len(begun)} in folders of this machine, each with its mark")


def _fault(folder: Path) -> str | None:
    try:
        return None if is_begun(folder) else "has no mark of it (.element/element.json)"
    except OSError as error:
        return f"cannot be looked into: {error.strerror}"
