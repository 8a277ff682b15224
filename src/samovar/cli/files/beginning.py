"""Beginning a storage element anew, in a folder that has no mark of it: on purpose, for by itself none does."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from samovar.adapters.disk import DiskElement, is_begun
from samovar.adapters.system import SystemClock
from samovar.app.adapters import folder_of
from samovar.app.files import is_folder
from samovar.app.services import Services
from samovar.app.settings import Settings, load
from samovar.app.storage import begun_before
from samovar.app.telemetry import logs
from samovar.app.upkeep import migrated
from samovar.cli.output import CannotDo
from samovar.domains.files.model.choosing import Element


def begin(element_id: str) -> Path:
    """The folder that is the element's now. Raises :class:`CannotDo`, ``SamovarError``, ``SettingsInvalid``."""
    settings = load()
    if settings.is_storage_alone:
        return asyncio.run(_begun(begun_before(settings, SystemClock()), element_id))
    return asyncio.run(_told(settings, element_id))


async def _told(settings: Settings, element_id: str) -> Path:
    logs.configure(json=False, level="error")
    if settings.auto_migrate:
        await migrated(settings)
    services = Services(settings)
    try:
        folder = await _begun(await services.files.service.registry.foreseen(), element_id)
        await services.audit.note("storage-element:begin", f"storage-element:{element_id}")
        return folder
    finally:
        await services.database.close()


async def _begun(known: Sequence[Element], element_id: str) -> Path:
    element = next((one for one in known if one.id == element_id), None)
    if element is None:
        raise CannotDo(f"there is no storage element {element_id}; there are {', '.join(one.id for one in known)}")
    if not is_folder(element):
        raise CannotDo(f"{element_id} is at {element.url}: only one in a folder of this machine is begun here")
    folder = folder_of(element.url)
    if is_begun(folder):
        raise CannotDo(f"an element is begun in {folder} already: nothing is to be done")
    disk = DiskElement(folder, element_id=element.id, mode=element.mode, clock=SystemClock())
    try:
        await disk.start()
    finally:
        await disk.close()
    return folder
