"""The use cases of vision: prepare a call for the gateway, and finish its whole answer."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from samovar.domains.catalog.model import Target
from samovar.domains.catalog.service import CatalogService
from samovar.domains.gateway.model import Call
from samovar.domains.gateway.model.intake import Prepared
from samovar.domains.gateway.service import Answer
from samovar.domains.vision.model.asking import VisionAsk, chat_body, given_images
from samovar.domains.vision.model.choosing import best_seeing, full_name, only_seeing, require_sight
from samovar.domains.vision.model.surface import VisionAnswer, VisionSurface, WriteProblem
from samovar.domains.vision.service.cleanups import Cleanups
from samovar.domains.vision.service.pictures import Pictures
from samovar.kernel.errors import SamovarError
from samovar.kernel.money import credits_text
from samovar.kernel.principal import Principal
from samovar.ports.dialect import Dialect

_ALL: str = "auto:quality"
"""All models that a caller may use."""


class VisionService:
    """``whole`` answers a call of the gateway; ``chat`` is OpenAI's chat API, in whose words vision asks; ``problem`` writes
    errors; ``default_model`` is the one asked where none is named, empty for none."""

    def __init__(
        self,
        *,
        whole: Callable[[Call], Awaitable[Answer]],
        catalog: CatalogService,
        chat: Dialect,
        problem: WriteProblem,
        pictures: Pictures,
        cleanups: Cleanups,
        default_model: str,
    ) -> None:
        self._whole = whole
        self._catalog = catalog
        self._chat = chat
        self._problem = problem
        self._pictures = pictures
        self._cleanups = cleanups
        self._default_model = default_model

    async def prepared(self, ask: VisionAsk, files: Sequence[bytes], principal: Principal, *, stream: bool) -> Prepared:
        """The call for the gateway. Raises what is wrong with the ask, ``ModelNotFound`` and its like, and what
        :class:`Pictures` raises."""
        given = given_images(ask, files)
        name, targets = self._model(ask, principal)
        require_sight(name, targets)
        clean = await self._cleanups.of(principal.team_id) if ask.cleanup else None
        images = await self._pictures.fit(given, targets, fetch=ask.fetch)
        body = chat_body(ask, model=name, prompt=ask.prompt or "", images=images, stream=stream)
        return Prepared(self.surface(clean=clean), body)

    def surface(self, **of_call: object) -> VisionSurface:
        """What reads and writes one call."""
        return VisionSurface(chat=self._chat, problem=self._problem, **of_call)  # type: ignore[arg-type]

    async def answer(self, call: Call) -> Answer:
        """A whole answer, with who gave it and what it cost. Raises as the gateway."""
        answer = await self._whole(call)
        trail = answer.trail
        assert trail.attempt is not None
        said = msgspec.json.decode(answer.body, type=VisionAnswer)
        said.model, said.provider = trail.attempt.target.model.id, trail.attempt.target.provider.name
        said.cost_credits = None if trail.cost_nano_usd is None else credits_text(trail.cost_nano_usd)
        return Answer(msgspec.json.encode(said), trail, answer.plan)

    def _model(self, ask: VisionAsk, principal: Principal) -> tuple[str, tuple[Target, ...]]:
        """The name to ask by, and what it stands for."""
        name = self._name(ask, principal)
        return name, self._catalog.route(name, principal).targets

    def _name(self, ask: VisionAsk, principal: Principal) -> str:
        if ask.model is not None:
            return ask.model if ask.provider is None else full_name(ask.provider, ask.model)
        default = self._default_model
        if ask.provider is None:
            return default or only_seeing(self._catalog.route(_ALL, principal).targets)
        if default and self._is_of(default, ask.provider, principal):
            return default
        return best_seeing(self._catalog.route(_ALL, principal).targets, ask.provider)

    def _is_of(self, name: str, provider: str, principal: Principal) -> bool:
        try:
            targets = self._catalog.route(name, principal).targets
        except SamovarError:
            # Ambiguous, unknown or not for this caller: then it is not the provider's.
            return False
        return all(one.provider.name == provider for one in targets)
