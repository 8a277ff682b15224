"""Administering the registry."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from samovar.domains.files.errors import BadElement, ElementTaken, NotConfirmed
from samovar.domains.files.model.choosing import ELEMENT_ID_PATTERN, Element, ElementState, Standing, Watermarks
from samovar.domains.files.service.registry import Registry
from samovar.domains.identity.model import DEFAULT_TEAM_ID, Permission, require
from samovar.kernel.errors import Conflict, Flaw, Forbidden, StaleRevision
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.elements import Mode

_ID: Final = re.compile(ELEMENT_ID_PATTERN[1:-1], re.ASCII)


class NewElement(msgspec.Struct, frozen=True, kw_only=True):
    """An element to be registered."""

    id: str
    url: str
    mode: Mode
    priority: int = 100
    capacity_bytes: int | None = None
    watermarks: Watermarks = Watermarks()


class ElementChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to set; ``None`` leaves a thing as it is, and a capacity of 0 is as much as the place has."""

    priority: int | None = None
    capacity_bytes: int | None = None
    watermarks: Watermarks | None = None
    state: ElementState | None = None


class ElementAdmin:
    """Elements hold the files of all teams: they are looked after in the installation's own team. Each raises ``Forbidden``,
    and :class:`ElementUnknown` for one that is not there."""

    def __init__(self, *, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    async def every(self, principal: Principal) -> Sequence[Standing]:
        """All of them, as they were found within the last two seconds."""
        check_keeper(principal, Permission.ELEMENTS_READ)
        return await self._registry.standings()

    async def one(self, principal: Principal, element_id: str) -> Standing:
        """One of them as it is now, asked of itself."""
        check_keeper(principal, Permission.ELEMENTS_READ)
        return await self._registry.standing(element_id)

    async def register(self, principal: Principal, new: NewElement) -> Standing:
        """Register one, and start it. Raises ``BadElement``, ``ElementTaken``, and what its adapter says of the address."""
        check_keeper(principal, Permission.ELEMENTS_ADMIN)
        if not _ID.fullmatch(new.id):
            raise BadElement(
                "The id has 1 to 63 lower case letters, digits and hyphens.", flaws=[Flaw("id", "is no id")]
            )
        _check_watermarks(new.watermarks)
        if new.id in self._registry.elements:
            raise ElementTaken(f"There is a storage element {new.id} already.")
        now = self._clock.now()
        element = Element(**msgspec.structs.asdict(new), created_at=now, updated_at=now)
        self._registry.open(element)
        await self._registry.write(element, revision=None)
        return await self._registry.standing(new.id)

    async def change(
        self,
        principal: Principal,
        element_id: str,
        change: ElementChange,
        *,
        expected: int | None,
        confirm: str | None = None,
    ) -> Standing:
        """Set its priority, capacity, watermarks or state. To say that it is lost takes its id as ``confirm``. Raises
        ``BadElement``, ``StaleRevision``, :class:`NotConfirmed`, ``Conflict`` for what the settings say."""
        check_keeper(principal, Permission.ELEMENTS_ADMIN)
        element = self._registry.registered(element_id)
        if change.state is ElementState.LOST and confirm != element_id:
            raise NotConfirmed(
                f"What stands on a lost element is made anew elsewhere: send the element's id, {element_id}, as 'confirm' to say"
                " that it does not come back."
            )
        if expected is not None and expected != element.revision:
            raise StaleRevision(current=element.revision)
        said = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        if element.configured and said.keys() - {"state"}:
            raise Conflict("This element stands in the settings: change it there and restart.")
        if change.watermarks is not None:
            _check_watermarks(change.watermarks)
        if change.capacity_bytes == 0:
            said["capacity_bytes"] = None
        wanted = msgspec.structs.replace(element, **said, revision=element.revision + 1, updated_at=self._clock.now())
        if not await self._registry.write(wanted, revision=element.revision):
            raise StaleRevision
        return await self._registry.standing(element_id)

    async def lower_mode(self, principal: Principal, element_id: str, mode: Mode, *, confirm: str | None) -> Standing:
        """``rw`` to ``ro``, or ``ro`` to ``ar``. There is no way back but by configuration and restart, so ``confirm`` must be
        the element's id. Raises :class:`NotConfirmed`, ``ModeRefused`` for every other step."""
        check_keeper(principal, Permission.ELEMENTS_ADMIN)
        self._registry.registered(element_id)
        if confirm != element_id:
            raise NotConfirmed(
                f"There is no way back from {mode.value}: send the element's id, {element_id}, as 'confirm' to say that you mean"
                " it."
            )
        await self._registry.serving(element_id).lower_mode(mode)
        self._registry.forget_standings()
        return await self._registry.standing(element_id)


def check_keeper(principal: Principal, permission: Permission) -> None:
    """Raises ``Forbidden`` for who does not look after elements."""
    require(principal, permission)
    if principal.team_id != DEFAULT_TEAM_ID:
        raise Forbidden(
            "Storage elements hold the files of all teams: only the installation's own team looks after them."
        )


def _check_watermarks(marks: Watermarks) -> None:
    if not 0 < marks.warning_percent <= marks.critical_percent <= marks.full_percent <= 100 or marks.small_bytes < 0:
        raise BadElement(
            "Watermarks rise from warning over critical to full, and are percents.",
            flaws=[Flaw("watermarks", "do not rise")],
        )
