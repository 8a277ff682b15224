"""How much each owner has, and what uploads under way hold of what is left."""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import Integer, Select, and_, bindparam, delete, func, insert, or_, select, update

from samovar.domains.files.model.records import Usage
from samovar.domains.files.store.tables import holds, owners
from samovar.ports.database import Tx, among_json, insert_new
from samovar.ports.scripts import Add, Ask, Found, Script, perform

_HELD: Final = (holds.c.team_id, holds.c.owner, holds.c.size_bytes)
_COUNTS: Final = ("files", "size_bytes", "held_files", "held_bytes")


async def hold(
    tx: Tx, team_id: str, owner: str, *, hold_id: str, size_bytes: int, limits: tuple[int, int], expires_at: datetime
) -> bool:
    """Hold room for one more file of so many bytes. In one statement, so that of two that fit only one by one, one passes.
    ``limits`` are the installation's, of files and bytes; 0 is none."""
    await _there(tx, team_id, owner)
    taken = update(owners).where(
        owners.c.team_id == team_id,
        owners.c.owner == owner,
        _within(owners.c.max_files, limits[0], owners.c.files + owners.c.held_files + 1),
        _within(owners.c.max_bytes, limits[1], owners.c.size_bytes + owners.c.held_bytes + size_bytes),
    )
    values = {"held_files": owners.c.held_files + 1, "held_bytes": owners.c.held_bytes + size_bytes}
    if (await tx.execute(taken.values(**values))).rowcount != 1:
        return False
    await tx.execute(
        insert(holds).values(id=hold_id, team_id=team_id, owner=owner, size_bytes=size_bytes, expires_at=expires_at)
    )
    return True


async def widen(tx: Tx, team_id: str, hold_id: str, *, size_bytes: int, max_bytes: int) -> bool:
    """Hold so many bytes more for an upload whose length nobody knew."""
    # Before its owner, as who releases it does.
    mine = select(holds).where(holds.c.team_id == team_id, holds.c.id == hold_id).limit(1)
    row = (await tx.execute(mine.with_for_update())).one_or_none()
    if row is None:
        return False
    taken = update(owners).where(
        owners.c.team_id == team_id,
        owners.c.owner == row.owner,
        _within(owners.c.max_bytes, max_bytes, owners.c.size_bytes + owners.c.held_bytes + size_bytes),
    )
    if (await tx.execute(taken.values(held_bytes=owners.c.held_bytes + size_bytes))).rowcount != 1:
        return False
    await tx.execute(
        update(holds)
        .where(holds.c.team_id == team_id, holds.c.id == hold_id)
        .values(size_bytes=holds.c.size_bytes + size_bytes)
    )
    return True


def count(new: Iterable[tuple[str, str, int]], *, sign: int = 1, release: Collection[str] = ()) -> Script[None]:
    """A file more (or less, where ``sign`` is -1) for each of these teams and owners, of so many bytes; and what was held under
    the ids to ``release`` is free again, where it still is held. The last statements of a transaction: who writes the same
    owners waits for its end."""
    grown: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    for team_id, owner, size_bytes in new:
        _grow(grown, (team_id, owner), (sign, sign * size_bytes, 0, 0))
    if release:
        gone = yield Ask(_freed, {"among": msgspec.json.encode(sorted(release)).decode()})
        _give_back(grown, gone)
    yield _counted(grown)


@cache
def _freed(dialect: str) -> Any:
    return _without(select(holds.c.id).where(among_json(dialect, holds.c.id)).order_by(holds.c.id).with_for_update())


def _without(some: Select[Any]) -> Any:
    return delete(holds).where(holds.c.id.in_(some)).returning(*_HELD)


async def release_over(tx: Tx, *, now: datetime, limit: int) -> int:
    """Free what uploads hold that nobody ended (their process died); how many there were."""
    return await perform(tx, _release_over(now, limit))


async def usage(tx: Tx, team_id: str, owner: str) -> Usage:
    """What an owner has."""
    query = select(owners).where(owners.c.team_id == team_id, owners.c.owner == owner).limit(1)
    row = (await tx.execute(query)).one_or_none()
    return Usage(0, 0, None, None) if row is None else Usage(row.files, row.size_bytes, row.max_files, row.max_bytes)


async def bound(tx: Tx, team_id: str, owner: str, *, max_files: int | None, max_bytes: int | None) -> None:
    """What this owner may have from now on, instead of what the installation says."""
    await _there(tx, team_id, owner)
    await tx.execute(
        update(owners)
        .where(owners.c.team_id == team_id, owners.c.owner == owner)
        .values(max_files=max_files, max_bytes=max_bytes)
    )


async def any_bound(tx: Tx) -> bool:
    """Whether anybody has bounds of their own."""
    own = or_(owners.c.max_files.is_not(None), owners.c.max_bytes.is_not(None))
    return (await tx.scalar(select(owners.c.owner).where(own).limit(1))) is not None


async def _there(tx: Tx, team_id: str, owner: str) -> None:
    row = {"team_id": team_id, "owner": owner, "files": 0, "size_bytes": 0, "held_files": 0, "held_bytes": 0}
    await insert_new(tx, owners, [row], keys=("team_id", "owner"))


def _release_over(now: datetime, limit: int) -> Script[int]:
    gone = yield Ask(_freed_over, {"at": now, "some": limit})
    grown: dict[tuple[str, str], tuple[int, int, int, int]] = {}
    _give_back(grown, gone)
    yield _counted(grown)
    return len(gone.rows)


@cache
def _freed_over(_: str) -> Any:
    over = holds.c.expires_at <= bindparam("at", type_=holds.c.expires_at.type)
    some = select(holds.c.id).where(over).order_by(holds.c.id).limit(bindparam("some", type_=Integer))
    return _without(some.with_for_update(skip_locked=True))


def _give_back(grown: dict[tuple[str, str], tuple[int, int, int, int]], gone: Found) -> None:
    for team_id, owner, size_bytes in gone.rows:
        _grow(grown, (team_id, owner), (0, 0, -1, -size_bytes))


def _grow(
    grown: dict[tuple[str, str], tuple[int, int, int, int]], key: tuple[str, str], more: tuple[int, int, int, int]
) -> None:
    had = grown.get(key, (0, 0, 0, 0))
    grown[key] = (had[0] + more[0], had[1] + more[1], had[2] + more[2], had[3] + more[3])


def _counted(grown: dict[tuple[str, str], tuple[int, int, int, int]]) -> Add:
    rows = [(*key, *more) for key, more in sorted(grown.items())]
    return Add(owners, rows, ("team_id", "owner"), ("team_id", "owner", *_COUNTS), grown=_COUNTS)


def _within(own: Any, usual: int, wanted: Any) -> Any:
    """``wanted`` is within the owner's own bound, or else within the installation's (0: there is none)."""
    if usual:
        return wanted <= func.coalesce(own, usual)
    return or_(own.is_(None), and_(own.is_not(None), wanted <= own))
