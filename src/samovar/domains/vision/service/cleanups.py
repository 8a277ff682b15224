"""The pattern that cleans answers: read from memory by calls, changed by an admin."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from samovar.domains.identity.model import Permission, require
from samovar.domains.vision import store
from samovar.domains.vision.model.cleanup import DEFAULT_FLAGS, Cleaner, Cleanup, cleaner, is_slow
from samovar.domains.vision.model.config import BUILT_IN, RegexConfig, Source
from samovar.kernel.errors import StaleRevision, Unavailable
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.database import Database, Tx
from samovar.ports.events import Bus

CONFIG_CHANGED: Final = "vision.config.changed"
"""Bus topic. The message is the id of the team whose pattern changed."""
FRESH_S: Final = 10.0
"""How old what is remembered may be where no bus message came through."""
_NAME: Final = "regex"
_MAX_TEAMS: Final = 1_000
_MAX_TRIES: Final = 5


class Clean(NamedTuple):
    """``new`` makes a cleaner for one answer; ``is_slow``: it belongs in a thread."""

    new: Callable[[], Cleaner]
    is_slow: bool


class Cleanups:
    """What cleans the answers of each team, in memory for :data:`FRESH_S`."""

    def __init__(self, *, database: Database, clock: Clock, bus: Bus) -> None:
        self._database = database
        self._clock = clock
        self._bus = bus
        self._warm: dict[str, tuple[float, Clean]] = {}
        self._changes = 0

    async def of(self, team_id: str) -> Clean:
        """What makes the cleaners of a team's answers. Raises ``Unavailable``."""
        now = self._clock.monotonic()
        known = self._warm.get(team_id)
        if known is not None and now - known[0] < FRESH_S:
            return known[1]
        changes = self._changes
        found = await self.current(team_id)
        cleanup = Cleanup(found.pattern, found.flags)
        made = Clean(cleaner(cleanup), is_slow(cleanup))
        if changes == self._changes:
            if len(self._warm) >= _MAX_TEAMS:
                self._warm.clear()
            self._warm[team_id] = (now, made)
        return made

    async def current(self, team_id: str) -> RegexConfig:
        """What is in force for a team. Raises ``Unavailable``."""
        async with self._database.reading() as tx:
            return await _read(tx, team_id)

    async def read(self, principal: Principal) -> RegexConfig:
        """What is in force for the caller's team. Raises ``Forbidden``."""
        require(principal, Permission.CONFIG_READ)
        return await self.current(principal.team_id)

    async def write(
        self, principal: Principal, *, pattern: str, flags: str = DEFAULT_FLAGS, expected: int | None = None
    ) -> RegexConfig:
        """Put another in its place. Raises ``Forbidden``, ``BadPattern``, ``StaleRevision``."""
        require(principal, Permission.CONFIG_WRITE)
        cleaner(Cleanup(pattern, flags))
        at, value = self._clock.now(), {"pattern": pattern, "flags": flags}

        async def put(tx: Tx, over: int) -> bool:
            return await store.write(tx, principal.team_id, _NAME, value, over=over, at=at)

        revision = 1 + await self._change(principal.team_id, put, expected)
        return RegexConfig(pattern=pattern, flags=flags, source=Source.DATABASE, revision=revision, updated_at=at)

    async def reset(self, principal: Principal, *, expected: int | None = None) -> RegexConfig:
        """Back to the default. As :meth:`write`."""
        require(principal, Permission.CONFIG_WRITE)

        async def remove(tx: Tx, over: int) -> bool:
            return over == 0 or await store.remove(tx, principal.team_id, _NAME, revision=over)

        await self._change(principal.team_id, remove, expected)
        return BUILT_IN

    async def _change(self, team_id: str, change: Callable[[Tx, int], Awaitable[bool]], expected: int | None) -> int:
        """The revision that was changed: the one expected, or whichever stands there. Raises ``StaleRevision``, and
        ``Unavailable`` where others are faster again and again."""
        for _ in range(_MAX_TRIES):
            async with self._database.transaction() as tx:
                row = await store.read(tx, team_id, _NAME)
                current = 0 if row is None else row[1]
                if expected is not None and expected != current:
                    raise StaleRevision(current=current)
                is_done = await change(tx, current)
            if is_done:
                await self._changed(team_id)
                return current
        raise Unavailable("the pattern is being changed by several at once; try again", headers={"Retry-After": "1"})

    async def on_changed(self, message: bytes) -> None:
        """Somebody changed a pattern (:data:`CONFIG_CHANGED`)."""
        self._forget(message.decode())

    async def on_gap(self) -> None:
        """Messages may have been missed."""
        self._changes += 1
        self._warm.clear()

    async def _changed(self, team_id: str) -> None:
        self._forget(team_id)
        try:
            await self._bus.publish(CONFIG_CHANGED, team_id.encode())
        except Unavailable:
            # It is committed; other processes find it when what they remember is old.
            return

    def _forget(self, team_id: str) -> None:
        self._changes += 1
        self._warm.pop(team_id, None)


async def _read(tx: Tx, team_id: str) -> RegexConfig:
    row = await store.read(tx, team_id, _NAME)
    if row is None:
        return BUILT_IN
    value, revision, updated_at = row
    return RegexConfig(
        pattern=value["pattern"],
        flags=value["flags"],
        source=Source.DATABASE,
        revision=revision,
        updated_at=updated_at,
    )
