"""One life of an element, told step by step, with what may be true of each file after each step."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from samovar.kernel.errors import SamovarError
from samovar.ports.elements import FileNotThere, StorageElement
from tests.contract.elements.drafts import content_of, draft, pieces, walked

SMALL = b"a cup of tea" * 100
LARGE = bytes(range(256)) * 4 * 1024 * 2 + b"and a rest"
"""More than an element takes in one go."""
FIRST, SECOND = SMALL * 3, LARGE[:70_000]

State = tuple[bytes, int] | None
"""Content and revision; ``None`` where there is no file."""


@dataclass
class Ledger:
    """``allowed`` are the states that each path may be found in; ``upload_bytes`` how many of an open upload are promised, and
    how many may be there."""

    allowed: dict[str, set[State]] = field(default_factory=dict)
    upload_bytes: tuple[int, int] | None = None
    set_aside: dict[str, bytes] = field(default_factory=dict)
    """What must be in quarantine where it is not in its place."""


Step = Callable[[StorageElement], Awaitable[object]]


async def live(element: StorageElement, ledger: Ledger, *, on_error: Callable[[SamovarError], None]) -> None:
    """Tell the story to ``element``; a step that fails is handed to ``on_error``, and the story goes on."""

    async def step(path: str, becomes: State, act: Step) -> None:
        before = ledger.allowed.get(path, {None})
        ledger.allowed[path] = before | {becomes}
        try:
            await act(element)
        except SamovarError as error:
            on_error(error)
            return
        ledger.allowed[path] = {becomes}

    small, large, other, upload = (draft(name) for name in ("small", "large", "other", "upload"))
    other = msgspec.structs.replace(other, path=other.path.replace("/13/", "/14/"))
    await step(small.path, (SMALL, 1), lambda e: e.write(small, pieces(SMALL[:100], SMALL[100:])))
    await step(large.path, (LARGE, 1), lambda e: e.write(large, pieces(LARGE[:1_500_000], LARGE[1_500_000:])))

    async def amend(e: StorageElement) -> None:
        stands = await e.attributes(small.path)
        await e.amend(msgspec.structs.replace(stands, revision=2, tags=("tea", "amended")))

    if ledger.allowed[small.path] == {(SMALL, 1)}:
        await step(small.path, (SMALL, 2), amend)
    await _upload(element, ledger, on_error=on_error)
    if ledger.upload_bytes == (len(FIRST + SECOND),) * 2:
        await step(upload.path, (FIRST + SECOND, 1), lambda e: e.finish(upload.file_id))
    try:
        await element.acknowledge([(small.file_id, 1)])
    except SamovarError as error:
        on_error(error)
    await step(other.path, (SECOND, 1), lambda e: e.write(other, pieces(SECOND)))
    await step(large.path, None, lambda e: e.delete(large.path))
    if None not in ledger.allowed[other.path]:
        ledger.set_aside[other.path] = SECOND
        await step(other.path, None, lambda e: e.quarantine(other.path, reason="for the story"))
    try:
        assert {found.path for found in await walked(element)} <= set(ledger.allowed)
    except SamovarError as error:
        on_error(error)


async def _upload(element: StorageElement, ledger: Ledger, *, on_error: Callable[[SamovarError], None]) -> None:
    upload = draft("upload")
    try:
        await element.begin(upload)
        ledger.upload_bytes = (0, 0)
        for content in (FIRST, SECOND):
            at = ledger.upload_bytes[0]
            ledger.upload_bytes = (at, at + len(content))
            at = await element.append(upload.file_id, offset_bytes=at, content=pieces(content))
            ledger.upload_bytes = (at, at)
    except SamovarError as error:
        on_error(error)


async def check(element: StorageElement, ledger: Ledger) -> None:
    """Every file is as it may be, and nothing is half."""
    await check_states(element, ledger)
    found = await walked(element)
    for one in found:
        assert one.fault is None
        assert one.attributes is not None, f"an orphan: {one.path}"
        assert one.content_bytes == one.attributes.size_bytes
    there = [path for path in sorted(ledger.allowed) if await state_of(element, path) is not None]
    assert [one.path for one in found] == there


async def check_states(element: StorageElement, ledger: Ledger) -> None:
    """Every file is as it may be."""
    for path, allowed in ledger.allowed.items():
        assert await state_of(element, path) in allowed, path


async def check_upload(element: StorageElement, ledger: Ledger) -> None:
    """An upload that is open goes on where it was promised to, and becomes a file."""
    upload, whole = draft("upload"), FIRST + SECOND
    if ledger.upload_bytes is None or await state_of(element, upload.path) is not None:
        return
    promised, may_be = ledger.upload_bytes
    at = await element.offset(upload.file_id)
    assert promised <= at <= may_be
    assert await element.append(upload.file_id, offset_bytes=at, content=pieces(whole[at:])) == len(whole)
    made = await element.finish(upload.file_id)
    assert made.checksum == hashlib.sha256(whole).hexdigest()
    ledger.allowed[upload.path] = {(whole, 1)}
    ledger.upload_bytes = None


async def state_of(element: StorageElement, path: str) -> State:
    """What stands at ``path``; its bytes are what its attributes say."""
    try:
        attributes = await element.attributes(path)
    except FileNotThere:
        return None
    content = await content_of(element, path)
    assert hashlib.sha256(content).hexdigest() == attributes.checksum
    assert len(content) == attributes.size_bytes
    return content, attributes.revision
