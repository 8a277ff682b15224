"""The registry of storage elements, and how they are at the moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from samovar.domains.files.errors import ElementLost, ElementOutOfReach, ElementUnknown
from samovar.domains.files.model.choosing import Element, ElementState, Standing, ranked
from samovar.domains.files.service.asking import Asking
from samovar.domains.files.store import elements as store
from samovar.kernel.errors import Invalid, SamovarError, Unavailable
from samovar.kernel.tasks import background
from samovar.ports.clock import Clock
from samovar.ports.database import Database
from samovar.ports.elements import Condition, ElementUnavailable, Mode, RetentionKind, StorageElement
from samovar.ports.events import Bus
from samovar.ports.outages import Outage

ELEMENTS_CHANGED: Final = "files.elements.changed"
"""Bus topic: the registry was written. The message is empty."""

_CONDITION_S: Final = 5.0
_STANDINGS_KEPT_S: Final = 2.0
_LOOK_EVERY_S: Final = 5.0

Open = Callable[[Element], StorageElement]
"""Makes the adapter of an element. It is started and closed by the registry. Raises ``Invalid`` for an address that it does not
know."""


ConfiguredAnew = Callable[[Element, Element], None]
"""An element as it was registered, and as the settings say now."""


class Registry:
    """Which elements there are, opened and started. What it tells of room and health is two seconds old at most and serves to
    choose; whether something is allowed only the element itself decides. Call :meth:`load` before anything else."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        bus: Bus,
        configured: Sequence[Element],
        open_element: Open,
        holds: Callable[[Element], bool] = lambda _: True,
        condition_s: float = _CONDITION_S,
    ) -> None:
        """``holds``: of those that are registered this process knows these, and no others."""
        self._database = database
        self._clock = clock
        self._bus = bus
        self._configured = configured
        self._open_element = open_element
        self._holds = holds
        self._has_folder: Callable[[Element], bool] = lambda _: False
        self._configured_anew: ConfiguredAnew = lambda *_: None
        self._elements: Mapping[str, Element] = {}
        self._version = 0
        self._readings = 0
        self._newest_known = 0
        self._opened: dict[str, StorageElement] = {}
        self._started: set[str] = set()
        self._refused: dict[str, str] = {}
        self._away_because: dict[str, str] = {}
        self._starting = asyncio.Lock()
        self._away: frozenset[str] = frozenset()
        self._used_bytes: Mapping[str, int] = {}
        self._standings: tuple[float, list[Standing]] | None = None
        self._looking = asyncio.Lock()
        self._asking: dict[str, Asking[Condition]] = {}
        self._condition_s = condition_s
        self._unread = Outage("the registry of storage elements could not be read", logger="samovar.files")
        self._log = structlog.get_logger("samovar.files")
        bus.subscribe(ELEMENTS_CHANGED, self.on_changed)
        bus.on_gap(self.on_gap)

    def on_configured(self, hear: ConfiguredAnew) -> None:
        """Who hears of elements that the settings changed. Before :meth:`load`."""
        self._configured_anew = hear

    def opens(self, has_folder: Callable[[Element], bool]) -> None:
        """Whose folders this process opens itself: it knows of these that they are begun. Before :meth:`load`."""
        self._has_folder = has_folder

    @property
    def elements(self) -> Mapping[str, Element]:
        """All that are registered, by id."""
        return self._elements

    @property
    def version(self) -> int:
        """Grows with each change: elements are registered and changed, and never removed. 0 where it is not known what is
        registered."""
        return self._version

    @property
    def away(self) -> frozenset[str]:
        """Those that did not answer when they were last asked, a few seconds ago at most."""
        return self._away

    @property
    def used_bytes(self) -> Mapping[str, int]:
        """What is on each, by the rows, as it was last looked at."""
        return self._used_bytes

    def started(self) -> list[StorageElement]:
        """Those that serve."""
        return [self._opened[element_id] for element_id in sorted(self._started) if not self.is_lost(element_id)]

    def settling(self) -> list[str]:
        """The ids of those that serve or are lost: what waits for one of them can be brought to its end."""
        return sorted(self._started.union(filter(self.is_lost, self._elements)))

    def is_lost(self, element_id: str) -> bool:
        """Whether it is known not to come back."""
        element = self._elements.get(element_id)
        return element is not None and element.state is ElementState.LOST

    def registered(self, element_id: str) -> Element:
        """One of them. Raises :class:`ElementUnknown`."""
        element = self._elements.get(element_id)
        if element is None:
            raise ElementUnknown(f"There is no storage element {element_id[:63]!r}.")
        return element

    def serving(self, element_id: str) -> StorageElement:
        """The element itself. Raises ``ElementUnavailable`` for one that is not there or does not serve, :class:`ElementLost` for
        one that never will, :class:`ElementOutOfReach` for one that this process cannot get at."""
        if self.is_lost(element_id):
            raise ElementLost(f"The storage element {element_id} is lost.")
        if element_id in self._refused:
            raise ElementOutOfReach(self._refused[element_id])
        if element_id not in self._started:
            raise ElementUnavailable(
                f"The storage element {element_id} does not serve at the moment. Try again.",
                headers={"Retry-After": "5"},
            )
        return self._opened[element_id]

    def own(self, element_id: str) -> StorageElement:
        """An element that this process has the place of: for those that ask it. Raises :class:`ElementUnknown`,
        ``ElementUnavailable``."""
        if self.registered(element_id).url.startswith("http"):
            raise ElementUnknown(f"The storage element {element_id} is another process's.")
        return self.serving(element_id)

    async def held(self, element_id: str) -> StorageElement:
        """As :meth:`own`, also of one that was registered a moment ago. Raises ``Unavailable`` too."""
        if element_id not in self._elements:
            await self.refresh()
        return self.own(element_id)

    def may_begin(self, element_id: str) -> bool:
        """Whether a folder without its mark may become this element: it was never begun. Nobody may begin one while it is not
        known what is registered."""
        element = self._elements.get(element_id)
        return self._version > 0 and element is not None and element.begun_at is None

    async def load(self, remembered: Callable[[], Awaitable[Sequence[Element]]] | None = None) -> None:
        """Register what the settings say, and start all elements. One that does not start is tried again and again. While the
        database is away there are those that are ``remembered``, and those of the settings."""
        try:
            await self._configure()
            await self._read()
        except Unavailable as error:
            self._log.warning("storage elements as they were last known", reason=error.detail)
            known = () if remembered is None else await remembered()
            self._know([*self._configured, *known])
            self._version = 0
        await self._start_all()

    async def foreseen(self) -> list[Element]:
        """What :meth:`load` would register and start. Raises ``Unavailable``."""
        async with self._database.reading() as tx:
            there = {element.id: element for element in await store.every(tx)}
        return [*{**there, **{one.id: _over(there.get(one.id), one) for one in self._configured}}.values()]

    async def adopt(self, elements: Sequence[Element]) -> None:
        """Know these, as another process does."""
        self._know(elements)
        await self._start_all()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep elements started and known beside the block; close them at its end."""
        try:
            async with background(self._look_for_ever()):
                yield
        finally:
            for asking in self._asking.values():
                asking.cancel()
            for element_id, element in [*self._opened.items()]:
                try:
                    await element.close()
                except SamovarError as error:
                    self._log.warning("a storage element did not close", element=element_id, reason=error.detail)
            self._started.clear()
            self._opened.clear()

    async def candidates(self, kind: RetentionKind, size_bytes: int | None) -> list[Standing]:
        """The elements that may take such a file, the best first. Raises ``NoElement``, ``StorageFull``."""
        return ranked(await self.standings(), kind, size_bytes)

    async def standings(self) -> list[Standing]:
        """All of them, and how they were found within the last two seconds."""
        async with self._looking:
            kept = self._standings
            if kept is None or self._clock.monotonic() >= kept[0]:
                found = await self._look()
                self._standings = kept = (self._clock.monotonic() + _STANDINGS_KEPT_S, found)
            return kept[1]

    async def standing(self, element_id: str) -> Standing:
        """One of them as it is now, asked of itself. Raises :class:`ElementUnknown`, ``Unavailable``."""
        element = self.registered(element_id)
        async with self._database.reading() as tx:
            used = (await store.used(tx)).get(element_id, (0, 0))
        return Standing(element=element, condition=await self.condition(element_id), used_bytes=used[1])

    async def condition(self, element_id: str) -> Condition | None:
        """How an element is; ``None`` where it does not say so in its time."""
        try:
            asking = self._asking.get(element_id)
            if asking is None or asking.is_over:
                asking = self._asking[element_id] = Asking(self.serving(element_id).condition())
            return await asking.answer(self._condition_s)
        except ElementUnavailable:
            return None

    async def mode(self, element_id: str) -> Mode | None:
        """The mode in force; ``None`` where it does not say so in its time."""
        condition = await self.condition(element_id)
        return None if condition is None else condition.mode

    async def write(self, element: Element, *, revision: int | None) -> bool:
        """Register an element (``revision`` is ``None``), or write it over its ``revision``; whether that was the one."""
        async with self._database.transaction() as tx:
            if revision is None:
                await store.add(tx, element)
            elif not await store.change(tx, element, revision=revision):
                return False
        await self._read()
        await self._start_all()
        try:
            await self._bus.publish(ELEMENTS_CHANGED, b"")
        except Unavailable as error:
            # The others look every few seconds anyway.
            self._log.warning("news of the registry did not go out", reason=error.detail)
        return True

    def open(self, element: Element) -> StorageElement:
        """What an element would be; to see that its address is one. Raises ``Invalid``."""
        return self._open_element(element)

    def forget_standings(self) -> None:
        """Something was done that changes how an element stands."""
        self._standings = None

    async def on_changed(self, _: bytes) -> None:
        """Bus handler."""
        await self.on_gap()

    async def on_gap(self) -> None:
        """Bus handler."""
        try:
            await self.refresh()
            self._unread.over()
        except Unavailable as error:
            # No defect of a handler's, whose traceback takes seconds to draw: it is read every few seconds anyway.
            self._unread.tell(error)

    async def refresh(self) -> None:
        """Read the registry anew. Raises ``Unavailable``."""
        await self._read()
        await self._start_all()

    async def _configure(self) -> None:
        changed: list[tuple[Element, Element]] = []
        async with self._database.transaction() as tx:
            known = {element.id: element for element in await store.every(tx)}
            for wanted in self._configured:
                there = known.get(wanted.id)
                if there is None or _says(there) != _says(wanted):
                    await store.keep(tx, _over(there, wanted))
                    if there is not None:
                        changed.append((there, wanted))
        for before, now in changed:
            self._configured_anew(before, now)

    async def _read(self) -> None:
        self._readings += 1
        mine = self._readings
        async with self._database.reading() as tx:
            found = await store.every(tx)
        if mine > self._newest_known:
            # Several read at once, and one that began before a change may end behind the reading that found it.
            self._newest_known = mine
            self._know(found)

    def _know(self, elements: Sequence[Element]) -> None:
        self._elements = {element.id: element for element in elements if self._holds(element)}
        self._version = sum(element.revision for element in elements)
        self._standings = None

    async def _start_all(self) -> None:
        async with self._starting:
            missing = [
                one for one in self._elements.values() if one.id not in self._started and not self.is_lost(one.id)
            ]
            await asyncio.gather(*[self._start(one) for one in missing])
            await self._note_begun()

    async def _note_begun(self) -> None:
        begun = [
            one
            for one in self._elements.values()
            if one.id in self._started and one.begun_at is None and self._has_folder(one)
        ]
        if not begun:
            return
        now = self._clock.now()
        try:
            async with self._database.transaction() as tx:
                await store.begun(tx, [one.id for one in begun], now)
        except Unavailable:
            # It is tried again with the next look.
            return
        # As they are known by now: they may have changed while it was written down.
        ids = {one.id for one in begun}
        self._elements = {
            one.id: msgspec.structs.replace(one, begun_at=now) if one.id in ids else one
            for one in self._elements.values()
        }

    async def _start(self, element: Element) -> None:
        try:
            opened = self._opened.get(element.id) or self._open_element(element)
            self._opened[element.id] = opened
            await opened.start()
        except Invalid as error:
            # Until its address is another one; it is tried again with the others, and said once.
            if self._refused.get(element.id) != error.detail:
                self._refused[element.id] = error.detail
                self._log.warning("a storage element is out of reach", element=element.id, reason=error.detail)
            return
        except SamovarError as error:
            if self._away_because.get(element.id) != error.detail:
                self._away_because[element.id] = error.detail
                self._log.warning("a storage element does not start", element=element.id, reason=error.detail)
            return
        self._started.add(element.id)
        self._refused.pop(element.id, None)
        self._away_because.pop(element.id, None)
        self._standings = None

    async def _look(self) -> list[Standing]:
        async with self._database.reading() as tx:
            used = await store.used(tx)
        wanted = [*self._elements.values()]
        conditions = await asyncio.gather(*[self.condition(one.id) for one in wanted])
        self._used_bytes = {one.id: used.get(one.id, (0, 0))[1] for one in wanted}
        self._away = frozenset(one.id for one, found in zip(wanted, conditions, strict=True) if found is None)
        return [
            Standing(element=one, condition=condition, used_bytes=used.get(one.id, (0, 0))[1])
            for one, condition in zip(wanted, conditions, strict=True)
        ]

    async def _look_for_ever(self) -> None:
        outage = Outage("storage elements could not be looked at", logger="samovar.files")
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.on_gap()
                await self.standings()
                outage.over()
            except Exception as error:  # noqa: BLE001 - edge: the loop outlives whatever goes wrong; elements stay as they were
                outage.tell(error)


def _says(element: Element) -> tuple[object, ...]:
    return (element.url, element.mode, element.priority, element.capacity_bytes, element.watermarks, element.configured)


def _over(there: Element | None, wanted: Element) -> Element:
    """What the settings say, over what was registered before. Whether it is drained is no matter of the settings."""
    if there is None:
        return wanted
    return msgspec.structs.replace(
        wanted,
        state=there.state,
        created_at=there.created_at,
        begun_at=there.begun_at,
        revision=there.revision + 1,
    )
