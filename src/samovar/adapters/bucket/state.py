"""The element's mode, as an object in the bucket: each process looks again before it is two seconds old."""

import msgspec

from samovar.adapters.bucket.objects import Changed, Missing, Objects
from samovar.ports.clock import Clock
from samovar.ports.element_rules import ModeKept, check_lowering, mode_at_start
from samovar.ports.elements import ElementUnavailable, Mode

_NAME = ".element/state.json"
_FRESH_S = 2.0


class State:
    """``configured`` is the mode that this process was given."""

    def __init__(self, *, element_id: str, configured: Mode, objects: Objects, clock: Clock) -> None:
        self._element_id = element_id
        self._configured = configured
        self._objects = objects
        self._clock = clock
        self._mode = configured
        self._looked = float("-inf")

    async def start(self) -> None:
        """Settle the mode to start in. Raises ``ElementUnavailable`` where the place is another element's."""
        kept, e_tag = await self._kept()
        if kept is not None and kept.element_id != self._element_id:
            raise ElementUnavailable(
                f"The bucket belongs to the storage element {kept.element_id}; it is configured as {self._element_id}."
            )
        await self._keep(kept, mode_at_start(kept, self._configured), e_tag)

    async def mode(self) -> Mode:
        """The mode, two seconds old at most."""
        if self._clock.monotonic() - self._looked >= _FRESH_S:
            await self.look()
        return self._mode

    async def look(self) -> Mode:
        """The mode, asked of the bucket."""
        kept, _ = await self._kept()
        if kept is None:
            raise ElementUnavailable(f"The state of the storage element {self._element_id} is gone: start it anew.")
        self._mode, self._looked = kept.mode, self._clock.monotonic()
        return self._mode

    async def lower(self, mode: Mode) -> None:
        """See the port."""
        kept, e_tag = await self._kept()
        check_lowering(self._mode if kept is None else kept.mode, mode, element_id=self._element_id)
        await self._keep(kept, mode, e_tag)

    async def _keep(self, kept: ModeKept | None, mode: Mode, e_tag: str) -> None:
        wanted = ModeKept(element_id=self._element_id, mode=mode, configured=self._configured)
        try:
            if kept is None:
                await self._objects.create(_NAME, msgspec.json.encode(wanted))
            elif kept != wanted:
                await self._objects.replace(_NAME, msgspec.json.encode(wanted), e_tag=e_tag)
        except Changed:
            # Another process was faster, or this is our own, sent twice: what stands counts.
            if await self.look() is not mode:
                raise ElementUnavailable(
                    f"Another process changes the mode of {self._element_id} just now: try again."
                ) from None
        self._mode, self._looked = mode, self._clock.monotonic()

    async def _kept(self) -> tuple[ModeKept | None, str]:
        try:
            raw, e_tag = await self._objects.get(_NAME)
        except Missing:
            return None, ""
        try:
            return msgspec.json.decode(raw, type=ModeKept), e_tag
        except msgspec.DecodeError as error:
            # To guess here could open what somebody has closed.
            raise ElementUnavailable(f"{_NAME} cannot be read ({error}): put it right by hand.") from error
