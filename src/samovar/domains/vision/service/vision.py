"""The use cases of vision: prepare a call for the gateway, and finish its whole answer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from samovar.domains.catalog.model import Target
from samovar.domains.catalog.service import CatalogService
from samovar.domains.gateway.model import Call, PromptUse
from samovar.domains.gateway.model.intake import Prepared
from samovar.domains.gateway.service import Answer
from samovar.domains.prompts.model.prompt import DEFAULT_LANG, DEFAULT_NAMESPACE
from samovar.domains.prompts.service import PromptService
from samovar.domains.vision.errors import NoPrompt
from samovar.domains.vision.model.asking import VisionAsk, chat_body, check_prompt, given_images
from samovar.domains.vision.model.choosing import full_name, only_seeing, require_sight, unlisted_name, usual_model
from samovar.domains.vision.model.surface import VisionAnswer, VisionSurface, WriteProblem
from samovar.domains.vision.service.cleanups import Cleanups
from samovar.domains.vision.service.pictures import Pictures
from samovar.kernel.errors import NotFound, SamovarError
from samovar.kernel.money import credits_text
from samovar.kernel.principal import Principal
from samovar.ports.clock import Clock
from samovar.ports.dialect import Surface

_ALL: Final = "auto:quality"
"""What stands for all models that a caller may use."""


class VisionService:
    """``whole`` answers a call of the gateway; ``chat`` is OpenAI's chat API, in whose words vision asks; ``problem`` writes
    errors; ``default_model`` is the one asked where none is named, empty for none."""

    def __init__(
        self,
        *,
        whole: Callable[[Call], Awaitable[Answer]],
        catalog: CatalogService,
        chat: Surface,
        problem: WriteProblem,
        pictures: Pictures,
        cleanups: Cleanups,
        prompts: PromptService,
        clock: Clock,
        default_model: str,
    ) -> None:
        self._whole = whole
        self._catalog = catalog
        self._chat = chat
        self._problem = problem
        self._pictures = pictures
        self._cleanups = cleanups
        self._prompts = prompts
        self._clock = clock
        self._default_model = default_model

    async def prepared(self, ask: VisionAsk, files: Sequence[bytes], principal: Principal, *, stream: bool) -> Prepared:
        """The call for the gateway. Raises what is wrong with the ask, ``ModelNotFound`` and its like, and what
        :class:`Pictures` raises."""
        check_prompt(ask)
        given = given_images(ask, files)
        name, targets = self._model(ask, principal)
        require_sight(name, targets)
        prompt, use = await self._prompt(ask, principal)
        clean = await self._cleanups.of(principal.team_id) if ask.cleanup else None
        images = await self._pictures.fit(given, targets, principal, fetch=ask.fetch)
        body = chat_body(ask, model=name, prompt=prompt, images=images, stream=stream)
        prompt_id = None if use is None else use.id
        surface = VisionSurface(chat=self._chat, problem=self._problem, clean=clean and clean.new, prompt_id=prompt_id)
        return Prepared(surface, body, use, clean is not None and clean.is_slow)

    async def answer(self, call: Call) -> Answer:
        """A whole answer, with who gave it and what it cost. Raises as the gateway."""
        answer = await self._whole(call)
        trail = answer.trail
        assert trail.attempt is not None
        said = msgspec.json.decode(answer.body, type=VisionAnswer)
        said.model, said.provider = trail.attempt.target.model.id, trail.attempt.target.provider.name
        said.cost_credits = None if trail.cost_nano_usd is None else credits_text(trail.cost_nano_usd)
        return Answer(msgspec.json.encode(said), trail, answer.plan)

    async def _prompt(self, ask: VisionAsk, principal: Principal) -> tuple[str, PromptUse | None]:
        """The text, and whose it is where it is one of the registry."""
        if ask.prompt is not None:
            return ask.prompt, None
        namespace, lang = ask.namespace or DEFAULT_NAMESPACE, ask.lang or DEFAULT_LANG
        is_named = ask.prompt_id is not None or ask.prompt_name is not None
        try:
            filled = await self._prompts.resolve(
                principal.team_id,
                namespace=namespace,
                lang=lang,
                prompt_id=ask.prompt_id,
                prompt_name=ask.prompt_name,
                version=ask.version,
                label=ask.label,
                variables=ask.variables,
            )
        except NotFound as error:
            if is_named:
                raise
            raise NoPrompt(
                f"No prompt was named, and namespace {namespace!r} has no default one for language {lang!r}. Send `prompt`, "
                "`prompt_id` or `prompt_name`, or make a prompt the default."
            ) from error
        used = filled.prompt
        return filled.text, PromptUse(used.id, used.version, used.revision)

    def _model(self, ask: VisionAsk, principal: Principal) -> tuple[str, tuple[Target, ...]]:
        """The name to ask by, and what it stands for."""
        name = self._name(ask, principal)
        return name, self._catalog.route(name, principal).targets

    def _name(self, ask: VisionAsk, principal: Principal) -> str:
        if ask.provider is not None and ask.model is not None:
            return full_name(ask.provider, ask.model)
        named = ask.model or self._default_model
        if ask.provider is None:
            return self._spelled(named, principal) if named else only_seeing(self._every(principal))
        default = self._spelled(named, principal) if named else ""
        known = self._known(default, principal) if default else ()
        if known and all(one.provider.name == ask.provider for one in known):
            return default
        return usual_model(self._every(principal), ask.provider, at=self._clock.now())

    def _spelled(self, name: str, principal: Principal) -> str:
        """A name as the catalogue knows it, where it knows it."""
        if self._known(name, principal):
            return name
        return unlisted_name(name, self._every(principal)) or name

    def _known(self, name: str, principal: Principal) -> tuple[Target, ...]:
        """Nothing where the name is ambiguous, unknown or not for this caller."""
        try:
            return self._catalog.route(name, principal).targets
        except SamovarError:
            return ()

    def _every(self, principal: Principal) -> tuple[Target, ...]:
        """Of all models that the caller may use. Raises ``ModelNotFound``, ``ModelNotAllowed``."""
        return self._catalog.route(_ALL, principal).targets
