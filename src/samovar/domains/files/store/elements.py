"""The registry of elements. They are the installation's, not a team's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, insert, select, update

from samovar.domains.files.model.choosing import Element, ElementState, Watermarks
from samovar.domains.files.store.tables import elements, spaces
from samovar.ports.database import Tx, upsert
from samovar.ports.elements import Mode

MAX_ELEMENTS: Final = 1_000


async def every(tx: Tx) -> list[Element]:
    """All of them, by id."""
    found = await tx.execute(select(elements).order_by(elements.c.id).limit(MAX_ELEMENTS))
    return [_element(row) for row in found]


async def add(tx: Tx, element: Element) -> None:
    """Register one that is not there."""
    await tx.execute(insert(elements).values(**_values(element)))


async def keep(tx: Tx, element: Element) -> None:
    """Register one, or write it anew."""
    await upsert(tx, elements, _values(element), keys=("id",))


async def change(tx: Tx, element: Element, *, revision: int) -> bool:
    """Write one anew whose revision is ``revision``; whether it was."""
    done = await tx.execute(
        update(elements).where(elements.c.id == element.id, elements.c.revision == revision).values(**_values(element))
    )
    return done.rowcount == 1


async def begun(tx: Tx, element_ids: Sequence[str], at: datetime) -> None:
    """Note that their folders have their marks. It is no change of theirs: their revisions stay."""
    await tx.execute(
        update(elements).where(elements.c.id.in_(list(element_ids)), elements.c.begun_at.is_(None)).values(begun_at=at)
    )


async def used(tx: Tx) -> dict[str, tuple[int, int]]:
    """Files and bytes on each element, by the rows."""
    found = await tx.execute(select(spaces).limit(MAX_ELEMENTS))
    return {row.element_id: (row.files, row.size_bytes) for row in found}


def _values(element: Element) -> dict[str, Any]:
    return {
        "id": element.id,
        "url": element.url,
        "mode": element.mode.value,
        "priority": element.priority,
        "capacity_bytes": element.capacity_bytes,
        "watermarks": msgspec.to_builtins(element.watermarks),
        "state": element.state.value,
        "configured": element.configured,
        "revision": element.revision,
        "created_at": element.created_at,
        "updated_at": element.updated_at,
    }


def _element(row: Row[Any]) -> Element:
    return Element(
        id=row.id,
        url=row.url,
        mode=Mode(row.mode),
        priority=row.priority,
        capacity_bytes=row.capacity_bytes,
        watermarks=msgspec.convert(row.watermarks, Watermarks),
        state=ElementState(row.state),
        configured=row.configured,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
        begun_at=row.begun_at,
    )
