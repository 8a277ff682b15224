"""Vision's object graph, and its raw endpoints."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from samovar.app.problems import MEDIA_TYPE, problem
from samovar.domains.gateway import http as gateway_http
from samovar.domains.identity.model import DEFAULT_TEAM_ID, OpenSurface
from samovar.domains.operations.model import CleanupPattern
from samovar.domains.vision.http import VisionIntake
from samovar.domains.vision.http.intake import Bounds
from samovar.domains.vision.model.surface import VisionSurface
from samovar.domains.vision.service import CONFIG_CHANGED, Cleanups, Pictures, VisionService
from samovar.ports.asgi import Route
from samovar.ports.fetch import Fetch
from samovar.ports.images import Images

if TYPE_CHECKING:
    from samovar.app.services import Services

Entrance = Callable[..., gateway_http.ChatEntrance]


class VisionDesk:
    """``cleanups`` is an admin's; the rest is made where this process answers calls, and costs nothing before the first."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self.cleanups = Cleanups(database=services.database, clock=services.clock, bus=services.shared.bus)

    @cached_property
    def images(self) -> Images:
        from samovar.adapters.pillow import PillowImages

        return PillowImages()

    @cached_property
    def fetch(self) -> Fetch:
        from samovar.adapters.webfetch import GuardedFetch

        return GuardedFetch()

    @cached_property
    def service(self) -> VisionService:
        services = self._services
        return VisionService(
            whole=services.gateway.answer,
            catalog=services.catalog,
            chat=services.dialects["openai-chat"],
            problem=problem,
            pictures=Pictures(images=self.images, fetch=self.fetch, files=services.files.service.reads),
            cleanups=self.cleanups,
            prompts=services.prompts.service,
            clock=services.clock,
            default_model=services.settings.default_model,
        )

    def subscribe(self) -> None:
        """Hear of patterns that other processes change."""
        bus = self._services.shared.bus
        bus.subscribe(CONFIG_CHANGED, self.cleanups.on_changed)
        bus.on_gap(self.cleanups.on_gap)

    async def cleanup_pattern(self) -> CleanupPattern:
        """For ``/about``. Raises ``Unavailable``."""
        found = await self.cleanups.current(DEFAULT_TEAM_ID)
        return CleanupPattern(pattern=found.pattern, flags=found.flags, source=found.source.value)

    def routes(self, entrance: Entrance) -> Iterator[Route]:
        """``entrance`` makes the gateway's for a dialect."""
        surface = VisionSurface(chat=self._services.dialects["openai-chat"], problem=problem)
        settings = self._services.settings
        bounds = Bounds(max_body_bytes=settings.max_body_bytes, body_timeout_s=settings.body_timeout_s)
        for path, streams in (("/v1/vision/analyze", False), ("/v1/vision/stream", True)):
            way = gateway_http.OwnWay(
                intake=VisionIntake(service=self.service, bounds=bounds, streams=streams),
                opens=OpenSurface.VISION,
                answer=self.service.answer,
                error_type=MEDIA_TYPE,
            )
            yield Route("POST", path, entrance(surface, own_way=way), path)

    async def close(self) -> None:
        """End the workers that prepare pictures, where there are any."""
        if "images" in self.__dict__:
            await self.images.close()
